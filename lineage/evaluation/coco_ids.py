"""Which picture and which class an entry of COCO results means: its numbers are those of one ground truth only."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from lineage.common.file_names import composed, without_suffix

Id = int | str
SAY = "give the JSON that has these numbers with --ground-truth"


class ResultFileError(ValueError):
    """A file with detections that cannot be used; the message names the file, the line or entry, and the value."""


class Numbering(NamedTuple):
    """A ground truth's numbers."""

    file: str
    images: Mapping[Id, str]  # id -> file name
    categories: Mapping[Id, str]  # id -> class


class Places:
    """Finds the pictures of a split and its labels 1..C by what results call them.

    Args:
        ids: the split's pictures. classes: names of labels 1, 2, ...
        numbering: of the ground truth whose numbers the results use; with None, pictures go by their names only.
    Raises:
        ResultFileError: ``numbering`` has none of the pictures, or one of them twice.
    """

    def __init__(self, ids: Sequence[str], classes: Sequence[str], numbering: Numbering | None) -> None:
        self._classes, self._numbering = tuple(classes), numbering
        self._index = {composed(name): index for index, name in enumerate(ids)}
        self._by_last: dict[str, list[str]] = {}  # names by their last part
        for name in self._index:
            self._by_last.setdefault(name.rpartition("/")[2], []).append(name)
        self._placed = _place(numbering, ids, self._find) if numbering else {}
        self.labels_by_position = False

    def picture(self, entry: Mapping[str, Any], where: str) -> int:
        """The index from 0 of an entry's picture.

        Raises:
            ResultFileError: it is not known which one.
        """
        number, name = entry.get("image_id"), entry.get("file_name")
        if self._numbering and _is_id(number) and number in self._numbering.images:
            if number not in self._placed:
                called = self._numbering.images[number]
                raise ResultFileError(f"{where}: image_id {number!r} is {called!r}, which is no picture of the split")
            return self._placed[number]
        field, name = ("image_id", number) if name is None else ("file_name", name)
        if isinstance(name, str):
            index = self._find(name)
            if index is None:
                raise ResultFileError(f"{where}: {field} is {name!r}, which is no picture of the split")
            return index
        raise ResultFileError(f"{where}: image_id is {number!r}, {self._unknown(number)}")

    def label(self, entry: Mapping[str, Any], where: str) -> int:
        """The label 1..C of an entry's class.

        Raises:
            ResultFileError: it is not known which one.
        """
        number: Any = entry.get("category_id")
        name = entry.get("category_name")
        if self._numbering and _is_id(number) and number in self._numbering.categories:
            name = self._numbering.categories[number]
        elif name is None and isinstance(number, str):
            name = number
        if name is not None:
            if name not in self._classes:
                meant = f"{name!r}" if number in (None, name) else f"{number!r}, {name!r}"
                raise ResultFileError(f"{where}: category_id is {meant}: none of {', '.join(self._classes)}")
            return self._classes.index(name) + 1
        counts = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= len(self._classes)
        if self._numbering is None and counts:
            self.labels_by_position = True
            return int(number)
        raise ResultFileError(f"{where}: category_id is {number!r}, {self._unknown(number)}")

    def warn(self, file: str) -> None:
        """Of labels that could only be taken by their order."""
        if self.labels_by_position:
            counted = ", ".join(f"{label} {name}" for label, name in enumerate(self._classes, start=1))
            order = f"category_id is read by the order of the data's classes: {counted}"
            warnings.warn(f"{file}: {order}; if it is another's, {SAY}", stacklevel=2)

    def _unknown(self, number: Any) -> str:
        if not _is_id(number):
            return "not a whole number"
        known = f"which {self._numbering.file} does not have" if self._numbering else ""
        return known or f"a number of some ground truth: {SAY}"

    def _find(self, name: str) -> int | None:
        """A picture by its file's name, with or without suffix, and with more or fewer folders than its id has.

        train/1.jpg is not test/1, but images/test/1.jpg and 1.jpg are, if no other 1 is in the split.
        """
        name = composed(name.replace("\\", "/"))
        for one in (name, without_suffix(name)):
            if one in self._index:
                return self._index[one]
            alike = [known for known in self._by_last.get(one.rpartition("/")[2], ()) if _ends(one, known)]
            if len(alike) == 1:
                return self._index[alike[0]]
        return None


def _place(numbering: Numbering, ids: Sequence[str], find: Any) -> dict[Id, int]:
    """Image id -> index, for the pictures that are in the split."""
    placed, owner = dict[Id, int](), dict[int, str]()
    for number, name in numbering.images.items():
        index = find(name)
        if index is not None:
            if index in owner:
                raise ResultFileError(
                    f"{numbering.file}: {owner[index]!r} and {name!r} would both be the picture {ids[index]!r}"
                )
            placed[number], owner[index] = index, name
    if not placed:
        first = next(iter(numbering.images.values()), "nothing")
        raise ResultFileError(f"{numbering.file}: has {first!r}, and none of the split's pictures: {ids[0]!r}, ...")
    lacking = [name for index, name in enumerate(ids) if index not in owner]
    if lacking:
        some = f"{len(lacking)} of the split's {len(ids)} pictures ({lacking[0]}, ...)"
        warnings.warn(f"{numbering.file}: lacks {some}: what is in them counts as missed", stacklevel=3)
    return placed


def _ends(a: str, b: str) -> bool:
    """Whether one path is the end of the other."""
    return f"/{a}".endswith(f"/{b}") or f"/{b}".endswith(f"/{a}")


def _is_id(value: Any) -> TypeGuard[Id]:
    return isinstance(value, (int, str)) and not isinstance(value, bool)
