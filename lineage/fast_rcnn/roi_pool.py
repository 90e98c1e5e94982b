"""RoI max pooling (section 2.1): SPP-net's pyramid with a single level, and a gradient that passes it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lineage.common.max_pool import max_pool_windows


def roi_pool(
    features: Tensor, boxes: Tensor | list[Tensor], output_size: int | tuple[int, int], spatial_scale: float = 1.0
) -> Tensor:
    """Max-pool every RoI to ``output_size`` bins, with Caffe's rounding.

    Both corners are multiplied by ``spatial_scale`` and rounded to cells, both ends inclusive; bin i of n over
    w cells reaches from floor(i w / n) to ceil((i + 1) w / n); a bin without cells is 0. (A RoI of fewer cells
    than bins has overlapping bins. Copying every cell n times and pooling, as the theory post has it, gives the same.)

    Args:
        features: (B, C, H, W). boxes: a (R_i, 4) a picture, or (R, 5) with the picture's index first; in pixels.
        spatial_scale: 1 / stride.
    Returns:
        (R, C, n, n), equal to ``torchvision.ops.roi_pool``. Source: roi_pooling_layer.cpp of the original.
    Raises:
        ValueError: a picture's index that there is none of. (Not looked for on a GPU, which would have to wait.)
    """
    rois = boxes if isinstance(boxes, Tensor) else with_picture_index(boxes)
    if rois.device.type == "cpu" and len(rois) > 0:
        first, last = rois[:, 0].aminmax()
        if first < 0 or last >= len(features):
            wrong = float(first if first < 0 else last)
            raise ValueError(f"roi_pool: picture index {wrong:g}, but the pictures are 0 to {len(features) - 1}")
    size = (output_size, output_size) if isinstance(output_size, int) else output_size
    return max_pool_windows(features, rois, size, spatial_scale)


def roi_pool_reference(features: Tensor, rois: Tensor, output_size: tuple[int, int], spatial_scale: float) -> Tensor:
    """The definition of :func:`roi_pool` for rois (R, 5), bin by bin."""
    rows, columns = output_size
    height, width = features.shape[2:]
    output = features.new_zeros(len(rois), features.shape[1], rows, columns)
    for r, roi in enumerate(rois):
        left, top, right, bottom = (_round_half_away(float(v) * spatial_scale) for v in roi[1:])
        # Malformed RoIs are forced to be one cell.
        bin_height = max(bottom - top + 1, 1) / rows
        bin_width = max(right - left + 1, 1) / columns
        for i in range(rows):
            first_row = min(max(math.floor(i * bin_height) + top, 0), height)
            last_row = min(max(math.ceil((i + 1) * bin_height) + top, 0), height)
            for j in range(columns):
                first = min(max(math.floor(j * bin_width) + left, 0), width)
                last = min(max(math.ceil((j + 1) * bin_width) + left, 0), width)
                if last_row > first_row and last > first:
                    cells = features[int(roi[0]), :, first_row:last_row, first:last]
                    output[r, :, i, j] = cells.amax(dim=(1, 2))
    return output


def _round_half_away(value: float) -> int:
    """C's round(): halves go away from zero, where Python's go to the even neighbour."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


def with_picture_index(boxes: list[Tensor]) -> Tensor:
    """(R_i, 4) a picture -> (R, 5) with the picture's index in front."""
    index = [box.new_full((len(box), 1), i) for i, box in enumerate(boxes)]
    return torch.cat([torch.cat([i, box], dim=1) for i, box in zip(index, boxes)])
