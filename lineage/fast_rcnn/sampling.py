"""RoIs of a minibatch and their loss (section 2.3, "mini-batch sampling")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lineage.common.boxes import encode_boxes
from lineage.common.constants import constant
from lineage.common.image import Frame
from lineage.common.matching import label_regions
from lineage.common.sampling import sample_balanced
from lineage.fast_rcnn.loss import multi_task_loss
from lineage.fast_rcnn.recipe import HeadSettings

if TYPE_CHECKING:
    from lineage.fast_rcnn.detector import FastRCNN


def sample_rois(
    proposals: Tensor, target: dict[str, Tensor], recipe: HeadSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one picture's RoIs: boxes (R, 4) in its pixels, labels (R,), normalised offsets (R, 4)."""
    region = label_regions(proposals, target, foreground=recipe.foreground_iou, background=recipe.background_iou)
    rows = torch.cat(sample_balanced(region.kind, recipe.rois_per_image, recipe.foreground_fraction, generator))
    boxes, labels = region.boxes[rows], region.labels[rows]
    offsets = encode_boxes(region.targets[rows], boxes) / constant(recipe.target_stds, boxes)
    return boxes, labels, offsets


def roi_losses(
    detector: FastRCNN,
    features: Tensor,
    frames: list[Frame],
    targets: list[dict[str, Tensor]],
    proposals: list[Tensor],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Sample RoIs in each picture, pool them from the shared maps (B, C, h, w), and take the multi-task loss."""
    samples = [sample_rois(boxes, target, detector.recipe, generator) for boxes, target in zip(proposals, targets)]
    boxes, labels, offsets = zip(*samples)
    rois = [frame.boxes_in(box.to(features.device)) for frame, box in zip(frames, boxes)]
    fc7 = detector.fc(detector.pool(features, rois))  # (R, D)
    return multi_task_loss(
        detector.head.cls_score(fc7),
        detector.head.offsets(fc7),
        torch.cat(labels).to(features.device),
        torch.cat(offsets).to(features.device),
        detector.recipe.regression_weight,
    )
