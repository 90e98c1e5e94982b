"""Warping proposals to the CNN's square input, with context (appendix A, "tightest square without"... (D))."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lineage.common.constants import constant


def add_context(boxes: Tensor, size: int, context: int) -> Tensor:
    """Grow boxes (N, 4) so that, once warped to ``size``, ``context`` pixels surround the original box.

    Raises:
        ValueError: the context leaves no room for the box.
    """
    if not 0 <= 2 * context < size:
        raise ValueError(f"context: {context} px on both sides do not fit a crop of {size} px")
    scale = size / (size - 2 * context)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * scale  # (N, 2)
    return torch.cat([centre - half, centre + half], dim=1)


def warp_crops(image: Tensor, boxes: Tensor, size: int, context: int = 0) -> Tensor:
    """Warp each box, aspect ratio ignored, to a square crop.

    Every output pixel is the bilinear sample of the picture at its centre; what lies off the picture is 0, so
    normalise first and the fill is the mean colour (appendix A).

    Args:
        image: (3, H, W), already normalised. boxes: (N, 4) in pixels.
        size: side of the crops. context: pixels of surroundings, *measured in the warped frame*.
    Returns:
        (N, 3, size, size), channels_last in memory.
    """
    grown = add_context(boxes, size, context)
    if image.device.type == "cpu":
        return _warp_with_opencv(image, grown, size)
    return warp_crops_reference(image, grown, size)


def warp_crops_reference(image: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The definition, as one sampling grid; also what a GPU runs, in one bulk call."""
    height, width = image.shape[1:]
    extent = constant((width, height), boxes)
    zoom = (boxes[:, 2:] - boxes[:, :2]) / extent  # (N, 2)
    shift = (boxes[:, :2] + boxes[:, 2:]) / extent - 1  # (N, 2)
    theta = torch.cat([torch.diag_embed(zoom), shift[:, :, None]], dim=2)  # (N, 2, 3)
    grid = F.affine_grid(theta, [len(boxes), 3, size, size], align_corners=False)  # (N, size, size, 2)
    return F.grid_sample(image.expand(len(boxes), -1, -1, -1), grid, align_corners=False)


def _warp_with_opencv(image: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Five times grid_sample's speed on a CPU, and the crops come out channels_last for nothing."""
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())  # (H, W, 3)
    crops = np.empty((len(boxes), size, size, 3), np.float32)
    step = ((boxes[:, 2:] - boxes[:, :2]) / size).double().numpy()  # picture pixels a crop pixel
    start = boxes[:, :2].double().numpy() + 0.5 * step - 0.5  # where the first crop pixel's centre lies
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for crop, (step_x, step_y), (x, y) in zip(crops, step, start):
        inverse = np.array([[step_x, 0.0, x], [0.0, step_y, y]])
        cv2.warpAffine(pixels, inverse, (size, size), dst=crop, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return torch.from_numpy(crops).permute(0, 3, 1, 2)
