"""Greedy non-maximum suppression: the stage that no paper of the four changed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor

from lineage.common.boxes import box_iou


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices (K,) of the boxes kept, best score first.

    Args:
        boxes: (N, 4) pixels. scores: (N,), the higher the better.
        iou_threshold: a box goes when its IoU with a better one that stayed is *above* this.
    Source: R-CNN (arXiv 1311.2524), section 2.2. The work is done by torchvision's operator.
    """
    return torchvision.ops.nms(boxes, scores, iou_threshold)


def nms_reference(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The definition of :func:`nms`: take the best, drop what overlaps it, repeat."""
    waiting = scores.sort(descending=True, stable=True).indices  # (N,)
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        overlap = box_iou(boxes[best, None], boxes[waiting])[0]
        waiting = waiting[overlap <= iou_threshold]
    return torch.stack(kept) if kept else scores.new_zeros(0, dtype=torch.int64)


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Like :func:`nms`, but only boxes of the same group (class, picture) suppress each other.

    Args:
        boxes: (N, 4). scores: (N,). groups: (N,) int64.
    """
    return torchvision.ops.batched_nms(boxes, scores, groups, iou_threshold)


def batched_nms_reference(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    iou_threshold: float,
    suppress: Callable[[Tensor, Tensor, float], Tensor] = nms_reference,
) -> Tensor:
    """The definition of :func:`batched_nms`: one ``suppress`` a group, merged by score."""
    kept = [torch.zeros(0, dtype=torch.int64)]
    for group in groups.unique():
        members = torch.where(groups == group)[0]
        kept.append(members[suppress(boxes[members], scores[members], iou_threshold)])
    indices = torch.cat(kept)
    return indices[scores[indices].sort(descending=True, stable=True).indices]


def suppress_per_class(
    boxes: Tensor, scores: Tensor, *, score_threshold: float, iou_threshold: float, max_detections: int
) -> dict[str, Tensor]:
    """The last stage of all four generations: per-class greedy NMS.

    Args:
        boxes: (R, C, 4), each region's box as class c would have it.
        scores: (R, C), without the background column.
        score_threshold: regions scoring at most this for a class are no candidates for it.
        max_detections: at most this many a picture, the best of all classes.
    Returns:
        ``boxes`` (D, 4), ``scores`` (D,), ``labels`` (D,) int64 in 1..C, best first.
    """
    region, label = torch.where(scores > score_threshold)  # (N,), (N,)
    boxes, scores = boxes[region, label], scores[region, label]  # (N, 4), (N,)
    kept = batched_nms(boxes, scores, label, iou_threshold)[:max_detections]
    return {"boxes": boxes[kept], "scores": scores[kept], "labels": label[kept] + 1}
