"""An annotated data set in memory, between formats: what at least two of VOC, COCO and YOLO can say."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from lineage.common.file_names import stays_inside, without_suffix
from lineage.data.mistakes import FormatError, Mistakes

Box = tuple[float, float, float, float]  # x1, y1, x2, y2: pixels of the displayed picture, continuous, end excluded
SPLITS = ("trainval", "train", "val", "test")
# How tools call them in names of files and folders; years are cut off before (train2017).
SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
               "test": "test", "testing": "test", "trainval": "trainval"}  # fmt: skip
TOLERANCE = 1.0  # pixels that a box may reach outside without a word: rounding, or counting from 1


@dataclass(frozen=True)
class Object:
    """One annotated thing."""

    name: str  # of its class
    box: Box
    difficult: bool = False  # COCO's iscrowd: neither a miss nor a find counts


@dataclass(frozen=True)
class Picture:
    """A picture's file and what is in it."""

    path: Path
    width: int  # as displayed: after EXIF rotation
    height: int
    objects: tuple[Object, ...]


@dataclass(frozen=True)
class Records:
    """The whole data set.

    Raises:
        FormatError: a picture's name would lead out of a folder or break a list of names.
    """

    classes: tuple[str, ...]  # in the order of their numbers
    pictures: dict[str, Picture]  # by id: the file's name without suffix, with "/" where it lies in a subfolder
    splits: dict[str, tuple[str, ...]]  # ids, in order
    unsaid: Mapping[str, int] = field(default_factory=dict)  # what the source says and this cannot hold, and how often

    def __post_init__(self) -> None:
        for name in self.pictures:
            fault = text_fault(name) or ("" if stays_inside(name) else "leads out of the folder")
            if fault:
                raise FormatError(f"picture {name!r}: its name {fault}: rename the file")

    def file_name(self, name: str) -> str:
        """A picture's id with its file's suffix."""
        return name + self.pictures[name].path.suffix

    def count(self, wanted: Callable[[Object], bool] = lambda _: True) -> int:
        """How many objects are such."""
        return sum(wanted(one) for picture in self.pictures.values() for one in picture.objects)


@dataclass(frozen=True)
class Source:
    """A data set as it lies: found, but not yet checked and read."""

    kind: str  # "voc", "coco" or "yolo"
    path: Path
    annotations: tuple[Path, ...]  # the files that the records come from
    pictures: tuple[Path, ...]
    read: Callable[[], Records]  # its mistakes go where those of finding it went


def with_trainval(records: Records) -> Records:
    """The same with a split "trainval" to learn from: train and val, where the source has them apart."""
    if "trainval" in records.splits or "train" not in records.splits:
        return records
    both = dict.fromkeys(records.splits["train"] + records.splits.get("val", ()))
    return replace(records, splits={"trainval": tuple(both), **records.splits})


def split_name(text: str) -> str:
    """What a folder or a file calls a split, as this package calls it: "valid" is val, "train2017" is train."""
    plain = text.lower().rstrip("0123456789")
    return SPLIT_NAMES.get(plain, text)


def split_names(texts: Sequence[str]) -> list[str]:
    """The same for all of a data set's, unless that would make two the same."""
    names = [split_name(text) for text in texts]
    return names if len(set(names)) == len(names) else [*texts]


def in_order(splits: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The usual splits first, each picture once."""
    known = [name for name in SPLITS if name in splits]
    return {name: tuple(dict.fromkeys(splits[name])) for name in (*known, *(n for n in splits if n not in known))}


def text_fault(text: str) -> str:
    """What keeps a class or a picture from standing on a line of its own in a text file; "" where nothing does."""
    if not text or text != text.strip():
        return "is empty" if not text.strip() else "begins or ends with a space"
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\ufffe\uffff" for c in text):
        return "has a line break or a control character"
    return ""


def class_names(names: Sequence[object], where: str, mistakes: Mistakes) -> tuple[str, ...]:
    """Names of classes as a file lists them, stripped and checked: texts, not empty, none twice.

    Args:
        where: begins a mistake's message; a name's number from 0 follows in brackets.
    """
    found: list[str] = []
    for number, name in enumerate(names):
        text = name.strip() if isinstance(name, str) else name
        fault = text_fault(text) if isinstance(text, str) else "is not a text"
        if not fault and text in found:
            fault = f"is there twice, first at [{found.index(str(text))}]"
        if fault:
            mistakes.add(f"{where}[{number}]: class {text!r} {fault}")
        found.append(str(text))
    return tuple(found)


def box_inside(box: Box, width: int, height: int, where: str, mistakes: Mistakes) -> Box | None:
    """The part of a box that lies in its picture, as VOC's reader does it; None after a mistake."""
    x1, y1, x2, y2 = box
    inside = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        corners = ", ".join(f"{value:g}" for value in box)
        message = f"{where}: box (x1 y1 x2 y2 = {corners}) has nothing inside the picture, {width} x {height}"
        mistakes.add(message, skippable=True)
        return None
    if max(abs(a - b) for a, b in zip(box, inside)) > TOLERANCE:
        mistakes.remark("boxes reach outside their picture and are clipped to it", where)
    return inside


def add_decimals(a: float, b: float) -> float:
    """a + b as decimal numbers: 0.1 + 0.2 is 0.3. So a sum and its parts come back as they were written."""
    return float(Decimal(repr(float(a))) + Decimal(repr(float(b))))


def unique_ids(found: Sequence[tuple[str, Path]], mistakes: Mistakes) -> dict[Path, str]:
    """An id for each picture file: its short name; where two files share one, all get their paths' differing parts.

    Args:
        found: (a picture's path below its own folder, its file), the same file as often as it is found.
    """
    ids = {path: without_suffix(name) for name, path in found}
    if len(set(ids.values())) < len(ids):
        above = len(Path(os.path.commonpath([path.parent for path in ids])).parts)
        ids = {path: without_suffix("/".join(path.parts[above:])) for path in ids}
        first: dict[str, Path] = {}
        for path, name in ids.items():
            if first.setdefault(name, path) != path:
                mistakes.add(f"{path}: has the name of {first[name]} but for the suffix: rename one of them")
    return ids


def is_file(path: Path) -> bool:
    """Also of a name that no file can have: too long, for one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
