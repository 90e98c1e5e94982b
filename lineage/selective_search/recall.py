"""How good proposals are before any detector sees them (Uijlings et al. 2013, section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lineage.common.boxes import box_iou


def best_overlaps(proposals: Sequence[Tensor], truths: Sequence[Tensor]) -> Tensor:
    """The largest IoU (G,) that any proposal of its picture has with each object, over all pictures.

    Args:
        proposals: (R_i, 4) a picture. truths: (G_i, 4) a picture.
    """
    found = [torch.zeros(0)]
    for boxes, truth in zip(proposals, truths, strict=True):
        if len(truth):
            found.append(box_iou(truth, boxes).max(dim=1).values if len(boxes) else truth.new_zeros(len(truth)))
    return torch.cat(found)


def recall(overlaps: Tensor, iou: float) -> float:
    """The share of objects with a proposal of at least this IoU."""
    return float((overlaps >= iou).float().mean()) if len(overlaps) else float("nan")


def recall_at(
    budgets: Sequence[int], proposals: Sequence[Tensor], truths: Sequence[Tensor], iou: float = 0.5
) -> list[float]:
    """The recall of each picture's first so many proposals, for every one of ``budgets``."""
    return [recall(best_overlaps([boxes[:count] for boxes in proposals], truths), iou) for count in budgets]


def mean_best_overlap(overlaps: Tensor) -> float:
    """The mean of the best overlaps, MABO without the average over classes."""
    return float(overlaps.mean()) if len(overlaps) else float("nan")
