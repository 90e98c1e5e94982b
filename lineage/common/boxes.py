"""Box algebra, with torchvision's names.

A box is (x1, y1, x2, y2) in pixels, continuous, right and bottom exclusive: its width is x2 - x1.
(The original Caffe code counts pixels inclusively, width = x2 - x1 + 1; data/voc.py converts once.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# A predicted t_w of more than this would make a box over 62 times its proposal's width: exp would only
# overflow. torchvision and Detectron use the same bound.
MAX_LOG_SCALE = math.log(1000.0 / 16)


def box_area(boxes: Tensor) -> Tensor:
    """Areas (N,) in square pixels of boxes (N, 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union (N, M) of boxes1 (N, 4) with boxes2 (M, 4).

    Two boxes without area have IoU 0 rather than 0/0, so a degenerate box never makes a NaN.
    """
    top_left = torch.maximum(boxes1[:, None, :2], boxes2[:, :2])  # (N, M, 2)
    bottom_right = torch.minimum(boxes1[:, None, 2:], boxes2[:, 2:])  # (N, M, 2)
    overlap = (bottom_right - top_left).clamp(min=0).prod(dim=2)  # (N, M)
    union = box_area(boxes1)[:, None] + box_area(boxes2) - overlap
    return torch.where(union > 0, overlap / union, torch.zeros_like(overlap))


def box_iou_reference(box1: Tensor, box2: Tensor) -> float:
    """IoU of two single boxes (4,), as one would compute it by hand."""
    width = min(float(box1[2]), float(box2[2])) - max(float(box1[0]), float(box2[0]))
    height = min(float(box1[3]), float(box2[3])) - max(float(box1[1]), float(box2[1]))
    if width <= 0 or height <= 0:  # forgetting this clamp makes two far-apart boxes overlap
        return 0.0
    intersection = width * height
    return intersection / (float(box_area(box1)) + float(box_area(box2)) - intersection)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Boxes (..., 4) cut to a picture of ``size`` = (height, width)."""
    height, width = size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Indices (K,) of the boxes (N, 4) whose sides are both at least ``min_size`` pixels."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return torch.where((width >= min_size) & (height >= min_size))[0]


def encode_boxes(targets: Tensor, anchors: Tensor) -> Tensor:
    """The offsets (N, 4) = (t_x, t_y, t_w, t_h) that turn ``anchors`` (N, 4) into ``targets`` (N, 4).

    t_x = (x - x_a) / w_a and t_w = log(w / w_a), with x the centre: R-CNN (arXiv 1311.2524), appendix C,
    equations 6-9. Unchanged up to Faster R-CNN, where the anchor is what the proposal was.
    """
    anchor_size = (anchors[:, 2:] - anchors[:, :2]).clamp(min=1e-6)  # (N, 2)
    target_size = (targets[:, 2:] - targets[:, :2]).clamp(min=1e-6)  # (N, 2)
    centre_shift = (targets[:, 2:] + targets[:, :2] - anchors[:, 2:] - anchors[:, :2]) / 2
    return torch.cat([centre_shift / anchor_size, torch.log(target_size / anchor_size)], dim=1)


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Inverse of :func:`encode_boxes`: offsets (N, ..., 4) on anchors (N, 4) give boxes (N, ..., 4)."""
    extra = (1,) * (offsets.dim() - 2)
    size = (anchors[:, 2:] - anchors[:, :2]).view(-1, *extra, 2)
    centre = ((anchors[:, 2:] + anchors[:, :2]) / 2).view(-1, *extra, 2)
    centre = centre + offsets[..., :2] * size
    half = size * offsets[..., 2:].clamp(max=MAX_LOG_SCALE).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)
