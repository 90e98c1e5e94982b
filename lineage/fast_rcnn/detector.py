"""Fast R-CNN, figure 1 of the paper: one network from picture and RoIs to classes and boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lineage.backbones import Backbone
from lineage.common.batches import in_batches
from lineage.common.boxes import clip_boxes_to_image, decode_boxes
from lineage.common.constants import constant
from lineage.common.image import Frame, as_channels_last, detect_each, stack_frames, to_frame
from lineage.common.inputs import check_inputs, check_targets
from lineage.common.nms import suppress_per_class
from lineage.common.precision import mixed
from lineage.common.stages import stage
from lineage.fast_rcnn.head import Head
from lineage.fast_rcnn.loss import multi_task_loss
from lineage.fast_rcnn.recipe import QUICK, HeadSettings, Recipe
from lineage.fast_rcnn.roi_pool import roi_pool, with_picture_index
from lineage.fast_rcnn.sampling import sample_minibatch


class FastRCNN(nn.Module):
    """The third generation: SPP-net's sharing, trained end to end with a multi-task loss.

    Args:
        classes: their names, without the background.
    Speaks torchvision's dialect: ``detector([image]) -> [{"boxes", "scores", "labels"}]`` in eval mode,
    ``detector(images, targets, proposals) -> {name: loss}`` in train mode.
    """

    generation = "fast_rcnn"
    amp: str | None = None  # "bf16": conv and fc part in mixed precision when it detects

    def __init__(self, backbone: Backbone, classes: tuple[str, ...], recipe: HeadSettings = QUICK) -> None:
        super().__init__()
        self.backbone, self.classes, self.recipe = backbone, tuple(classes), recipe
        self.head = Head(backbone, len(classes), recipe.class_std, recipe.offset_std)
        backbone.fc = nn.Sequential()  # the head has it now
        self.generator = torch.Generator().manual_seed(0)  # of forward()'s RoI sampling
        self.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def detect(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Tensor]:
        """One picture (3, H, W) -> ``boxes`` (D, 4), ``scores`` (D,), ``labels`` (D,)."""
        if proposals is None:
            proposals = self.propose(image)  # (R, 4)
        features, frame = self.convolve(image)  # (1, C, h, w)
        pooled = self.pool(features, [frame.boxes_in(proposals)])  # (R, C, n, n)
        fc7 = self.fc(pooled)  # (R, D)
        scores = self.classify(fc7)  # (R, C)
        boxes = self.refine(fc7, proposals, image)  # (R, C, 4)
        return self.suppress(boxes, scores)

    def forward(
        self, images: list[Tensor], targets: list[dict] | None = None, proposals: list[Tensor] | None = None
    ) -> list[dict[str, Tensor]] | dict[str, Tensor]:
        if self.training:
            check_inputs(images, proposals)
            wanted = check_targets(targets, len(images), len(self.classes))
            return self.losses(images, wanted, proposals, self.generator)
        return detect_each(self.detect, images, proposals)

    def losses(
        self, images: list[Tensor], targets: list[dict], proposals: list[Tensor] | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The multi-task loss of a minibatch of pictures."""
        regions = [self.propose(image) for image in images] if proposals is None else proposals
        return self.roi_losses(*self.convolve_batch(images), targets, regions, generator)

    def roi_losses(
        self, features: Tensor, frames: list[Frame], targets: list[dict], regions: list[Tensor], draw: torch.Generator
    ) -> dict[str, Tensor]:
        """Sample RoIs in each picture, pool them from the shared maps (B, C, h, w), and take the multi-task loss."""
        boxes, labels, offsets = sample_minibatch(regions, targets, self.recipe, draw, features.device)
        fc7 = self.fc(self.pool(features, [frame.boxes_in(box) for frame, box in zip(frames, boxes)]))  # (R, D)
        scores, moves = self.head.scores(fc7).float(), self.head.offsets(fc7).float()  # (R, C + 1), (R, C, 4)
        return multi_task_loss(scores, moves, labels, offsets, self.recipe.regression_weight)

    @stage("selective search", phase="propose")
    def propose(self, image: Tensor) -> Tensor:
        assert isinstance(self.recipe, Recipe)
        return self.recipe.proposals.propose(image)  # (R, 4)

    @stage("conv", phase="features")
    def convolve(self, image: Tensor) -> tuple[Tensor, Frame]:
        with mixed(self.amp, image.device):
            features, (frame,) = self.convolve_batch([image])
        return features.to(image.dtype), frame  # (1, C, h, w)

    def convolve_batch(self, images: list[Tensor]) -> tuple[Tensor, list[Frame]]:
        """The same for a minibatch of pictures, padded to one size: (B, C, h, w)."""
        net, recipe = self.backbone, self.recipe
        frames = [to_frame(image, recipe.shorter, recipe.longer, net.mean, net.std) for image in images]
        return net.conv(as_channels_last(stack_frames(frames))), frames

    @stage("roi pool", phase="features")
    def pool(self, features: Tensor, rois: list[Tensor]) -> Tensor:
        return roi_pool(features, with_picture_index(rois), self.backbone.pool_size, 1 / self.backbone.stride)

    @stage("fc", phase="features")
    def fc(self, pooled: Tensor) -> Tensor:
        with mixed(self.amp, pooled.device):
            return in_batches(self.head.fc, pooled, self.backbone.fc_batch).to(pooled.dtype)  # (R, D)

    @stage("softmax", phase="classify")
    def classify(self, fc7: Tensor) -> Tensor:
        return self.head.scores(fc7).softmax(dim=1)[:, 1:]  # (R, C)

    @stage("offsets", phase="refine")
    def refine(self, fc7: Tensor, proposals: Tensor, image: Tensor) -> Tensor:
        offsets = self.head.offsets(fc7) * constant(self.recipe.target_stds, fc7)  # (R, C, 4)
        return clip_boxes_to_image(decode_boxes(offsets, proposals), image.shape[1:])

    @stage("nms", phase="suppress")
    def suppress(self, boxes: Tensor, scores: Tensor) -> dict[str, Tensor]:
        least, iou, most = self.recipe.score_threshold, self.recipe.nms_iou, self.recipe.max_detections
        return suppress_per_class(boxes, scores, score_threshold=least, iou_threshold=iou, max_detections=most)
