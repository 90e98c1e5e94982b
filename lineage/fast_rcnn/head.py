"""The head: fc6, fc7, and two sibling layers in place of SVMs and regressors (figure 1, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lineage.backbones import Backbone
from lineage.common.linear import Linear


class Head(nn.Module):
    """Pooled maps (R, C, n, n) -> fc7 -> class scores (R, C + 1) and offsets (R, C, 4).

    fc7 is (R, D). Of a network that ends in an average over cells (ResNet, EfficientNet) it is the map before that,
    (R, D, m, m): classes are read from the average, as in pre-training; offsets from the cells, as R-CNN's regressors
    read pool5. What was pre-trained on pictures and their mirror images, averaged, is the same for an object at the
    left of its window and at the right.
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, class_std: float, offset_std: float, seed: int = 0
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        averages = any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in backbone.fc)
        self.fc = backbone.fc[:-2] if averages else backbone.fc
        self.average = backbone.fc[-2:] if averages else nn.Identity()
        self.cells = _cells(self.fc, backbone) if averages else 1
        self.cls_score = Linear(backbone.features, num_classes + 1)
        self.bbox_pred = Linear(backbone.features * self.cells, num_classes * 4)
        nn.init.normal_(self.cls_score.weight, std=class_std, generator=generator)
        nn.init.normal_(self.bbox_pred.weight, std=offset_std, generator=generator)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def scores(self, fc7: Tensor) -> Tensor:
        """fc7 -> (R, C + 1), before the softmax."""
        return self.cls_score(self.average(fc7))

    def offsets(self, fc7: Tensor) -> Tensor:
        """fc7 -> (R, C, 4), normalised as in training."""
        each = fc7.flatten(1) / self.cells  # what the cells say is averaged, but each has weights of its own
        return self.bbox_pred(each).view(len(fc7), self.bbox_pred.out_features // 4, 4)


@torch.no_grad()
def _cells(fc: nn.Module, backbone: Backbone) -> int:
    """m x m, for ``backbone``'s pooled maps."""
    pooled = next(fc.parameters()).new_zeros(1, backbone.channels, backbone.pool_size, backbone.pool_size)
    return fc(pooled)[0, 0].numel()
