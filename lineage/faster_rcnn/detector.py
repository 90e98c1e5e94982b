"""Faster R-CNN, figure 2 of the paper: the RPN tells a Fast R-CNN where to look, on the map that both share."""

from __future__ import annotations

import torch
from torch import Tensor

from lineage.backbones import Backbone
from lineage.common.image import Frame
from lineage.common.matching import usable_objects
from lineage.common.stages import stage
from lineage.fast_rcnn.detector import FastRCNN
from lineage.faster_rcnn.loss import rpn_loss, rpn_targets
from lineage.faster_rcnn.recipe import QUICK, Recipe
from lineage.faster_rcnn.rpn import RPN, select_proposals


class FasterRCNN(FastRCNN):
    """The fourth generation: Fast R-CNN with its proposals from a network. Pooling, head and NMS are inherited.

    Args:
        classes: their names, without the background.
    Speaks torchvision's dialect: ``detector([image]) -> [{"boxes", "scores", "labels"}]`` in eval mode,
    ``detector(images, targets) -> {name: loss}``, four of them, in train mode.
    """

    generation = "faster_rcnn"
    recipe: Recipe

    def __init__(self, backbone: Backbone, classes: tuple[str, ...], recipe: Recipe = QUICK) -> None:
        super().__init__(backbone, classes, recipe)
        self.rpn = RPN(backbone.channels, backbone.stride, recipe.rpn)
        self.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def detect(self, image: Tensor, proposals: Tensor | None = None) -> dict[str, Tensor]:
        """One picture (3, H, W) -> ``boxes`` (D, 4), ``scores`` (D,), ``labels`` (D,)."""
        features, frame = self.convolve(image)  # (1, C, h, w)
        if proposals is None:
            proposals = self.propose_from(features, frame)  # (R, 4)
        pooled = self.pool(features, [frame.boxes_in(proposals)])  # (R, C, n, n)
        fc7 = self.fc(pooled)  # (R, D)
        scores = self.classify(fc7)  # (R, C)
        boxes = self.refine(fc7, proposals, image)  # (R, C, 4)
        return self.suppress(boxes, scores)

    def losses(
        self, images: list[Tensor], targets: list[dict], proposals: list[Tensor] | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Of a minibatch of pictures: those of :meth:`losses_on`."""
        features, frames = self.convolve_batch(images)
        return self.losses_on(features, frames, targets, proposals, generator)

    def losses_on(
        self,
        features: Tensor,
        frames: list[Frame],
        targets: list[dict],
        proposals: list[Tensor] | None,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Approximate joint training (section 3.2): the RPN's two losses and, on its proposals, Fast R-CNN's two.

        The proposals' coordinates are taken as constants: no gradient flows through them.
        """
        losses, found = self.rpn_losses(features, frames, targets, generator)
        if proposals is None:
            proposals = found
        return {**losses, **self.roi_losses(features, frames, targets, proposals, generator)}

    def rpn_losses(
        self, features: Tensor, frames: list[Frame], targets: list[dict], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The RPN's losses, averaged over the pictures, and its proposals (R, 4) for each."""
        settings, anchors = self.recipe.rpn, self.rpn.anchors(features)
        locations = features.shape[2] * features.shape[3]
        losses: dict[str, Tensor] = {}
        proposals = []
        scores_of_all, offsets_of_all = (output.float() for output in self.rpn(features))  # (B, A, 2), (B, A, 4)
        for scores, offsets, frame, target in zip(scores_of_all, offsets_of_all, frames, targets):
            truth = frame.boxes_in(usable_objects(target)[0].to(anchors.device))
            kind, wanted = rpn_targets(anchors, truth, frame.size, settings)
            for name, loss in rpn_loss(scores, offsets, kind, wanted, locations, settings, generator).items():
                losses[name] = losses.get(name, 0) + loss / len(frames)
            boxes, _ = select_proposals(scores.detach(), offsets.detach(), anchors, frame.size, settings, training=True)
            proposals.append(frame.boxes_out(boxes).to(target["boxes"].device))
        return losses, proposals

    def propose(self, image: Tensor) -> Tensor:
        """The proposals (R, 4) alone, for another detector or for the reader."""
        return self.propose_from(*self.convolve(image))

    @stage("rpn", phase="propose")
    def propose_from(self, features: Tensor, frame: Frame) -> Tensor:
        scores, offsets = self.rpn(features)  # (1, A, 2), (1, A, 4)
        anchors = self.rpn.anchors(features)  # (A, 4)
        boxes, _ = select_proposals(scores[0], offsets[0], anchors, frame.size, self.recipe.rpn)
        return frame.boxes_out(boxes)
