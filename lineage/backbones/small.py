"""AlexNet's plan at a laptop CPU's size: five convolutions, two fully connected layers, stride 8."""

from __future__ import annotations

import torch
from torch import nn

from lineage.backbones.backbone import Backbone

CHANNELS = (16, 32, 64, 96, 96)
HIDDEN = 256


def tiny(generator: torch.Generator | None = None) -> Backbone:
    """The default backbone; pre-train it with :func:`lineage.backbones.pretrain.pretrain`."""
    c1, c2, c3, c4, c5 = CHANNELS
    conv = nn.Sequential(
        nn.Conv2d(3, c1, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),  # stride 4
        nn.Conv2d(c1, c2, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),  # stride 8
        nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU(inplace=True),
    )  # fmt: skip
    fc = nn.Sequential(
        nn.Flatten(),
        nn.Linear(c5 * 4 * 4, HIDDEN), nn.ReLU(inplace=True),
        nn.Linear(HIDDEN, HIDDEN), nn.ReLU(inplace=True),
    )  # fmt: skip
    for layer in (*conv, *fc):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    # Cell 0: the 5 x 5 convolution is centred on pixel 0 (coordinate 0.5), each 2 x 2 pooling adds half a step.
    return Backbone(
        "tiny", conv, fc, stride=8, offset=3.5, channels=c5, pool_size=4, features=HIDDEN, crop_size=64,
        frozen=3,
        mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25),
    )  # fmt: skip
