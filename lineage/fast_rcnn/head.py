"""The head: fc6, fc7, and two sibling layers in place of SVMs and regressors (figure 1, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lineage.backbones import Backbone
from lineage.common.linear import Linear


class Head(nn.Module):
    """Pooled maps (R, C, n, n) -> fc7 (R, D) -> class scores (R, C + 1) and offsets (R, C, 4)."""

    def __init__(
        self, backbone: Backbone, num_classes: int, class_std: float, offset_std: float, seed: int = 0
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.fc = backbone.fc
        self.cls_score = Linear(backbone.features, num_classes + 1)
        self.bbox_pred = Linear(backbone.features, num_classes * 4)
        nn.init.normal_(self.cls_score.weight, std=class_std, generator=generator)
        nn.init.normal_(self.bbox_pred.weight, std=offset_std, generator=generator)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def offsets(self, fc7: Tensor) -> Tensor:
        """(R, D) -> (R, C, 4), normalised as in training."""
        return self.bbox_pred(fc7).view(len(fc7), self.bbox_pred.out_features // 4, 4)
