"""Where a folder of annotated pictures keeps its pictures, its annotations and its splits.

VOC's own layout is ROOT/JPEGImages/NAME.jpg, ROOT/Annotations/NAME.xml, ROOT/ImageSets/Main/SPLIT.txt. Tools differ in
the folders' names, put annotations beside the pictures, or write no split: what is plain is found.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lineage.common.file_names import PICTURE_SUFFIXES, composed
from lineage.data.findings import VOCFormatError

PICTURES = ("JPEGImages", "images", "imgs", "img", "pictures")  # in any case
ANNOTATIONS = ("Annotations", "annotations", "annots", "xml", "xmls", "labels")
YEARS = ("VOC2007", "VOC2012")  # folders of a VOCdevkit


class FileIndex:
    """The files of one kind under a folder, by their name without suffix: "p00", or "cam1/p00" in a subfolder.

    ``pass_over`` are folders (in small letters) that are no part of a name: train/images/p00.jpg and
    train/annotations/p00.xml are both "train/p00". Names are compared in Unicode's composed form: macOS writes "ö" as
    two letters. Where one name has several suffixes, the first of ``suffixes`` counts.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str], pass_over: Collection[str] = ()) -> None:
        self.folder = folder
        self.files: dict[str, Path] = {}
        self._bare: dict[str, list[str]] = {}  # name without folders -> full names
        ranks: dict[str, int] = {}
        for path in _walk(folder):
            stem, suffix = os.path.splitext(path)
            if suffix.lower() not in suffixes:
                continue
            whole = composed(os.path.relpath(stem, folder).replace(os.sep, "/"))
            name = _name(whole, pass_over)
            if name in self.files and self.files[name].parent != Path(path).parent:
                name = whole  # another file, in another folder that was passed over
            rank = suffixes.index(suffix.lower()) * 2 + (suffix != suffix.lower())
            if name not in self.files or rank < ranks[name]:
                if name not in self.files:
                    self._bare.setdefault(name.rpartition("/")[2], []).append(name)
                self.files[name], ranks[name] = Path(path), rank

    def name_of(self, written: str) -> str | None:
        """The name that somebody meant who wrote ``written``; None where it is no file's, or several files'."""
        written = composed(written)
        if written in self.files:
            return written
        alike = self._bare.get(written, [])
        return alike[0] if len(alike) == 1 else None


def _name(path: str, pass_over: Collection[str]) -> str:
    """A file's name under its folder, without the folders that only say of what kind it is."""
    *folders, stem = path.split("/")
    return "/".join([*(folder for folder in folders if folder.lower() not in pass_over), stem])


def _walk(folder: Path) -> list[str]:
    """All files under a folder, hidden ones left out, in a fixed order."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.join(place, name) for name in sorted(files) if not name.startswith(".")]
    return found


@dataclass(frozen=True)
class Layout:
    """A folder of annotated pictures."""

    root: Path
    pictures: FileIndex
    annotations: FileIndex

    @property
    def splits(self) -> Path:
        """The folder of split files, which may not be there."""
        return self.root / "ImageSets" / "Main"


def find_root(folder: str | Path) -> Path:
    """The folder itself, or VOC2007 / VOC2012 in a VOCdevkit.

    Raises:
        VOCFormatError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise VOCFormatError(f"{folder}: no such folder")
    below = [folder / part / year for part in ("VOCdevkit", "") for year in YEARS]
    return next((place for place in (folder, *below) if (place / "ImageSets" / "Main").is_dir()), folder)


def find_layout(folder: str | Path) -> Layout:
    """Where pictures and annotations lie.

    Raises:
        VOCFormatError: no such folder, or no annotation in it.
    """
    root = find_root(folder)
    pictures, annotations = _folder(root, PICTURES), _folder(root, ANNOTATIONS)
    kinds = () if pictures or annotations else {name.lower() for name in (*PICTURES, *ANNOTATIONS)}
    found = Layout(
        root,
        FileIndex(pictures or root, PICTURE_SUFFIXES, kinds),
        FileIndex(annotations or pictures or root, (".xml",), kinds),
    )
    if not found.pictures.files and not found.annotations.files:
        raise VOCFormatError(f"{root}: not in VOC layout: no ImageSets/Main, no pictures and no .xml annotations")
    return found


def _folder(root: Path, names: Sequence[str]) -> Path | None:
    """The first of these folders that is there, whatever the case of its letters."""
    there = {path.name.lower(): path for path in sorted(root.iterdir(), reverse=True) if path.is_dir()}
    exact = [root / name for name in names[:1] if (root / name).is_dir()]
    return next(iter([*exact, *(there[name.lower()] for name in names if name.lower() in there)]), None)
