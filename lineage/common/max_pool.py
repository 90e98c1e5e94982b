"""Max pooling of windows of a feature map: what SPP-net's pyramid and RoI pooling have in common.

torchvision's operator gives the same numbers to the bit, and is what a GPU runs. On a CPU it goes through the map
channel by channel, ours cell by cell with the channels side by side in memory (benchmarks/NOTES.md has the times).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from numba import njit
from torch import Tensor

WINDOWS_IN_CACHE = 16  # whose bins, 6 x 6 of 512 channels, take 1.2 MB


def max_pool_windows(
    features: Tensor, windows: Tensor, output_size: tuple[int, int], spatial_scale: float = 1.0
) -> Tensor:
    """Max-pool every window of a feature map to a grid of bins.

    Both corners are multiplied by ``spatial_scale`` and rounded to cells, both ends inclusive; bin i of n over w cells
    reaches from floor(i w / n) to ceil((i + 1) w / n). A bin off the map is 0; a window inside out is one cell.

    Args:
        features: (B, C, H, W). windows: (R, 5), the picture's index and x1, y1, x2, y2.
        output_size: rows and columns of bins.
    Returns:
        (R, C, rows, columns), channels_last on a CPU; differentiable in ``features``.
    """
    if features.device.type != "cpu":
        return torchvision.ops.roi_pool(features, windows, output_size, spatial_scale)
    if features.dtype not in (torch.float32, torch.float64):  # numpy has no bfloat16; a maximum is exact either way
        return max_pool_windows(features.float(), windows.float(), output_size, spatial_scale).to(features.dtype)
    rows, columns = bin_edges(
        windows[:, 1:].detach(), output_size, spatial_scale, (features.shape[2], features.shape[3])
    )
    return _MaxPool.apply(features, windows[:, 0].long(), rows, columns)


def max_pool_pyramid(features: Tensor, windows: Tensor, levels: tuple[int, ...]) -> list[Tensor]:
    """:func:`max_pool_windows` with n x n bins for each n of ``levels``: one (R, C, n, n) a level.

    A bin is the union of finer ones where a finer level is a multiple: then its maximum is theirs, provided that the
    windows lie on the map, where no bin is empty.
    """
    learning = features.requires_grad and torch.is_grad_enabled()
    if learning or features.device.type != "cpu" or features.dtype != torch.float32:
        pooled: dict[int, Tensor] = {}
        for level in sorted(levels, reverse=True):
            finer = _multiple(level, pooled)
            if finer is None:
                pooled[level] = max_pool_windows(features, windows, (level, level))
            else:
                pooled[level] = F.max_pool2d(pooled[finer], finer // level)
        return [pooled[level] for level in levels]
    return _pyramid_on_cpu(features, windows, levels)


def _multiple(level: int, levels: Iterable[int]) -> int | None:
    """The smallest of ``levels`` that is a multiple of ``level``."""
    return min((n for n in levels if n > level and n % level == 0), default=None)


def _pyramid_on_cpu(features: Tensor, windows: Tensor, levels: tuple[int, ...]) -> list[Tensor]:
    """A few windows at a time, so that their fine bins are still in the cache when the coarse ones are made of them."""
    cells = features.permute(0, 2, 3, 1).contiguous().numpy()  # (B, H, W, C): no copy where it is channels_last
    pictures, size = windows[:, 0].long().numpy(), (features.shape[2], features.shape[3])
    pooled = {n: np.empty((len(windows), n, n, features.shape[1]), np.float32) for n in sorted(levels, reverse=True)}
    finer_of = {level: _multiple(level, pooled) for level in pooled}
    edges = {n: bin_edges(windows[:, 1:], (n, n), 1.0, size) for n, finer in finer_of.items() if finer is None}
    for first in range(0, len(windows), WINDOWS_IN_CACHE):
        here = slice(first, first + WINDOWS_IN_CACHE)
        for level, finer in finer_of.items():
            output = pooled[level][here]
            if finer is None:
                rows, columns = (edge[:, here].contiguous().numpy() for edge in edges[level])
                _pool(cells, pictures[here], rows, columns, output, np.empty((0, level, level, 0), np.int32))
            else:
                _coarsen(pooled[finer][here], output)
    return [torch.from_numpy(pooled[level]).permute(0, 3, 1, 2) for level in levels]


def bin_edges(
    boxes: Tensor, output_size: tuple[int, int], spatial_scale: float, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """First and last-plus-one cell of every bin: rows (2, R, n) and columns (2, R, m), int64.

    Args:
        boxes: (R, 4). size: (H, W) of the map.
    """
    scaled = boxes * spatial_scale
    corners = torch.where(scaled < 0, -(0.5 - scaled.double()).floor(), (scaled.double() + 0.5).floor())  # C's round()
    corners = corners.to(boxes.dtype)
    edges = []
    for axis, (bins, cells) in enumerate(zip(output_size, size)):
        low, high = corners[:, 1 - axis, None], corners[:, 3 - axis, None]  # (R, 1), y first
        bin_size = (high - low + 1).clamp(min=1) / bins
        index = torch.arange(bins, dtype=boxes.dtype)  # (bins,)
        first, last = (index * bin_size).floor() + low, ((index + 1) * bin_size).ceil() + low
        edges.append(torch.stack([first, last]).clamp(0, cells).long())
    return edges[0], edges[1]


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        cells = features.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C): no copy where it is channels_last
        shape = len(pictures), rows.shape[2], columns.shape[2], features.shape[1]
        pooled = cells.new_empty(shape)  # (R, n, m, C)
        winners = torch.empty(shape if ctx.needs_input_grad[0] else (0, *shape[1:]), dtype=torch.int32)
        _pool(cells.numpy(), pictures.numpy(), rows.numpy(), columns.numpy(), pooled.numpy(), winners.numpy())
        ctx.save_for_backward(winners, pictures)
        ctx.shape = cells.shape
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        winners, pictures = ctx.saved_tensors
        gradient = gradients[0].permute(0, 2, 3, 1).contiguous()  # (R, n, m, C)
        result = gradient.new_zeros(ctx.shape)  # (B, H, W, C)
        _give_back(
            gradient.numpy(), winners.numpy(), pictures.numpy(), result.view(len(result), -1, ctx.shape[3]).numpy()
        )
        return result.permute(0, 3, 1, 2), None, None, None


@njit(cache=True, nogil=True)
def _pool(cells, pictures, rows, columns, pooled, winners):  # type: ignore[no-untyped-def]
    """``winners`` (0, ...) : nobody will ask for the gradient, so which cell won is not written down."""
    width, channels = cells.shape[2], cells.shape[3]
    for r in range(len(pictures)):
        picture = cells[pictures[r]]
        for i in range(rows.shape[2]):
            top, bottom = rows[0, r, i], rows[1, r, i]
            for j in range(columns.shape[2]):
                left, right = columns[0, r, j], columns[1, r, j]
                best = pooled[r, i, j]  # (C,)
                best[:] = 0.0 if bottom <= top or right <= left else -np.inf
                if len(winners) == 0:
                    for y in range(top, bottom):
                        for x in range(left, right):
                            values = picture[y, x]
                            for c in range(channels):
                                best[c] = max(values[c], best[c])
                    continue
                winner = winners[r, i, j]  # (C,)
                winner[:] = -1
                for y in range(top, bottom):
                    for x in range(left, right):
                        values, cell = picture[y, x], np.int32(y * width + x)
                        for c in range(channels):  # without a branch, so that it becomes vector instructions
                            better = values[c] > best[c]
                            best[c] = values[c] if better else best[c]
                            winner[c] = cell if better else winner[c]


@njit(cache=True, nogil=True)
def _coarsen(fine, coarse):  # type: ignore[no-untyped-def]
    """The maxima of each square of fine bins. Two bins a pass over the channels, to write the result half as often."""
    side, channels = fine.shape[1] // coarse.shape[1], fine.shape[3]
    bins = side * side
    for r in range(coarse.shape[0]):
        for i in range(coarse.shape[1]):
            for j in range(coarse.shape[2]):
                best = coarse[r, i, j]  # (C,)
                for k in range(0, bins, 2):
                    a = fine[r, i * side + k // side, j * side + k % side]
                    last = min(k + 1, bins - 1)
                    b = fine[r, i * side + last // side, j * side + last % side]
                    if k == 0:
                        for c in range(channels):
                            best[c] = max(a[c], b[c])
                    else:
                        for c in range(channels):
                            best[c] = max(max(a[c], b[c]), best[c])


@njit(cache=True, nogil=True)
def _give_back(gradient, winners, pictures, result):  # type: ignore[no-untyped-def]
    """Each bin's gradient goes to the cell that won it."""
    for r in range(gradient.shape[0]):
        for i in range(gradient.shape[1]):
            for j in range(gradient.shape[2]):
                for c in range(gradient.shape[3]):
                    cell = winners[r, i, j, c]
                    if cell >= 0:
                        result[pictures[r], cell, c] += gradient[r, i, j, c]
