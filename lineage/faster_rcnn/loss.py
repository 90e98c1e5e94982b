"""Which anchors the RPN learns from, and its loss (sections 3.1.2 and 3.1.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lineage.common.boxes import encode_boxes
from lineage.common.matching import FOREGROUND, IGNORED, match_boxes
from lineage.common.sampling import sample_balanced
from lineage.fast_rcnn.loss import smooth_l1
from lineage.faster_rcnn.recipe import RPNSettings


def rpn_targets(anchors: Tensor, truth: Tensor, size: tuple[int, int], settings: RPNSettings) -> tuple[Tensor, Tensor]:
    """Label every anchor of one picture.

    Positive: IoU >= 0.7 with an object, or an object's best anchor; negative: IoU < 0.3 with all; the rest, and
    anchors that cross the picture's border, are ignored. An object's best is sought among the inside anchors.

    Args:
        anchors: (A, 4) and truth: (G, 4), both in pixels of the network's input. size: (h, w) of it.
    Returns:
        kind (A,) int8 as in :mod:`lineage.common.matching`, and offsets (A, 4) to the matched object (0 where
        the anchor is not positive).
    """
    height, width = size
    kind = torch.full((len(anchors),), IGNORED, dtype=torch.int8, device=anchors.device)
    offsets = torch.zeros_like(anchors)
    if settings.keep_border_anchors:  # only those whose centre lies outside a padded picture go
        centre = (anchors[:, :2] + anchors[:, 2:]) / 2
        inside = torch.where((centre[:, 0] < width) & (centre[:, 1] < height))[0]
    else:
        fits = (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2] <= width) & (anchors[:, 3] <= height)
        inside = torch.where(fits)[0]
    matches = match_boxes(
        anchors[inside], truth, foreground=settings.foreground_iou, background=settings.background_iou, force_best=True
    )
    kind[inside] = matches.kind
    positive = matches.kind == FOREGROUND
    rows = inside[positive]
    offsets[rows] = encode_boxes(truth[matches.truth[positive]], anchors[rows])
    return kind, offsets


def rpn_loss(
    scores: Tensor,
    offsets: Tensor,
    kind: Tensor,
    targets: Tensor,
    locations: int,
    settings: RPNSettings,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """L = 1/N_cls sum L_cls + lambda / N_reg sum p* L_reg over a balanced sample of one picture's anchors (equation 1).

    Args:
        scores: (A, 2). offsets: (A, 4). kind: (A,), targets: (A, 4), of :func:`rpn_targets`.
        locations: N_reg, the cells of the feature map (~2400 at 600 x 1000).
    Returns:
        {"objectness", "rpn_regression"}, scalars.
    """
    positive, negative = sample_balanced(kind, settings.anchors_per_image, settings.foreground_fraction, generator)
    chosen = torch.cat([positive, negative])
    is_object = torch.zeros(len(chosen), dtype=torch.int64, device=scores.device)
    is_object[: len(positive)] = 1
    if len(chosen) == 0:  # a picture smaller than every anchor
        return {"objectness": scores.sum() * 0, "rpn_regression": offsets.sum() * 0}
    difference = offsets[positive] - targets[positive]
    regression = smooth_l1(difference, settings.smooth_l1_beta).sum()
    return {
        "objectness": F.cross_entropy(scores[chosen], is_object, reduction="sum") / settings.anchors_per_image,
        "rpn_regression": settings.regression_weight * regression / locations,
    }
