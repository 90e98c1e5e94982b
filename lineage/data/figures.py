"""Textured figures: what the embedded dataset is drawn with."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Rng = np.random.Generator
CLASSES = ("disk", "square", "triangle", "star", "cross", "ring")
SUBPIXEL = 4  # bits of cv2's fixed-point coordinates


def figure_mask(name: str, width: int, height: int, angle: float) -> np.ndarray:
    """The figure, rotated by ``angle`` (radians) and then stretched to touch all sides of a height x width window.

    Returns float32 (height, width), 1 inside, antialiased at the edge.
    """
    outline, holes = _outline(name)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    outline, holes = outline @ rotation, [hole @ rotation for hole in holes]
    low, high = outline.min(axis=0), outline.max(axis=0)
    extent = np.array([width - 1, height - 1]) / (high - low)
    mask = np.zeros((height, width), np.uint8)
    for value, points in ((255, outline), *((0, hole) for hole in holes)):
        pixels = np.round((points - low) * extent * 2**SUBPIXEL).astype(np.int32)
        cv2.fillPoly(mask, [pixels], value, lineType=cv2.LINE_AA, shift=SUBPIXEL)
    return mask.astype(np.float32) / 255


def _outline(name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Outline (P, 2) and holes of a figure of radius about 1 at the origin."""
    if name == "disk":
        return _regular(40), []
    if name == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float), []
    if name == "triangle":
        return _regular(3), []
    if name == "star":
        points = _regular(10)
        points[1::2] *= 0.42
        return points, []
    if name == "cross":
        a = 0.34
        corners = [
            (-a, -1),
            (a, -1),
            (a, -a),
            (1, -a),
            (1, a),
            (a, a),
            (a, 1),
            (-a, 1),
            (-a, a),
            (-1, a),
            (-1, -a),
            (-a, -a),
        ]
        return np.array(corners, float), []
    if name == "ring":
        return _regular(40), [_regular(40) * 0.55]
    raise ValueError(f"figure {name!r} is none of {', '.join(CLASSES)}")


def _regular(corners: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(corners) / corners - np.pi / 2  # a corner on top
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _grid(height: int, width: int, rng: Rng, period: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Rotated coordinates in units of a random period."""
    angle, size = rng.uniform(0, np.pi), rng.uniform(*period)
    y, x = np.mgrid[:height, :width].astype(np.float32) / size
    phase = rng.uniform(0, 1, 2)
    return x * np.cos(angle) + y * np.sin(angle) + phase[0], y * np.cos(angle) - x * np.sin(angle) + phase[1]


def _stripes(height: int, width: int, rng: Rng) -> np.ndarray:
    return ((_grid(height, width, rng, (5, 18))[0] % 1) > rng.uniform(0.3, 0.7)).astype(np.float32)


def _checks(height: int, width: int, rng: Rng) -> np.ndarray:
    u, v = _grid(height, width, rng, (5, 16))
    return ((np.floor(u) + np.floor(v)) % 2).astype(np.float32)


def _dots(height: int, width: int, rng: Rng) -> np.ndarray:
    u, v = _grid(height, width, rng, (6, 18))
    return (((u % 1) - 0.5) ** 2 + ((v % 1) - 0.5) ** 2 < rng.uniform(0.05, 0.14)).astype(np.float32)


def _gradient(height: int, width: int, rng: Rng) -> np.ndarray:
    u = _grid(height, width, rng, (1, 1))[0]
    return (u - u.min()) / max(1e-6, float(u.max() - u.min()))


def _cloud(height: int, width: int, rng: Rng) -> np.ndarray:
    cells = rng.random(
        (max(2, height // int(rng.integers(6, 30))), max(2, width // int(rng.integers(6, 30)))), dtype=np.float32
    )
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _waves(height: int, width: int, rng: Rng) -> np.ndarray:
    u, v = _grid(height, width, rng, (6, 16))
    return (0.5 + 0.5 * np.sin(2 * np.pi * (u + 0.35 * np.sin(2 * np.pi * v / 2.5)))).astype(np.float32)


def _bricks(height: int, width: int, rng: Rng) -> np.ndarray:
    u, v = _grid(height, width, rng, (6, 14))
    row = np.floor(v)
    return (((v % 1) > 0.18) & (((u / 2 + row / 2) % 1) > 0.1)).astype(np.float32)


Pattern = Callable[[int, int, Rng], np.ndarray]
TRAIN_PATTERNS: tuple[Pattern, ...] = (_stripes, _checks, _dots, _gradient, _cloud)
TEST_PATTERNS: tuple[Pattern, ...] = (*TRAIN_PATTERNS, _waves, _bricks)  # the last two are never trained on


def texture(height: int, width: int, colours: np.ndarray, patterns: tuple[Pattern, ...], rng: Rng) -> np.ndarray:
    """A random pattern (height, width, 3) float32 between two colours (2, 3)."""
    amount = patterns[rng.integers(len(patterns))](height, width, rng)[..., None]
    return (colours[0] + amount * (colours[1] - colours[0])).astype(np.float32)


def two_colours(rng: Rng, difference: float) -> np.ndarray:
    """Two colours (2, 3) in 0..1 around a common one, some ``difference`` apart a channel."""
    middle = rng.uniform(0.15, 0.85, 3)
    half = rng.uniform(-0.5, 0.5, 3) * difference
    return np.stack([middle - half, middle + half]).clip(0, 1)
