"""A minibatch's feature maps, in training: what does not learn of them is computed once a picture."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from lineage.common.image import Frame, as_channels_last, stack_maps, to_frame
from lineage.common.kept_maps import KeptMaps, Maps
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.minibatch import Batch


class Convolutions:
    """``detector.convolve_batch`` of a minibatch. What does not learn of it is computed once a picture, on a CPU.

    That is, where the maps at that place take less memory than the pictures do.
    """

    def __init__(self, detector: FastRCNN) -> None:
        self.detector, self.kept = detector, KeptMaps()
        self.fixed = self._fixed_layers() if next(detector.parameters()).device.type == "cpu" else 0

    def __call__(self, batch: Batch) -> tuple[Tensor, list[Frame]]:
        if self.fixed == 0 or batch.names is None:
            return self.detector.convolve_batch(self._on_device(batch.images))
        maps, frames = [], []
        for name, image in zip(batch.names, batch.images):
            (fixed,), (frame,) = self.kept.get(name, partial(self._convolve, image))
            maps.append(fixed)  # (1, C', h', w')
            frames.append(frame)
        return self._learning_part(maps), frames

    def _convolve(self, image: Tensor | Frame) -> Maps:
        net, recipe = self.detector.backbone, self.detector.recipe
        frame = to_frame(image, recipe.shorter, recipe.longer, net.mean, net.std)
        return [net.conv[: self.fixed](as_channels_last(frame.pixels))], [frame]

    def _learning_part(self, maps: list[Tensor]) -> Tensor:
        """From maps (1, C', h', w') of the layers before to one (B, C, h, w).

        Upright pictures and lying ones go apart: padded to both's sides, they would be half padding.
        """
        learning, found = self.detector.backbone.conv[self.fixed :], dict[int, Tensor]()
        for upright in (False, True):
            rows = [row for row, part in enumerate(maps) if (part.shape[2] > part.shape[3]) == upright]
            if rows:
                computed = learning(as_channels_last(stack_maps([maps[row] for row in rows])))
                found |= zip(rows, computed.split(1))
        return as_channels_last(stack_maps([found[row] for row in range(len(maps))]))

    @torch.no_grad()
    def _fixed_layers(self) -> int:
        """How many leading children of ``conv`` do not learn; none, where keeping their maps would be no gain."""
        conv = self.detector.backbone.conv
        fixed = next((i for i, layer in enumerate(conv) if any(p.requires_grad for p in layer.parameters())), len(conv))
        picture = next(conv.parameters()).new_zeros(1, 3, 64, 64)
        return fixed if conv[:fixed](picture).half().nbytes < picture.nbytes else 0

    def _on_device(self, images: list[Tensor | Frame]) -> list[Any]:
        device = next(self.detector.parameters()).device
        return [
            image.to(device) if isinstance(image, Frame) else image.to(device, non_blocking=True) for image in images
        ]
