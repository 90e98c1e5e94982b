"""Anchors: reference boxes at every cell of the feature map (section 3.1.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def base_anchors(
    base_size: int = 16, ratios: tuple[float, ...] = (0.5, 1.0, 2.0), scales: tuple[float, ...] = (8, 16, 32)
) -> Tensor:
    """The anchors of cell (0, 0), in the original's *inclusive* pixels: width = x2 - x1 + 1.

    They share the centre of the cell, (base_size - 1) / 2. A ratio is height / width; its width is rounded to
    whole pixels before it is scaled, which is why 128^2 at ratio 1:2 is 184 x 96.

    Returns:
        (len(ratios) * len(scales), 4) float32, all scales of the first ratio first.
    Source: generate_anchors.py of py-faster-rcnn.
    """
    centre = (base_size - 1) / 2
    anchors = []
    for ratio in ratios:
        width = round((base_size * base_size / ratio) ** 0.5)
        height = round(width * ratio)
        for scale in scales:
            half_width, half_height = (width * scale - 1) / 2, (height * scale - 1) / 2
            anchors.append([centre - half_width, centre - half_height, centre + half_width, centre + half_height])
    return torch.tensor(anchors, dtype=torch.float32)


def sized_anchors(sizes: tuple[tuple[float, float], ...], base_size: int = 16) -> Tensor:
    """Anchors of cell (0, 0) by width and height, in the house's exclusive pixels: (len(sizes), 4) float32."""
    half = torch.tensor(sizes, dtype=torch.float32).reshape(-1, 2) / 2  # (k, 2)
    return torch.cat([base_size / 2 - half, base_size / 2 + half], dim=1)


def grid_anchors(base: Tensor, map_size: tuple[int, ...], stride: int) -> Tensor:
    """The anchors of a whole map, in the house's exclusive pixels.

    Args:
        base: (k, 4) anchors of cell (0, 0), exclusive. map_size: (rows, columns) of the feature map.
    Returns:
        (rows * columns * k, 4): all anchors of the first cell, then of its right neighbour.
    """
    rows, columns = map_size
    y, x = torch.meshgrid(
        torch.arange(rows, device=base.device), torch.arange(columns, device=base.device), indexing="ij"
    )
    shift = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4) * stride  # (rows * columns, 1, 4)
    return (shift + base).reshape(-1, 4)


def to_exclusive(anchors: Tensor) -> Tensor:
    """Inclusive right and bottom edges (N, 4) to exclusive ones: one pixel more."""
    return anchors + anchors.new_tensor([0, 0, 1, 1])
