"""Diversification: several colour spaces, similarities and starting segmentations (section 3.2 and table 5)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

COLOUR_SPACES = ("HSV", "Lab", "rgI", "H", "I")


@dataclass(frozen=True)
class Strategy:
    """One grouping: ``similarities`` names the terms that are added, of C, T, S, F."""

    colour_space: str
    k: float  # of the segmentation; also its min_size, as R-CNN's setting has it
    similarities: str

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """0 or 1 for colour, texture, size, fill (equation 6)."""
        c, t, s, f = (float(name in self.similarities) for name in "CTSF")
        return c, t, s, f


QUICK = (
    Strategy("HSV", 100, "CTSF"),
    Strategy("Lab", 100, "CTSF"),
)  # for CPUs: a sixth of the time, benchmarks/NOTES.md
FAST = tuple(Strategy(space, k, terms) for k, space, terms in product((50, 100), ("HSV", "Lab"), ("CTSF", "TSF")))
QUALITY = tuple(
    Strategy(space, k, terms)
    for k, space, terms in product((50, 100, 150, 300), COLOUR_SPACES, ("CTSF", "TSF", "F", "S"))
)


def convert(image: np.ndarray, colour_space: str) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB in another space, uint8 0..255 in each of three channels.

    One-channel spaces (H, I) are repeated three times. Hue spans the whole 0..255.

    Raises:
        ValueError: an unknown space.
    """
    if colour_space == "HSV":
        return cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    if colour_space == "Lab":
        return cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    if colour_space == "rgI":
        total = image.sum(axis=2, dtype=np.float32)
        share = image[..., :2] * (255 / np.maximum(total, 1))[..., None]
        return np.dstack([share, total / 3]).astype(np.uint8)
    if colour_space == "H":
        return np.repeat(convert(image, "HSV")[..., :1], 3, axis=2)
    if colour_space == "I":
        return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    raise ValueError(f"colour space {colour_space!r} is none of {', '.join(COLOUR_SPACES)}")
