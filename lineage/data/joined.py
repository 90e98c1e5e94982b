"""Several datasets as one: Fast and Faster R-CNN's "07+12" learns from the trainval splits of two years."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path

from torch import Tensor

from lineage.data.annotation import Annotation
from lineage.data.voc import VOCDataset


class JoinedVOC(VOCDataset):
    """The pictures of several splits one after another, with one class list.

    Raises:
        ValueError: the parts have different classes, or one picture name twice.
    """

    def __init__(self, parts: Sequence[VOCDataset]) -> None:
        self.parts, self.classes = list(parts), parts[0].classes
        for part in parts:
            if part.classes != self.classes:
                raise ValueError(f"{part.root}: its classes are not those of {parts[0].root}")
        self.root, self.split, self.layout = parts[0].root, parts[0].split, parts[0].layout
        self.ids = [name for part in parts for name in part.ids]
        self.split_findings = [finding for part in parts for finding in part.split_findings]
        if len(set(self.ids)) < len(self.ids):
            raise ValueError(f"{' and '.join(str(part.root) for part in parts)}: share names of pictures")
        self._starts = [0, *accumulate(len(part) for part in parts)]

    @property
    def quiet(self) -> bool:  # type: ignore[override]
        return all(part.quiet for part in self.parts)

    @quiet.setter
    def quiet(self, value: bool) -> None:
        for part in self.parts:
            part.quiet = value

    def _where(self, index: int) -> tuple[VOCDataset, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        number = bisect_right(self._starts, index) - 1
        return self.parts[number], index - self._starts[number]

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        part, place = self._where(index)
        return part[place]

    def target(self, index: int) -> dict[str, Tensor]:
        part, place = self._where(index)
        return part.target(place)

    def annotation(self, index: int) -> Annotation:
        part, place = self._where(index)
        return part.annotation(place)

    def image_path(self, index: int) -> Path:
        part, place = self._where(index)
        return part.image_path(place)

    def without(self, ids: Collection[str]) -> JoinedVOC:
        return JoinedVOC([part.without(ids) if set(ids) & set(part.ids) else part for part in self.parts])
