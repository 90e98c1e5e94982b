"""The region proposal network: a 3 x 3 convolution and two 1 x 1 siblings over the shared map (section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lineage.common.boxes import clip_boxes_to_image, decode_boxes, remove_small_boxes
from lineage.common.nms import nms
from lineage.faster_rcnn.anchors import base_anchors, grid_anchors, sized_anchors, to_exclusive
from lineage.faster_rcnn.recipe import RPNSettings


class RPN(nn.Module):
    """Feature maps (B, C, h, w) -> objectness (B, h * w * k, 2) and offsets (B, h * w * k, 4).

    Objectness is a softmax over (background, object), as the paper and the slides have it; channel 2 a + 1 of
    ``cls_score`` is anchor a's object score.
    """

    base: Tensor

    def __init__(self, channels: int, stride: int, settings: RPNSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings, self.stride = settings, stride
        base = anchors_of(settings)  # (k, 4)
        self.register_buffer("base", base, persistent=False)
        self.conv = nn.Conv2d(channels, settings.channels, 3, padding=settings.dilation, dilation=settings.dilation)
        self.cls_score = nn.Conv2d(settings.channels, 2 * len(base), 1)
        self.bbox_pred = nn.Conv2d(settings.channels, 4 * len(base), 1)
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.conv, self.cls_score, self.bbox_pred):
            nn.init.normal_(layer.weight, std=settings.std, generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.conv(features).relu_()  # (B, 512, h, w)
        scores = self.cls_score(hidden).permute(0, 2, 3, 1)  # (B, h, w, 2 k)
        offsets = self.bbox_pred(hidden).permute(0, 2, 3, 1)  # (B, h, w, 4 k)
        return scores.reshape(len(features), -1, 2), offsets.reshape(len(features), -1, 4)

    def anchors(self, features: Tensor) -> Tensor:
        """All anchors (h * w * k, 4) of a map, in pixels of the network's input."""
        return grid_anchors(self.base, features.shape[2:], self.stride)


def anchors_of(settings: RPNSettings) -> Tensor:
    """The anchors (k, 4) of cell (0, 0) that a recipe asks for, exclusive."""
    if settings.sizes:
        return sized_anchors(settings.sizes, settings.base_size)
    return to_exclusive(base_anchors(settings.base_size, settings.ratios, settings.scales))


def select_proposals(
    scores: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    size: tuple[int, int],
    settings: RPNSettings,
    *,
    training: bool = False,
) -> tuple[Tensor, Tensor]:
    """From one picture's RPN outputs to its proposals: best n, decode, clip, drop small, NMS, best m (section 3.3).

    Args:
        scores: (A, 2). offsets: (A, 4). anchors: (A, 4). size: (h, w) of the network's input.
    Returns:
        boxes (R, 4) in pixels of the network's input and their objectness (R,), best first.
    """
    before = settings.before_nms_train if training else settings.before_nms_test
    after = settings.after_nms_train if training else settings.after_nms_test
    objectness = scores[:, 1] - scores[:, 0]  # the softmax's argument: the same order, and no rounding to 1.0
    objectness, order = objectness.topk(min(before, len(objectness)))
    boxes = clip_boxes_to_image(decode_boxes(offsets[order], anchors[order]), size)
    kept = remove_small_boxes(boxes, settings.min_size)
    boxes, objectness = boxes[kept], objectness[kept]
    kept = nms(boxes, objectness, settings.nms_iou)[:after]
    return boxes[kept], objectness[kept].sigmoid()
