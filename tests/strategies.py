"""Generated inputs that several tests share."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor


@st.composite
def boxes(draw: st.DrawFn, low: int = 0, high: int = 20, extent: int = 60) -> Tensor:
    """(N, 4) float32 boxes on a half-pixel grid, so that ties, contacts and equal boxes do occur."""
    count = draw(st.integers(low, high))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners = rng.integers(0, 2 * extent, (count, 2)) / 2
    sizes = rng.integers(1, extent, (count, 2)) / 2
    return torch.from_numpy(np.concatenate([corners, corners + sizes], axis=1)).float()


@st.composite
def scored_boxes(draw: st.DrawFn, high: int = 25) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, distinct scores (so that the order is defined) and groups."""
    found = draw(boxes(high=high, extent=30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = torch.from_numpy(rng.permutation(len(found)) + 0.5).float()
    return found, scores, torch.from_numpy(rng.integers(0, 3, len(found)))
