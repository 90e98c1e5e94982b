"""Efficient graph-based segmentation (Felzenszwalb & Huttenlocher, IJCV 2004): where the grouping starts.

Every pixel is a node, joined to its eight neighbours by edges that weigh the colour difference. Edges are taken
from light to heavy, and join two components unless the edge is heavier than what either has inside, plus k / size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

WEIGHT_STEPS = (
    148.0  # edge weights are counted in 1/148: 442 (black to white) just fits 16 bits, so edges sort by counting
)
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # half of the eight; the other half are the same edges seen from there


def segment(image: np.ndarray, k: float, sigma: float = 0.8, min_size: int = 20) -> np.ndarray:
    """Segment a picture (H, W, 3) with channels in 0..255.

    Args:
        k: larger prefers larger segments. sigma: of the Gaussian that smooths first, in pixels (0: none).
        min_size: smaller segments join the neighbour over their lightest edge.
    Returns:
        int32 (H, W), labels 0..n-1 in the order in which rows meet them.
    """
    smooth: np.ndarray = image.astype(np.float32)
    if sigma > 0:
        smooth = cv2.GaussianBlur(smooth, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return _segment(np.ascontiguousarray(smooth), k, min_size)


@njit(cache=True, nogil=True)
def _find(parent, node):
    while parent[node] != node:
        parent[node] = parent[parent[node]]  # halve the path: the next search is shorter
        node = parent[node]
    return node


@njit(cache=True, nogil=True)
def _edges(image):
    """All edges in order of their weight: their ends (E,), (E,) and weights in whole steps (E,)."""
    height, width, channels = image.shape
    most = height * width * 4
    first, second, weight = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.uint16)
    count = 0
    for y in range(height):
        for x in range(width):
            for dy, dx in NEIGHBOURS:
                if y + dy < height and 0 <= x + dx < width:
                    squares = 0.0
                    for c in range(channels):
                        squares += (image[y, x, c] - image[y + dy, x + dx, c]) ** 2
                    first[count], second[count] = y * width + x, (y + dy) * width + x + dx
                    weight[count] = min(65535.0, np.sqrt(squares) * WEIGHT_STEPS)
                    count += 1
    starts = np.zeros(65537, np.int64)  # counting sort: stable, and linear in the number of edges
    for e in range(count):
        starts[weight[e] + 1] += 1
    for w in range(65536):
        starts[w + 1] += starts[w]
    sorted_first, sorted_second = np.empty(count, np.int32), np.empty(count, np.int32)
    sorted_weight = np.empty(count, np.uint16)
    for e in range(count):
        place = starts[weight[e]]
        starts[weight[e]] += 1
        sorted_first[place], sorted_second[place], sorted_weight[place] = first[e], second[e], weight[e]
    return sorted_first, sorted_second, sorted_weight


@njit(cache=True, nogil=True)
def _segment(image, k, min_size):
    height, width, _ = image.shape
    first, second, weight = _edges(image)
    parent = np.arange(height * width, dtype=np.int32)
    size = np.ones(height * width, np.int32)
    limit = np.full(height * width, k * WEIGHT_STEPS)  # Int(C) + k / |C|, in weight steps
    for e in range(len(first)):
        a, b = _find(parent, first[e]), _find(parent, second[e])
        if a != b and weight[e] <= limit[a] and weight[e] <= limit[b]:
            parent[b] = a
            size[a] += size[b]
            limit[a] = weight[e] + k * WEIGHT_STEPS / size[a]
    for e in range(len(first)):
        a, b = _find(parent, first[e]), _find(parent, second[e])
        if a != b and (size[a] < min_size or size[b] < min_size):
            parent[b] = a
            size[a] += size[b]
    names = np.full(height * width, -1, np.int32)
    labels = np.empty((height, width), np.int32)
    count = 0
    for pixel in range(height * width):
        root = _find(parent, pixel)
        if names[root] < 0:
            names[root] = count
            count += 1
        labels[pixel // width, pixel % width] = names[root]
    return labels


def segment_reference(smooth: np.ndarray, k: float, min_size: int) -> np.ndarray:
    """The definition of :func:`segment` after smoothing, for small pictures: sets of pixels and a sorted list."""
    height, width = smooth.shape[:2]
    edges = []
    for y in range(height):
        for x in range(width):
            for dy, dx in NEIGHBOURS:
                if y + dy < height and 0 <= x + dx < width:
                    difference = smooth[y, x].astype(np.float64) - smooth[y + dy, x + dx]
                    steps = min(65535, int(np.sqrt((difference**2).sum()) * WEIGHT_STEPS))
                    edges.append((steps, (y, x), (y + dy, x + dx)))
    edges.sort(key=lambda edge: edge[0])  # stable
    component = {(y, x): frozenset([(y, x)]) for y in range(height) for x in range(width)}
    internal = {members: 0 for members in component.values()}
    for weight, p, q in edges:
        a, b = component[p], component[q]
        k_steps = k * WEIGHT_STEPS
        if a is not b and weight <= min(internal[a] + k_steps / len(a), internal[b] + k_steps / len(b)):
            _join(component, a, b)
            internal[component[p]] = weight
    for _, p, q in edges:
        a, b = component[p], component[q]
        if a is not b and min(len(a), len(b)) < min_size:
            _join(component, a, b)
    names: dict[frozenset, int] = {}
    flat = [names.setdefault(component[y, x], len(names)) for y in range(height) for x in range(width)]
    return np.array(flat, np.int32).reshape(height, width)


def _join(component: dict[tuple[int, int], frozenset], a: frozenset, b: frozenset) -> None:
    union = a | b
    for pixel in union:
        component[pixel] = union
