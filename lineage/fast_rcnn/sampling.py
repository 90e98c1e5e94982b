"""RoIs of a minibatch (section 2.3, "mini-batch sampling")."""

from __future__ import annotations

import torch
from torch import Tensor

from lineage.common.boxes import encode_boxes
from lineage.common.constants import constant
from lineage.common.matching import label_regions
from lineage.common.sampling import sample_balanced
from lineage.fast_rcnn.recipe import HeadSettings


def sample_rois(
    proposals: Tensor, target: dict[str, Tensor], recipe: HeadSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one picture's RoIs: boxes (R, 4) in its pixels, labels (R,), normalised offsets (R, 4)."""
    region = label_regions(proposals, target, foreground=recipe.foreground_iou, background=recipe.background_iou)
    rows = torch.cat(sample_balanced(region.kind, recipe.rois_per_image, recipe.foreground_fraction, generator))
    boxes, labels = region.boxes[rows], region.labels[rows]
    offsets = encode_boxes(region.targets[rows], boxes) / constant(recipe.target_stds, boxes)
    return boxes, labels, offsets


def sample_minibatch(
    proposals: list[Tensor],
    targets: list[dict[str, Tensor]],
    recipe: HeadSettings,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """RoIs of several pictures, on ``device``: boxes (R_i, 4) of each; labels (R,) and offsets (R, 4) of all."""
    samples = [sample_rois(boxes, target, recipe, generator) for boxes, target in zip(proposals, targets)]
    boxes, labels, offsets = zip(*samples)
    return [box.to(device) for box in boxes], torch.cat(labels).to(device), torch.cat(offsets).to(device)
