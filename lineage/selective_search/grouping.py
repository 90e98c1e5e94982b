"""Hierarchical grouping (Uijlings et al. 2013, algorithm 1): merge the most similar neighbours until one is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from lineage.selective_search.similarity import (
    fill_similarity,
    histogram_intersection,
    region_features,
    size_similarity,
)


@dataclass(frozen=True)
class Hierarchy:
    """All regions of a grouping: n segments, then one for each merge, in order.

    Attributes:
        labels: (H, W) int32, the initial segmentation.
        boxes: (n + m, 4) int32. sizes: (n + m,) pixels.
        merges: (m, 2) int32: which two regions became region n + i. similarities: (m,) of those two.
    """

    labels: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    merges: np.ndarray
    similarities: np.ndarray

    @property
    def num_segments(self) -> int:
        """n, the number of regions at level 0."""
        return len(self.boxes) - len(self.merges)

    def level(self, merges: int) -> np.ndarray:
        """The label map (H, W) after so many merges; labels are rows of ``boxes``."""
        current = np.arange(self.num_segments + merges, dtype=np.int32)
        for i in range(merges - 1, -1, -1):  # from the top: a child takes its parent's final name
            current[self.merges[i]] = current[self.num_segments + i]
        return current[self.labels]

    def levels(self) -> Iterator[np.ndarray]:
        """Label maps from the segmentation to the whole picture."""
        return (self.level(i) for i in range(len(self.merges) + 1))


def group(image: np.ndarray, labels: np.ndarray, weights: tuple[float, float, float, float]) -> Hierarchy:
    """Group the segments of a picture (H, W, 3), channels in 0..255.

    Args:
        labels: (H, W) int32 of :func:`~lineage.selective_search.segmentation.segment`.
        weights: of colour, texture, size and fill in the similarity; the paper uses 0 or 1 (equation 6).
    """
    return group_features(labels, *region_features(image, labels), weights)


def group_features(
    labels: np.ndarray,
    colour: np.ndarray,
    texture: np.ndarray,
    sizes: np.ndarray,
    boxes: np.ndarray,
    weights: tuple[float, float, float, float],
) -> Hierarchy:
    """The same from features computed before: strategies that share a segmentation share them too."""
    segments = len(sizes)
    first, second = _neighbours(labels, segments)
    colour, texture, sizes, boxes = (_with_room(array) for array in (colour, texture, sizes, boxes))
    count, merges, similarities = _group(
        first, second, colour, texture, sizes, boxes, segments, np.array(weights), float(labels.size)
    )
    regions = segments + count
    return Hierarchy(labels, boxes[:regions], sizes[:regions], merges[:count], similarities[:count])


def _with_room(array: np.ndarray) -> np.ndarray:
    """n rows for the segments and n - 1 more for what they merge to."""
    return np.concatenate([array, np.zeros((len(array) - 1, *array.shape[1:]), array.dtype)])


def _neighbours(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of touching segments (four-connected), each once: (E,), (E,)."""
    beside = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()]).astype(np.int64)
    other = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()]).astype(np.int64)
    touching = beside != other
    beside, other = beside[touching], other[touching]
    codes = np.unique(np.minimum(beside, other) * count + np.maximum(beside, other))
    return (codes // count).astype(np.int32), (codes % count).astype(np.int32)


@njit(cache=True, nogil=True)
def _similarity(a, b, colour, texture, sizes, boxes, weights, picture):
    total = 0.0
    if weights[0] != 0:
        total += weights[0] * histogram_intersection(colour[a], colour[b])
    if weights[1] != 0:
        total += weights[1] * histogram_intersection(texture[a], texture[b])
    if weights[2] != 0:
        total += weights[2] * size_similarity(sizes[a], sizes[b], picture)
    if weights[3] != 0:
        total += weights[3] * fill_similarity(boxes[a], boxes[b], sizes[a], sizes[b], picture)
    return total


@njit(cache=True, nogil=True)
def _average(histograms, a, b, new, share):  # equation 2
    for i in range(histograms.shape[1]):
        histograms[new, i] = share * histograms[a, i] + (1.0 - share) * histograms[b, i]


# Plain loops throughout: numba takes seconds longer to compile the same in array expressions.
@njit(cache=True, nogil=True)
def _group(first, second, colour, texture, sizes, boxes, segments, weights, picture):
    """Fills the empty rows of colour, texture, sizes and boxes; uses up first and second."""
    merges, similarities = np.empty((segments, 2), np.int32), np.empty(segments, np.float64)
    likeness = np.empty(len(first), np.float64)
    for e in range(len(first)):
        likeness[e] = _similarity(first[e], second[e], colour, texture, sizes, boxes, weights, picture)
    seen = np.zeros(len(sizes), np.int32)  # by which new region; no new region is called 0
    edges, step = len(first), 0
    while edges > 0:
        best = 0  # a plain scan: there are some three edges a region, so a heap would not pay for its bookkeeping
        for e in range(1, edges):
            if likeness[e] > likeness[best]:
                best = e
        a, b, new = first[best], second[best], segments + step
        merges[step, 0], merges[step, 1], similarities[step] = a, b, likeness[best]
        share = sizes[a] / (sizes[a] + sizes[b])
        _average(colour, a, b, new, share)
        _average(texture, a, b, new, share)
        sizes[new] = sizes[a] + sizes[b]
        for side in range(2):
            boxes[new, side] = min(boxes[a, side], boxes[b, side])
            boxes[new, 2 + side] = max(boxes[a, 2 + side], boxes[b, 2 + side])
        kept = 0
        for e in range(edges):  # edges of a and b become edges of the new region, each neighbour once
            p, q, value = first[e], second[e], likeness[e]
            if p == a or p == b or q == a or q == b:
                other = q if p == a or p == b else p
                if other == a or other == b or seen[other] == new:
                    continue
                seen[other] = new
                p, q = other, new
                value = _similarity(p, q, colour, texture, sizes, boxes, weights, picture)
            first[kept], second[kept], likeness[kept] = p, q, value
            kept += 1
        edges = kept
        step += 1
    return step, merges, similarities
