"""What a detector asks of a backbone: a conv part, an fc part, and five facts about them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lineage.common.batches import ROIS
from lineage.common.image import IMAGENET_MEAN, IMAGENET_STD
from lineage.common.linear import use_our_linear


class Backbone(nn.Module):
    """A classification network cut in two, where all four papers cut it: before its last pooling.

    Attributes:
        conv: pictures (B, 3, H, W) -> feature maps (B, channels, ~H / stride, ~W / stride). Its last max
            pooling is left out: what pools instead is exactly what the papers differ in.
        fc: pooled maps (R, channels, pool_size, pool_size) -> features (R, features).
        stride: input pixels between neighbouring cells of the feature map.
        offset: input coordinate of the centre of cell 0's receptive field, in pixels.
        fc_batch: how many regions go through ``fc`` at a time on a CPU; None is all.
        crop_size: side of R-CNN's warped crops, in pixels: gives ``fc`` the map it was trained on.
        mean, std: of the RGB 0..1 pictures the weights were trained with, a channel.
        frozen: how many leading children of ``conv`` detection training leaves as they are.
    """

    def __init__(
        self,
        name: str,
        conv: nn.Sequential,
        fc: nn.Sequential,
        *,
        stride: int,
        offset: float,
        channels: int,
        pool_size: int,
        features: int,
        crop_size: int,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        frozen: int = 0,
    ) -> None:
        super().__init__()
        use_our_linear(fc)
        self.name, self.conv, self.fc = name, conv, fc
        self.stride, self.offset, self.channels = stride, offset, channels
        self.pool_size, self.features, self.crop_size = pool_size, features, crop_size
        self.mean, self.std, self.frozen = mean, std, frozen
        self.fc_batch = ROIS if any(isinstance(layer, nn.Conv2d) for layer in fc.modules()) else None

    def pool5(self, crops: Tensor) -> Tensor:
        """Crops (R, 3, crop_size, crop_size) -> (R, channels, pool_size, pool_size).

        Adaptive max pooling is AlexNet's own pool5 on a 13 x 13 map (3 x 3 windows, stride 2) and VGG16's on
        14 x 14 (2 x 2, stride 2), to the cell.
        """
        return F.adaptive_max_pool2d(self.conv(crops), self.pool_size)

    def freeze_leading_layers(self, count: int | None = None) -> None:
        """Stop training of ``conv``'s first ``count`` children, or :attr:`frozen` (Fast R-CNN section 4.5: conv1-2)."""
        for layer in self.conv[: self.frozen if count is None else count]:
            layer.requires_grad_(False)


def fold_batch_norm(module: nn.Module) -> None:
    """Replace, in place, every (Conv2d, BatchNorm2d) pair of neighbours by one convolution with the same output.

    Detection minibatches hold one to four pictures, too few for batch statistics, so detectors keep the
    normalisation of pre-training fixed; a fixed one is an affine map a channel, which the convolution absorbs. Its
    weights and bias learn on, as those of a network that never had any.
    """
    module.eval()
    children = list(module.named_children())
    for (conv_name, conv), (norm_name, norm) in zip(children, children[1:], strict=False):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            folded = nn.utils.fuse_conv_bn_eval(conv, norm)
            assert folded.bias is not None
            folded.bias.requires_grad_(conv.weight.requires_grad)  # torch freezes the bias that the pair had not
            setattr(module, conv_name, folded)
            setattr(module, norm_name, nn.Identity())
    for _, child in children:
        fold_batch_norm(child)


def with_batch_norm(conv: nn.Sequential) -> nn.Sequential:
    """The same layers (not copies) with a BatchNorm2d behind each convolution: for training from scratch."""
    layers: list[nn.Module] = []
    for layer in conv:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
    return nn.Sequential(*layers)
