"""Assigning ground truth to boxes by IoU: one rule, four sets of thresholds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lineage.common.boxes import box_iou

FOREGROUND, BACKGROUND, IGNORED = 1, 0, -1


class Matches(NamedTuple):
    """What :func:`match_boxes` found, one entry a box."""

    kind: Tensor  # (N,) int8: FOREGROUND, BACKGROUND or IGNORED
    truth: Tensor  # (N,) int64: the ground truth of largest IoU (0 where there is none)
    iou: Tensor  # (N,) that IoU


def match_boxes(
    boxes: Tensor,
    ground_truth: Tensor,
    *,
    foreground: float,
    background: tuple[float, float],
    force_best: bool = False,
) -> Matches:
    """Label each box by its largest IoU with any ground truth.

    Args:
        boxes: (N, 4); ground_truth: (G, 4), G may be 0.
        foreground: IoU of at least this is foreground.
        background: (low, high): IoU in [low, high) is background; everything else is ignored.
        force_best: also make foreground every box that is some ground truth's best, however low its
            IoU (ties included): Faster R-CNN's first condition, so that no object goes without an anchor.
    Source: Fast R-CNN section 2.3; Faster R-CNN section 3.1.2.
    """
    if len(ground_truth) == 0:
        iou, index = boxes.new_zeros(len(boxes)), boxes.new_zeros(len(boxes), dtype=torch.int64)
    else:
        overlaps = box_iou(boxes, ground_truth)  # (N, G)
        iou, index = overlaps.max(dim=1)
    low, high = background
    kind = torch.full((len(boxes),), IGNORED, dtype=torch.int8, device=boxes.device)
    kind[(iou >= low) & (iou < high)] = BACKGROUND
    kind[iou >= foreground] = FOREGROUND
    if force_best and len(ground_truth) and len(boxes):
        best = overlaps.max(dim=0).values  # (G,)
        # A ground truth that nothing touches has best IoU 0: then it would claim every box.
        claimed = ((overlaps == best) & (best > 0)).any(dim=1)
        kind[claimed] = FOREGROUND
    return Matches(kind, index, iou)


class LabelledRegions(NamedTuple):
    """The regions of one picture as training sees them."""

    boxes: Tensor  # (N, 4)
    kind: Tensor  # (N,) FOREGROUND, BACKGROUND or IGNORED
    labels: Tensor  # (N,) int64: the class of foreground regions, 0 elsewhere
    targets: Tensor  # (N, 4) the matched ground-truth box (only meaningful for foreground)


def label_regions(
    proposals: Tensor,
    target: dict[str, Tensor],
    *,
    foreground: float,
    background: tuple[float, float],
) -> LabelledRegions:
    """Proposals (R, 4) and the ground-truth boxes themselves, labelled for classification.

    Objects marked difficult are left out, as all four repositories do; the ground-truth boxes are added
    because early in training they may be the only foreground (R-CNN's window files and Fast R-CNN's roidb do so).
    """
    truth, labels = usable_objects(target)
    boxes = torch.cat([truth, proposals])
    matches = match_boxes(boxes, truth, foreground=foreground, background=background)
    if len(truth) == 0:
        return LabelledRegions(boxes, matches.kind, torch.zeros_like(matches.truth), torch.zeros_like(boxes))
    labels = torch.where(matches.kind == FOREGROUND, labels[matches.truth], 0)
    return LabelledRegions(boxes, matches.kind, labels, truth[matches.truth])


def usable_objects(target: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes (G, 4) and labels (G,) of the objects that are not marked difficult."""
    if "difficult" not in target:
        return target["boxes"], target["labels"]
    usable = ~target["difficult"].bool()
    return target["boxes"][usable], target["labels"][usable]
