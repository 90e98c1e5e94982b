"""How a generation asks for its region proposals; part of the first three recipes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class ProposalSettings:
    """Selective search's settings, of which a picture's proposals are a pure function.

    Attributes:
        mode: "quick" (two strategies), "fast" (eight) or "quality" (Uijlings et al. 2013, section 5).
        width: the picture is resized to this width first (R-CNN's repository: 500), None for its own.
        min_side: boxes under this many pixels a side, at that width, are dropped.
        limit: at most this many boxes, the highest ranked.
    """

    mode: str
    width: int | None
    min_side: int
    limit: int | None

    @property
    def key(self) -> str:
        """Names the settings in a cache."""
        return "selective-search " + " ".join(f"{name}={value}" for name, value in asdict(self).items())

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Proposals (R, 4) float32 for a picture (H, W, 3) uint8 RGB."""
        from lineage.selective_search import FAST, QUALITY, QUICK, selective_search  # loads numba: only when used

        strategies = {"quick": QUICK, "fast": FAST, "quality": QUALITY}[self.mode]
        return selective_search(image, strategies, width=self.width, min_side=self.min_side, limit=self.limit)

    def propose(self, image: Tensor) -> Tensor:
        """Proposals (R, 4) for a picture (3, H, W) in 0..1."""
        pixels = (image.permute(1, 2, 0).cpu() * 255).round().to(torch.uint8).numpy()
        return torch.from_numpy(self(pixels)).to(image.device)
