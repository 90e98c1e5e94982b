"""Feature maps of layers that do not learn: computed once a picture, then kept in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from lineage.common.image import Frame

ROOM = 2**32  # bytes: VOC2007's 5011 pictures and their mirror images at stride 8 and a shorter side of 450 take 3.4 GB
SHARE = 0.25  # of the machine's memory, at most
Maps = tuple[list[Tensor], list[Frame]]  # one (1, C, h, w) a scale, and the frame it was computed from


class KeptMaps:
    """As many maps as there is room for, in half precision, with their frames' geometry.

    All come out rounded to it, kept or not, so that no number depends on the room, or on what a run that was
    interrupted had kept. Its range is enough: 65504, and layers of ReLU6 end at 6.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = min(ROOM, int(SHARE * _memory())) if room is None else room
        self.kept: dict[Hashable, Maps] = {}

    @torch.no_grad()
    def get(self, name: Hashable, compute: Callable[[], Maps]) -> Maps:
        """The maps of this name in single precision; ``compute`` is called unless they are kept."""
        maps, frames = self.kept.get(name) or self._computed(name, compute)
        return [part.float() for part in maps], frames

    def _computed(self, name: Hashable, compute: Callable[[], Maps]) -> Maps:
        maps, frames = compute()
        halved = [part.half() for part in maps], [frame.without_pixels() for frame in frames]
        size = sum(part.nbytes for part in halved[0])
        if size <= self.room:
            self.room -= size
            self.kept[name] = halved
        return halved


def _memory() -> int:
    """Bytes of this machine; where the system does not say, as many as give :data:`ROOM`."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return int(ROOM / SHARE)
