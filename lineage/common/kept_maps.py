"""Feature maps of layers that do not learn: computed once a picture, then kept in memory."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from lineage.common.image import Frame, as_channels_last

ROOM = 2**32  # bytes: VOC2007's 5011 pictures and their mirror images at stride 8 and a shorter side of 450 take 3.4 GB
SHARE = 0.25  # of the machine's memory, at most
BLOCK = 2**26  # bytes asked for at a time
Maps = tuple[list[Tensor], list[Frame]]  # one (1, C, h, w) a scale, and the frame it was computed from


class KeptMaps:
    """As many maps as there is room for, in half precision, with their frames' geometry.

    All come out rounded to it, kept or not, so that no number depends on the room, or on what a run that was
    interrupted had kept. Its range is enough: 65504, and layers of ReLU6 end at 6.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = min(ROOM, int(SHARE * _memory())) if room is None else room
        self.kept: dict[Hashable, Maps] = {}
        self.block = torch.empty(0, dtype=torch.half)  # what is left of it

    @torch.no_grad()
    def get(self, name: Hashable, compute: Callable[[], Maps]) -> Maps:
        """The maps of this name in single precision; ``compute`` is called unless they are kept."""
        maps, frames = self.kept.get(name) or self._computed(name, compute)
        return [part.float() for part in maps], frames

    def _computed(self, name: Hashable, compute: Callable[[], Maps]) -> Maps:
        computed, frames = compute()
        maps = [as_channels_last(part).half() for part in computed]
        frames = [frame.without_pixels() for frame in frames]
        size = sum(part.nbytes for part in maps)
        if size <= self.room:
            self.room -= size
            self.kept[name] = [self._put_away(part) for part in maps], frames
        return maps, frames

    def _put_away(self, part: Tensor) -> Tensor:
        """A copy in memory of our own: thousands of maps between a step's tensors would leave malloc's heap in pieces,
        and finding one that fits took a quarter of a step.
        """
        count = part.numel()
        if count > len(self.block):
            self.block = torch.frombuffer(mmap.mmap(-1, max(BLOCK, part.nbytes)), dtype=torch.half)
        place, self.block = self.block[:count], self.block[count:]
        return place.as_strided(part.shape, part.stride(), place.storage_offset()).copy_(part)


def _memory() -> int:
    """Bytes of this machine; where the system does not say, as many as give :data:`ROOM`."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return int(ROOM / SHARE)
