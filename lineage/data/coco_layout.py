"""Where COCO files and their pictures lie, as COCO, CVAT, Roboflow and others export them.

DIR/annotations/instances_train2017.json + DIR/train2017/     DIR/train/_annotations.coco.json beside the pictures
DIR/annotations/instances_default.json + DIR/images/          one JSON anywhere, its pictures near it
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lineage.common.file_names import PICTURE_SUFFIXES, stays_inside
from lineage.common.values import shown
from lineage.data.coco_json import Entry, Id, by_id, load
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import SPLITS, is_file, split_name, split_names, unique_ids

BESIDE = "_annotations.coco.json"  # Roboflow's, in each split's folder
FOLDER = "pictures"  # field of "info" that names their folder, in what this package writes
PREFIX = "instances_"  # COCO's and CVAT's, in annotations/
ONLY = "trainval"  # what the only file is learnt from, where its name does not say
ASKED = 200  # pictures by which the folder is found
MANY = 50  # JSON files in a folder that are not one a data set: labelme writes one a picture


@dataclass
class Part:
    """One COCO file: a split."""

    split: str
    file: Path
    document: dict[str, Any]
    images: dict[Id, tuple[str, Entry]]  # where each stands
    files: dict[Id, Path] = field(default_factory=dict)  # of the pictures that are there
    ids: dict[Path, str] = field(default_factory=dict)  # of all parts' pictures


def find_parts(path: Path, mistakes: Mistakes) -> list[Part]:
    """The COCO files at ``path``, a file or a folder, with their pictures; none where there is no such file."""
    parts = _parts(path, mistakes)
    named: list[tuple[str, Path]] = []
    for part in parts:
        named += _find_pictures(part, mistakes)
    if named:
        ids = unique_ids(named, mistakes)
        for part in parts:
            part.ids = ids
    return parts


def _parts(path: Path, mistakes: Mistakes) -> list[Part]:
    """Each file as a split: train for instances_train2017.json, unless that would make two the same."""
    files = _files(path)
    names = [_split(files[0], alone=True)] if len(files) == 1 else split_names([_called(file) for file in files])
    documents = [load(file) for file in files]
    images = [by_id(d["images"], f"{file.name}: images", mistakes) for d, file in zip(documents, files)]
    return [Part(*part) for part in zip(names, files, documents, images)]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    beside = sorted([*path.glob(BESIDE), *path.glob(f"*/{BESIDE}")])
    if beside:
        return beside
    folders = [folder for name in ("annotations", "Annotations", ".") if (folder := path / name).is_dir()]
    for folder in folders:
        files = sorted(folder.glob(f"{PREFIX}*.json"))
        if files:
            return files
    for folder in folders:
        files = sorted(folder.glob("*.json"))
        truths = [file for file in files if _is_ground_truth(file)] if len(files) <= MANY else []
        if truths:
            return truths
    return []


def _is_ground_truth(file: Path) -> bool:
    try:
        load(file)
    except FormatError:
        return False
    return True


def _split(file: Path, alone: bool) -> str:
    called = split_name(_called(file))
    says_nothing = alone and called not in SPLITS and not file.name.startswith(PREFIX)
    return ONLY if says_nothing or called == "default" else called


def _called(file: Path) -> str:
    return file.parent.name if file.name == BESIDE else file.stem.removeprefix(PREFIX)


def _find_pictures(part: Part, mistakes: Mistakes) -> list[tuple[str, Path]]:
    """Fill ``part.files``; the pictures' (path below their folder, file)."""
    wanted: dict[Id, tuple[str, str]] = {}
    for number, (here, image) in part.images.items():
        name = image.get("file_name")
        if isinstance(name, str) and name.strip():
            wanted[number] = here, name.replace("\\", "/")
        else:
            mistakes.add(f"{here}: file_name is {shown(name)}, not the name of a picture")
    if not part.document["images"]:
        mistakes.add(f"{part.file.name}: images: the list is empty")
    folder, last_part_only = _folder(part, [name for _, name in wanted.values()], mistakes)
    named, owner = [], dict[Path, str]()
    for number, (here, name) in wanted.items():
        path = _existing(folder, name.rpartition("/")[2] if last_part_only else name)
        if path is None:
            mistakes.add(f"{here}: file_name {shown(name)}: no such picture in {folder}", skippable=True)
        elif not path.name.lower().endswith(PICTURE_SUFFIXES):
            kinds = ", ".join(PICTURE_SUFFIXES)
            mistakes.add(f"{here}: file_name {shown(name)}: no picture that is read here ({kinds})", skippable=True)
        elif owner.setdefault(path, here) != here:
            mistakes.add(f"{here}: file_name {shown(name)}: the same picture as {owner[path]}")
        else:
            part.files[number] = path
            named.append((path.relative_to(folder).as_posix(), path))
    return named


def _folder(part: Part, names: list[str], mistakes: Mistakes) -> tuple[Path, bool]:
    """Where most of the pictures lie; and whether by the last part of their names: the rest is another machine's."""
    root = part.file.parent.parent if part.file.parent.name.lower() == "annotations" else part.file.parent
    info = part.document.get("info")
    said = info.get(FOLDER) if isinstance(info, dict) else None
    if isinstance(said, str) and stays_inside(said) and (root / said).is_dir():
        return root / said, False
    called = dict.fromkeys((_called(part.file), part.split))
    below = [f"{above}{name}" for name in called for above in ("", "images/")]
    places = [part.file.parent, *(root / name for name in (*below, "images", "JPEGImages", "."))]
    folders = [place for place in dict.fromkeys(places) if place.is_dir()]
    some = names if len(names) <= ASKED else names[: ASKED // 2] + names[-ASKED // 2 :]
    for last_part_only in (False, True):
        tails = [name.rpartition("/")[2] if last_part_only else name for name in some]
        counts = {folder: sum(_existing(folder, name) is not None for name in tails) for folder in folders}
        best = [folder for folder in folders if counts[folder] == max(counts.values()) > 0]
        if best:
            _warn_of_two(part, best, tails, mistakes)
            return best[0], last_part_only
    return folders[0], False


def _warn_of_two(part: Part, folders: list[Path], names: list[str], mistakes: Mistakes) -> None:
    """Two folders with the same names and other pictures: which is meant cannot be known."""
    for name in names:
        files = [path for folder in folders if (path := _existing(folder, name)) is not None]
        other = next((file for file in files if file.stat().st_size != files[0].stat().st_size), None)
        if other:
            mistakes.add(f"{part.file.name}: {shown(name)} is in {files[0].parent} and another one in {other.parent}: "
                         "put the JSON beside the pictures that it is of")  # fmt: skip
            return


def _existing(folder: Path, name: str) -> Path | None:
    """A picture by its name, however its accents are written."""
    for form in dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))):
        if stays_inside(form) and is_file(folder / form):
            return folder / form
    return None
