"""ZF, "fast" (Zeiler & Fergus 2014): SPP-net's ZF-5 and Faster R-CNN's smaller network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lineage.backbones.backbone import Backbone

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")  # their names in Caffe


class WithinChannelNorm(nn.Module):
    """Caffe's local response normalisation WITHIN_CHANNEL: x / (1 + alpha mean(x^2))^beta, over side x side cells."""

    def __init__(self, side: int = 3, alpha: float = 5e-5, beta: float = 0.75) -> None:
        super().__init__()
        self.side, self.alpha, self.beta = side, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        energy = F.avg_pool2d(x * x, self.side, stride=1, padding=self.side // 2)
        return x * (1 + self.alpha * energy).pow(-self.beta)


def zf(state: dict[str, Tensor] | None = None) -> Backbone:
    """Stride 16, pool5 6 x 6, fc7 4096. No library publishes weights: they come from a file, with Caffe's layer names.

    ``state``: conv1.weight, conv1.bias ... conv5, fc6, fc7 of py-faster-rcnn's models/pascal_voc/ZF.
    """
    convolutions = [nn.Conv2d(i, o, k, s, p) for i, o, k, s, p in (
        (3, 96, 7, 2, 3), (96, 256, 5, 2, 2), (256, 384, 3, 1, 1), (384, 384, 3, 1, 1), (384, 256, 3, 1, 1),
    )]  # fmt: skip
    linear = [nn.Linear(256 * 6 * 6, 4096), nn.Linear(4096, 4096)]
    if state is not None:
        layers: dict[str, nn.Module] = dict(zip(LAYERS, [*convolutions, *linear]))
        kept = {name: tensor for name, tensor in state.items() if not name.startswith("fc8.")}
        nn.ModuleDict(layers).load_state_dict(kept)
    c1, c2, c3, c4, c5 = convolutions
    pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)  # Caffe rounds up
    conv = nn.Sequential(
        c1, nn.ReLU(inplace=True), WithinChannelNorm(), pool,  # stride 4
        c2, nn.ReLU(inplace=True), WithinChannelNorm(), pool,  # stride 16
        c3, nn.ReLU(inplace=True), c4, nn.ReLU(inplace=True), c5, nn.ReLU(inplace=True),
    )  # fmt: skip
    fc = nn.Sequential(
        nn.Flatten(), linear[0], nn.ReLU(inplace=True), nn.Dropout(), linear[1], nn.ReLU(inplace=True), nn.Dropout()
    )  # fmt: skip
    return Backbone("zf", conv, fc, stride=16, offset=0.5, channels=256, pool_size=6, features=4096, crop_size=224)
