"""Spatial pyramid pooling (sections 2.2 and 4.1): a fixed-length vector from a window of any size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lineage.common.max_pool import max_pool_pyramid


def spatial_pyramid_pool(features: Tensor, cells: Tensor, levels: tuple[int, ...]) -> list[Tensor]:
    """Max-pool each window into n x n bins, for each level n.

    Bin i of n over w cells reaches from floor(i w / n) to ceil((i + 1) w / n): bins overlap rather than leave
    a cell out, and none is empty.

    Args:
        features: (1, C, H, W). cells: (R, 4) int64 inclusive, of :func:`~lineage.sppnet.mapping.window_to_cells`.
        levels: bins a side, for example (6, 3, 2, 1) for the paper's 50 bins or (4, 2, 1) for 21.
    Returns:
        one (R, C, n, n) a level.
    """
    rois = torch.cat([cells.new_zeros(len(cells), 1), cells], dim=1).to(features.dtype)  # (R, 5)
    return max_pool_pyramid(features, rois, levels)  # (R, C, n, n) each


def spatial_pyramid_pool_reference(features: Tensor, cells: Tensor, levels: tuple[int, ...]) -> list[Tensor]:
    """The definition of :func:`spatial_pyramid_pool`, bin by bin."""
    pooled = [features.new_empty(len(cells), features.shape[1], level, level) for level in levels]
    for r, (left, top, right, bottom) in enumerate(cells.tolist()):
        window = features[0, :, top : bottom + 1, left : right + 1]  # (C, h, w)
        height, width = window.shape[1:]
        for level, output in zip(levels, pooled):
            for i in range(level):
                rows = slice(math.floor(i * height / level), math.ceil((i + 1) * height / level))
                for j in range(level):
                    columns = slice(math.floor(j * width / level), math.ceil((j + 1) * width / level))
                    output[r, :, i, j] = window[:, rows, columns].amax(dim=(1, 2))
    return pooled
