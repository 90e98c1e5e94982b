"""SPP-net for detection, figure 5 of the paper: convolve the picture once, pool any window from the map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lineage.backbones import Backbone
from lineage.common.boxes import clip_boxes_to_image
from lineage.common.image import Frame, as_channels_last, detect_each, to_frame
from lineage.common.nms import suppress_per_class
from lineage.common.precision import mixed
from lineage.common.stages import stage
from lineage.rcnn.box_regression import BoxRegressors
from lineage.rcnn.svm import LinearSVMs
from lineage.sppnet.head import PyramidHead
from lineage.sppnet.mapping import choose_scale, window_to_cells
from lineage.sppnet.pyramid import spatial_pyramid_pool
from lineage.sppnet.recipe import QUICK, Recipe


class SPPNet(nn.Module):
    """The second generation: the convolutions run once a scale, only the fc layers run per proposal.

    Args:
        classes: their names, without the background.
    Speaks torchvision's dialect: ``detector([image]) -> [{"boxes", "scores", "labels"}]``; scores are SVM margins.
    """

    generation = "sppnet"
    amp: str | None = None  # "bf16": conv and fc part in mixed precision

    def __init__(self, backbone: Backbone, classes: tuple[str, ...], recipe: Recipe = QUICK) -> None:
        super().__init__()
        self.backbone, self.classes, self.recipe = backbone, tuple(classes), recipe
        # "For simplicity we only fine-tune the fully-connected layers" (section 4.1). Otherwise each training window
        # would cost a picture's convolutions, there and back: Fast R-CNN, section 2.3, which mends it.
        backbone.conv.requires_grad_(False)
        # The finest level is the backbone's own pool5; VGG16's 7 x 7 takes the place of the recipe's 6 x 6.
        self.levels = (backbone.pool_size, *(n for n in recipe.levels if n <= backbone.pool_size * 2 // 3))
        self.head = PyramidHead(backbone, self.levels)
        backbone.fc = nn.Sequential()  # the head has it now
        bins = sum(level**2 for level in self.levels)
        self.svms = LinearSVMs(backbone.features, len(classes))
        self.regressors = BoxRegressors(backbone.channels * bins, len(classes))
        self.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def detect(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Tensor]:
        """One picture (3, H, W) -> ``boxes`` (D, 4), ``scores`` (D,), ``labels`` (D,)."""
        if proposals is None:
            proposals = self.propose(image)  # (R, 4)
        maps, frames = self.convolve(image)  # (1, C, h, w) a scale
        pooled = self.pool(maps, frames, proposals)  # (R, C, n, n) a level
        fc7 = self.fc(pooled)  # (R, D7)
        scores = self.classify(fc7)  # (R, C)
        boxes = self.refine(pooled, proposals, image)  # (R, C, 4)
        return self.suppress(boxes, scores)

    def forward(self, images: list[Tensor], proposals: list[Tensor] | None = None) -> list[dict[str, Tensor]]:
        return detect_each(self.detect, images, proposals)

    @stage("selective search", phase="propose")
    def propose(self, image: Tensor) -> Tensor:
        return self.recipe.proposals.propose(image)  # (R, 4)

    @stage("conv", phase="features")
    def convolve(self, image: Tensor) -> tuple[list[Tensor], list[Frame]]:
        net, longer = self.backbone, self.recipe.longer
        frames = [to_frame(image, shorter, longer, net.mean, net.std) for shorter in self.recipe.scales]
        with mixed(self.amp, image.device):
            return [net.conv(as_channels_last(frame.pixels)).to(image.dtype) for frame in frames], frames

    @stage("spp", phase="features")
    def pool(self, maps: list[Tensor], frames: list[Frame], proposals: Tensor) -> list[Tensor]:
        if len(maps) == 1:
            return self._pool_scale(maps[0], frames[0], proposals)
        scale_of = choose_scale(proposals, [(f.scale_x * f.scale_y) ** 0.5 for f in frames], self.recipe.view)
        pooled = [maps[0].new_empty(len(proposals), maps[0].shape[1], n, n) for n in self.levels]
        for scale, (features, frame) in enumerate(zip(maps, frames)):
            here = torch.where(scale_of == scale)[0]
            for output, level in zip(pooled, self._pool_scale(features, frame, proposals[here])):
                output[here] = level
        return pooled

    def _pool_scale(self, features: Tensor, frame: Frame, proposals: Tensor) -> list[Tensor]:
        offset = self.backbone.offset if self.recipe.corrected_mapping else 0.0
        cells = window_to_cells(frame.boxes_in(proposals), self.backbone.stride, features.shape[2:], offset)
        return spatial_pyramid_pool(features, cells, self.levels)  # (R, C, n, n) a level

    @stage("fc", phase="features")
    def fc(self, pooled: list[Tensor]) -> Tensor:
        with mixed(self.amp, pooled[0].device):
            return self.head(pooled).to(pooled[0].dtype)  # (R, D7)

    @stage("svm", phase="classify")
    def classify(self, fc7: Tensor) -> Tensor:
        return self.svms(fc7)  # (R, C)

    @stage("ridge", phase="refine")
    def refine(self, pooled: list[Tensor], proposals: Tensor, image: Tensor) -> Tensor:
        flat = torch.cat([level.flatten(1) for level in pooled], dim=1)  # (R, C * bins)
        return clip_boxes_to_image(self.regressors(flat, proposals), image.shape[1:])  # (R, C, 4)

    @stage("nms", phase="suppress")
    def suppress(self, boxes: Tensor, scores: Tensor) -> dict[str, Tensor]:
        recipe = self.recipe
        return suppress_per_class(
            boxes, scores, score_threshold=recipe.score_threshold, iou_threshold=recipe.nms_iou,
            max_detections=recipe.max_detections,
        )  # fmt: skip
