"""R-CNN, figure 1 of the paper: extract region proposals, compute CNN features of each, classify."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lineage.backbones import Backbone
from lineage.common.batches import GPU_PIXELS, PIXELS, in_batches
from lineage.common.boxes import clip_boxes_to_image
from lineage.common.image import as_channels_last, detect_each, normalise
from lineage.common.nms import suppress_per_class
from lineage.common.precision import mixed
from lineage.common.stages import stage
from lineage.rcnn.box_regression import BoxRegressors
from lineage.rcnn.recipe import QUICK, Recipe
from lineage.rcnn.svm import LinearSVMs
from lineage.rcnn.warp import warp_crops


class RCNN(nn.Module):
    """The first generation. Everything is computed per proposal; nothing is shared but the picture.

    Args:
        classes: their names, without the background.
    Speaks torchvision's dialect: ``detector([image]) -> [{"boxes", "scores", "labels"}]``; scores are SVM margins.
    """

    generation = "rcnn"
    amp: str | None = None  # "bf16": the CNN in mixed precision

    def __init__(self, backbone: Backbone, classes: tuple[str, ...], recipe: Recipe = QUICK) -> None:
        super().__init__()
        self.backbone, self.classes, self.recipe = backbone, tuple(classes), recipe
        self.svms = LinearSVMs(backbone.features, len(classes))
        self.regressors = BoxRegressors(backbone.channels * backbone.pool_size**2, len(classes))
        self.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def detect(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Tensor]:
        """One picture (3, H, W) -> ``boxes`` (D, 4), ``scores`` (D,), ``labels`` (D,)."""
        if proposals is None:
            proposals = self.propose(image)  # (R, 4)
        pool5, fc7 = self.features(image, proposals)  # (R, D5), (R, D7)
        scores = self.classify(fc7)  # (R, C)
        boxes = self.refine(pool5, proposals, image)  # (R, C, 4)
        return self.suppress(boxes, scores)

    def forward(self, images: list[Tensor], proposals: list[Tensor] | None = None) -> list[dict[str, Tensor]]:
        return detect_each(self.detect, images, proposals)

    def features(self, image: Tensor, proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Warp and CNN, in as many rounds as keep the crops within the recipe's memory budget."""
        pixels = normalise(image, self.backbone.mean, self.backbone.std)
        round_size = max(1, self.recipe.warp_budget // (12 * self.backbone.crop_size**2))
        parts = [self.cnn(self.warp(pixels, boxes)) for boxes in proposals.split(round_size)]
        pool5, fc7 = (torch.cat(column) for column in zip(*parts))
        return pool5, fc7

    @stage("selective search", phase="propose")
    def propose(self, image: Tensor) -> Tensor:
        return self.recipe.proposals.propose(image)  # (R, 4)

    @stage("warp", phase="features")
    def warp(self, pixels: Tensor, proposals: Tensor) -> Tensor:
        return warp_crops(pixels, proposals, self.backbone.crop_size, self.recipe.context)  # (R, 3, S, S)

    @stage("cnn", phase="features")
    def cnn(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        area = self.backbone.crop_size**2
        cpu, gpu = max(1, PIXELS // area), max(1, GPU_PIXELS // area)
        with mixed(self.amp, crops.device):
            pool5 = in_batches(self.backbone.pool5, as_channels_last(crops), cpu, gpu)  # (R, C, n, n)
            fc7 = in_batches(self.backbone.fc, pool5, self.backbone.fc_batch)
        return pool5.flatten(1).to(crops.dtype), fc7.to(crops.dtype)  # (R, D5), (R, D7)

    @stage("svm", phase="classify")
    def classify(self, fc7: Tensor) -> Tensor:
        return self.svms(fc7)  # (R, C)

    @stage("ridge", phase="refine")
    def refine(self, pool5: Tensor, proposals: Tensor, image: Tensor) -> Tensor:
        return clip_boxes_to_image(self.regressors(pool5, proposals), image.shape[1:])  # (R, C, 4)

    @stage("nms", phase="suppress")
    def suppress(self, boxes: Tensor, scores: Tensor) -> dict[str, Tensor]:
        recipe = self.recipe
        return suppress_per_class(
            boxes, scores, score_threshold=recipe.score_threshold, iou_threshold=recipe.nms_iou,
            max_detections=recipe.max_detections,
        )  # fmt: skip
