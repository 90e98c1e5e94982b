"""From any format to any: VOC, COCO, YOLO."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from lineage.common.file_names import safe_name
from lineage.common.folders import is_filled, write_folder
from lineage.common.locks import alone
from lineage.data.coco import open_coco, write_coco
from lineage.data.coco_layout import find_parts
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import Records, Source, with_trainval
from lineage.data.voc_records import open_voc, write_voc
from lineage.data.yolo import open_yolo, write_yolo

Write = Callable[[Records, Path, bool], list[str]]
WRITERS: dict[str, Write] = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}
VERSION = 1  # raise it whenever the same source is converted to another folder in the cache
XML_PLACES = ("Annotations", "annotations", ".", "images", "JPEGImages")
XML_ROOT = re.compile(rb"<annotation[\s>]")  # and not <annotations>, which is CVAT's own format


def find_source(path: Path, mistakes: Mistakes) -> Source | None:
    """The COCO or YOLO data set at ``path``; None for a folder in VOC layout and for all else.

    Raises:
        FormatError: a file that is plainly meant cannot be read.
    """
    if (path / "ImageSets" / "Main").is_dir() or _has_xml(path):
        return None
    return open_coco(path, mistakes) or open_yolo(path, mistakes)


def _has_xml(folder: Path) -> bool:
    """Whether VOC's annotations lie in it, with or without the rest of VOC's layout."""
    first = [next((folder / place).glob("*.xml"), None) for place in XML_PLACES]
    return any(file and file.is_file() and XML_ROOT.search(file.read_bytes()) for file in first)


def convert(
    source: Path,
    target: Path,
    kind: str,
    link: bool = False,
    skip_bad: bool = False,
    unannotated: str = "error",
    accept: Sequence[str] = (),
) -> tuple[str, list[str]]:
    """Write the data set at ``source`` as the folder ``target``, wholly or not at all.

    Args:
        kind: of :data:`WRITERS`. link: pictures are linked and not copied.
        skip_bad: pictures and objects with mistakes are left out, with a warning.
        unannotated, accept: of a VOC folder, as of :func:`~lineage.data.voc_records.open_voc`.
    Returns:
        a line that says what was written; what the new format cannot say, a line a kind.
    Raises:
        FormatError, VOCFormatError: what is wrong with the source. FileExistsError: ``target`` is not empty.
    """
    if target.exists() and not (target.is_dir() and not is_filled(target)):
        raise FileExistsError(f"{target}: is there already and not empty: name another folder, or remove it")
    if not source.exists():
        raise FormatError(f"{source}: no such file or folder")
    mistakes = Mistakes(source, skip_bad)
    found = find_source(source, mistakes) or open_voc(source, mistakes, unannotated, accept)
    records = found.read()
    unsaid = [f"{what}: {count}" for what, count in sorted(records.unsaid.items())]
    write_folder(target, lambda folder: unsaid.extend(WRITERS[kind](records, folder, link)))
    splits = ", ".join(f"{name} {len(names)}" for name, names in records.splits.items())
    counts = f"{len(records.pictures)} pictures, {records.count()} objects, {len(records.classes)} classes; {splits}"
    return f"{found.kind} to {kind}: {counts}", unsaid


def coco_file(path: Path, split: str) -> Path | None:
    """The ground-truth JSON of a COCO data set's split; None where there is no such, or no such data set."""
    if (path / "ImageSets").is_dir():
        return None
    parts = find_parts(path, Mistakes(path))
    return next((part.file for part in parts if part.split == split or len(parts) == 1), None)


def ensure_voc(path: Path, cache_dir: Path) -> Path | None:
    """The folder in VOC layout for a COCO or YOLO data set, converted on the first call; None for all else.

    Its pictures are links to where they lie. It is found again until an annotation or a picture changes.

    Raises:
        FormatError: what is wrong with the data set.
    """
    mistakes = Mistakes(path)
    source = find_source(path, mistakes)
    if source is None:
        return None
    name = safe_name(path.resolve().stem)
    folder = cache_dir / "converted" / f"{name}-{_digest(source)}"
    if not folder.is_dir():
        records = with_trainval(source.read())
        unsaid: list[str] = []
        with alone(folder):
            if not folder.is_dir():
                write_folder(folder, lambda temporary: unsaid.extend(write_voc(records, temporary, link=True)))
        for line in unsaid:
            warnings.warn(f"{path}: {line}", stacklevel=2)
    return folder


def _digest(source: Source) -> str:
    """Of the annotations' contents, and of the pictures' places, sizes in bytes and times."""
    digest = hashlib.sha256(f"{VERSION} {source.kind} {source.path.resolve()}".encode())
    for file in source.annotations:
        digest.update(f"\n{os.path.abspath(file)} {hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    for picture in source.pictures:
        facts = picture.stat()
        digest.update(f"\n{os.path.abspath(picture)} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
