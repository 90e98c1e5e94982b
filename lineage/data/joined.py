"""Several datasets as one: Fast and Faster R-CNN's "07+12" learns from the trainval splits of two years."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from torch import Tensor

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
        self.root, self.split = parts[0].root, parts[0].split
        self.ids = [name for part in parts for name in part.ids]
        if len(set(self.ids)) < len(self.ids):
            raise ValueError(f"{' and '.join(str(part.root) for part in parts)}: share names of pictures")
        self._starts = [0, *accumulate(len(part) for part in parts)]

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

    def image_path(self, index: int) -> Path:
        part, place = self._where(index)
        return part.image_path(place)
