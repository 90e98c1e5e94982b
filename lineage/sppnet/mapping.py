"""Which conv5 cells a window of the picture covers, and at which scale to look (section 4.1, appendix A)."""

from __future__ import annotations

import torch
from torch import Tensor

from lineage.common.boxes import box_area
from lineage.common.constants import constant


def window_to_cells(boxes: Tensor, stride: int, map_size: tuple[int, ...], offset: float = 0.0) -> Tensor:
    """Project windows onto the feature map: the cells whose centres lie inside.

    Appendix A pads each layer by half its filter, so that cell x' sees the input around stride * x'; then the
    left and top end at floor(x / S) + 1, the right and bottom at ceil(x / S) - 1. (The repository's constants
    correct for networks padded otherwise; here ``offset`` does.)

    Args:
        boxes: (R, 4) in the pixels of the network's input.
        stride: S, the product of all strides. map_size: (rows, columns) of the feature map.
        offset: input coordinate of the centre of cell 0; the paper's rule has 0.
    Returns:
        (R, 4) int64: first column, first row, last column, last row, *inclusive*. A window that holds no
        cell's centre gets the cell nearest to its middle.
    """
    rows, columns = map_size
    first = ((boxes[:, :2] - offset) / stride).floor() + 1  # (R, 2)
    last = ((boxes[:, 2:] - offset) / stride).ceil() - 1  # (R, 2)
    middle = (((boxes[:, :2] + boxes[:, 2:]) / 2 - offset) / stride).round()
    empty = last < first
    first, last = torch.where(empty, middle, first), torch.where(empty, middle, last)
    limit = constant((columns - 1, rows - 1), first)
    return torch.cat([first.clamp(min=0).minimum(limit), last.clamp(min=0).minimum(limit)], dim=1).long()


def choose_scale(boxes: Tensor, factors: list[float], view: int) -> Tensor:
    """For each window (R, 4) the index (R,) of the scale at which its area is nearest ``view`` squared pixels.

    Args:
        factors: by how much each scale enlarges the picture.
    """
    areas = box_area(boxes)[:, None] * constant(tuple(factors), boxes) ** 2  # (R, scales)
    return (areas - view**2).abs().argmin(dim=1)
