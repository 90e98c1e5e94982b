"""How a generation asks for its region proposals; part of the first three recipes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from lineage.common.image import LARGEST_SIDE
from lineage.common.values import check_between

MODES = ("quick", "fast", "quality")
LONGEST = 1000  # pixels; Fast R-CNN's own cap on a picture (section 5.2). 12 megapixels as they are take half a minute


@dataclass(frozen=True)
class ProposalSettings:
    """Selective search's settings, of which a picture's proposals are a pure function.

    Attributes:
        mode: "quick" (two strategies), "fast" (eight) or "quality" (Uijlings et al. 2013, section 5).
        width: the picture is resized to this width first (R-CNN's repository: 500), None for its own, but no side
            longer than :data:`LONGEST`.
        min_side: boxes under this many pixels a side, at that width, are dropped.
        limit: at most this many boxes, the highest ranked.
    """

    mode: str
    width: int | None
    min_side: int
    limit: int | None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"recipe: mode {self.mode!r} is none of {', '.join(MODES)}")
        check_between(self, 1, LARGEST_SIDE, "width")
        check_between(self, 0, LARGEST_SIDE, "min_side")
        check_between(self, 1, 1_000_000, "limit")

    @property
    def key(self) -> str:
        """Names the settings in a cache."""
        return "selective-search " + " ".join(f"{name}={value}" for name, value in asdict(self).items())

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Proposals (R, 4) float32 for a picture (H, W, 3) uint8 RGB."""
        from lineage.selective_search import FAST, QUALITY, QUICK, selective_search  # loads numba: only when used

        strategies = {"quick": QUICK, "fast": FAST, "quality": QUALITY}[self.mode]
        width = self.width if self.width is not None else _bounded_width(*image.shape[:2])
        return selective_search(image, strategies, width=width, min_side=self.min_side, limit=self.limit)

    def propose(self, image: Tensor) -> Tensor:
        """Proposals (R, 4) for a picture (3, H, W) in 0..1."""
        pixels = (image.permute(1, 2, 0).cpu() * 255).round().to(torch.uint8).numpy()
        return torch.from_numpy(self(pixels)).to(image.device)


def _bounded_width(height: int, width: int) -> int | None:
    """The width at which the longer side has :data:`LONGEST` pixels; None where it has no more than that."""
    longer = max(height, width)
    return None if longer <= LONGEST else max(1, round(width * LONGEST / longer))
