"""Sliding windows: what region proposals replaced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def sliding_windows(
    height: int,
    width: int,
    sides: Sequence[float] = (32, 64, 128, 256),
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
    step: float = 0.25,
) -> np.ndarray:
    """Every window of the given shapes that fits the picture.

    Args:
        sides: square roots of the windows' areas, in pixels. ratios: height / width.
        step: from one window to the next, as a share of the window's own width and height.
    Returns:
        (N, 4) float32, small windows first.
    """
    parts = [np.empty((0, 4), np.float32)]
    for side in sides:
        for ratio in ratios:
            w, h = side / ratio**0.5, side * ratio**0.5
            x, y = np.meshgrid(np.arange(0, width - w + 1e-6, w * step), np.arange(0, height - h + 1e-6, h * step))
            parts.append(np.stack([x, y, x + w, y + h], axis=-1).reshape(-1, 4).astype(np.float32))
    return np.concatenate(parts)


def count_all_windows(height: int, width: int) -> int:
    """How many boxes with whole-pixel corners a picture has: what an exhaustive search would look at."""
    return (height * (height + 1) // 2) * (width * (width + 1) // 2)
