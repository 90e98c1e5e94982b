"""The fc layers behind the pyramid."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from lineage.backbones import Backbone
from lineage.common.batches import ROIS, in_batches
from lineage.common.linear import Linear


class PyramidHead(nn.Module):
    """fc6, fc7 on all levels of the pyramid: list of (R, C, n, n) -> (R, features).

    The finest level has the side that the backbone's own fc part was pre-trained on. A first Linear layer (fc6
    of AlexNet, VGG16, tiny) is widened to all bins, as in the paper; the weights of the coarser levels start at 0,
    so that the head starts as the pre-trained network. A convolutional fc part (ResNet, EfficientNet) cannot be
    widened: there the coarser levels join its output through a Linear layer of their own, again from 0.
    """

    def __init__(self, backbone: Backbone, levels: tuple[int, ...]) -> None:
        super().__init__()
        if levels[0] != backbone.pool_size:
            message = f"pyramid {levels}: the finest level must be {backbone.name}'s pool size, {backbone.pool_size}"
            raise ValueError(message)
        coarse_bins = sum(level**2 for level in levels[1:]) * backbone.channels
        layers = list(backbone.fc)
        self.widened = len(layers) > 1 and isinstance(layers[0], nn.Flatten) and isinstance(layers[1], nn.Linear)
        if self.widened:
            fc6 = cast(nn.Linear, layers[1])
            wide = Linear(fc6.in_features + coarse_bins, fc6.out_features)
            with torch.no_grad():
                wide.weight.zero_()
                wide.weight[:, : fc6.in_features] = fc6.weight
                wide.bias.copy_(fc6.bias)
            self.fc = nn.Sequential(wide, *layers[2:])
        else:
            self.fc = backbone.fc
            self.coarse = Linear(coarse_bins, backbone.features)
            nn.init.zeros_(self.coarse.weight)
            nn.init.zeros_(self.coarse.bias)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        if self.widened:
            return self.fc(torch.cat([level.flatten(1) for level in pyramid], dim=1))
        coarse = torch.cat([level.flatten(1) for level in pyramid[1:]], dim=1)
        return in_batches(self.fc, pyramid[0], ROIS) + self.coarse(coarse)
