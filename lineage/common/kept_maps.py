"""Feature maps of layers that do not learn: computed once a picture, then kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

ROOM = 2**31  # bytes: VOC2007's 5011 pictures and their mirror images at stride 8 take 1.5 GB


class KeptMaps:
    """As many maps as there is room for, in half precision.

    All come out rounded to it, kept or not, so that no number depends on the room, or on what a run that was
    interrupted had kept. Its range is enough: 65504, and layers of ReLU6 end at 6.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = ROOM if room is None else room
        self.kept: dict[Hashable, list[Tensor]] = {}

    @torch.no_grad()
    def get(self, name: Hashable, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        """The maps of this name in single precision; ``compute`` is called unless they are kept."""
        maps = self.kept.get(name)
        if maps is None:
            maps = [computed.half() for computed in compute()]
            size = sum(part.nbytes for part in maps)
            if size <= self.room:
                self.room -= size
                self.kept[name] = maps
        return [part.float() for part in maps]
