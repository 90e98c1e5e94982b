"""What a network wants its pixels to look like, and whether it got that.

torchvision's weights take RGB in 0..1, normalised a channel; Caffe's (the papers' own VGG16 and ZF) take BGR in
0..255 with the mean subtracted: 57 times as large, and the colours the other way round. Nothing fails when they are
mixed up; the features are merely bad.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lineage.backbones.backbone import Backbone
from lineage.common.image import IMAGENET_MEAN, IMAGENET_STD, as_channels_last, normalise


class Preprocessing(NamedTuple):
    """What is done to a picture's RGB in 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool  # the first convolution's inputs are blue, green, red


PREPROCESSINGS = {
    "torchvision": Preprocessing(IMAGENET_MEAN, IMAGENET_STD, bgr=False),
    # PIXEL_MEANS of py-faster-rcnn's config.py, there blue first
    "caffe": Preprocessing((122.7717 / 255, 115.9465 / 255, 102.9801 / 255), (1 / 255,) * 3, bgr=True),
}
SAMPLES = 8  # pictures that are looked at
SANE = (0.2, 25.0)  # standard deviation of a class's score from picture to picture: a trained classifier's is about 1


def declare(backbone: Backbone, name: str) -> None:
    """Make a freshly loaded backbone, in place, one that takes RGB and does what ``name`` says by itself.

    The order of the colours goes into the first convolution, so that the rest of the package knows RGB only.

    Raises:
        ValueError: an unknown name.
    """
    if name not in PREPROCESSINGS:
        raise ValueError(f"preprocessing {name!r} is none of {', '.join(PREPROCESSINGS)}")
    chosen = PREPROCESSINGS[name]
    backbone.mean, backbone.std = chosen.mean, chosen.std
    if chosen.bgr:
        first = next(layer for layer in backbone.conv.modules() if isinstance(layer, nn.Conv2d))
        with torch.no_grad():
            first.weight.copy_(first.weight.flip(1))


def warn_of_wrong_range(backbone: Backbone, weight: Tensor, bias: Tensor, where: str) -> None:
    """Warn when the network's answers say that its pixels come in another range than it was trained on.

    Its own classifier looks at a few cloudy pictures. Pixels 57 times too small all look like one grey, and no score
    moves; pixels 57 times too large move them absurdly. Said only where the other range would look right.

    Args:
        backbone: loaded, with its preprocessing. weight (classes, features), bias (classes,): of the classifier.
        where: the file, for the message.
    """
    pictures = cloudy_pictures(SAMPLES, backbone.crop_size)
    own = _spread(backbone, weight, bias, pictures, backbone.mean, backbone.std)
    if SANE[0] <= own <= SANE[1]:
        return
    for name, other in PREPROCESSINGS.items():
        spread = _spread(backbone, weight, bias, pictures, other.mean, other.std)
        if SANE[0] <= spread <= SANE[1]:
            how = "hardly tells pictures apart" if own < SANE[0] else "answers absurdly strongly"
            warnings.warn(
                f"weights: {where}: the network {how} (a score moves by {own:.2g} from picture to picture) but looks "
                f"sane with the other range of pixels ({spread:.2g}): were they made for --preprocessing {name}?",
                stacklevel=3,
            )


@torch.inference_mode()
def _spread(
    backbone: Backbone, weight: Tensor, bias: Tensor, pictures: Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> float:
    """Standard deviation of a class's score over pictures (N, 3, S, S), averaged over the classes."""
    was_training = backbone.training
    backbone.eval()
    pixels = as_channels_last(normalise(pictures, mean, std))
    scores = torch.addmm(bias, backbone.fc(backbone.pool5(pixels)), weight.T)  # (N, classes)
    backbone.train(was_training)
    return float(scores.std(dim=0).mean())


def cloudy_pictures(count: int, size: int, seed: int = 0) -> Tensor:
    """Random pictures (count, 3, size, size) in 0..1, their contrast mostly in large blobs as in photographs."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(count, 3, size, size)
    for cells in (2, 4, 8, 16, 32):
        noise = torch.rand(count, 3, cells, cells, generator=generator) - 0.5
        total += F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False) * cells**-0.7
    low, high = total.amin(dim=(1, 2, 3), keepdim=True), total.amax(dim=(1, 2, 3), keepdim=True)
    return (total - low) / (high - low)
