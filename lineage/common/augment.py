"""Random changes to a training picture. The papers mirror; the rest is for data sets smaller than theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lineage.common.image import flip_horizontally


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a picture besides its mirror image; nothing by default, as in the papers.

    Attributes:
        colour: brightness, contrast and saturation are each multiplied by a number in 1 - colour .. 1 + colour.
        scale: sides are multiplied by a number in 1 / scale .. scale.
        vertical: turned upside down with probability 0.5: for pictures that have no up, cells or maps.
    Raises:
        ValueError: colour is not in [0, 1), or scale is under 1.
    """

    colour: float = 0.0
    scale: float = 1.0
    vertical: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.colour < 1:
            raise ValueError(f"augmentation: colour {self.colour:g} is not in 0..1")
        if not 1 <= self.scale <= 4:
            raise ValueError(f"augmentation: scale {self.scale:g} is not in 1..4")


def draw_mirror(flip: bool, generator: torch.Generator) -> bool:
    """Whether to mirror a picture: with probability 0.5 (Fast R-CNN section 2.3), or never, without a draw."""
    return flip and _draw(generator) < 0.5


def augment(
    image: Tensor, boxes: Tensor, mirror: bool, settings: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A picture (3, H, W) in 0..1 and boxes (N, 4) on it, changed alike.

    Args:
        mirror: as :func:`draw_mirror` drew.
        generator: every draw comes from it, and none for what is switched off.
    """
    if mirror:
        image, boxes = flip_horizontally(image, boxes)
    if settings.vertical and _draw(generator) < 0.5:
        turned, sides = flip_horizontally(image.transpose(1, 2), boxes[:, [1, 0, 3, 2]])
        image, boxes = turned.transpose(1, 2), sides[:, [1, 0, 3, 2]]
    if settings.scale > 1:
        image, boxes = _resized(image, boxes, settings.scale ** (2 * _draw(generator) - 1))
    if settings.colour > 0:
        image = _recoloured(image, [1 + settings.colour * (2 * _draw(generator) - 1) for _ in range(3)])
    return image, boxes


def _draw(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _resized(image: Tensor, boxes: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    height, width = image.shape[1:]
    h, w = max(1, math.floor(height * factor + 0.5)), max(1, math.floor(width * factor + 0.5))
    resized = F.interpolate(image[None], size=(h, w), mode="bilinear", align_corners=False, antialias=factor < 1)[0]
    return resized, boxes * boxes.new_tensor([w / width, h / height, w / width, h / height])


def _recoloured(image: Tensor, factors: list[float]) -> Tensor:
    from torchvision.transforms.v2 import functional  # a second to import, and few need it

    brightness, contrast, saturation = factors
    image = functional.adjust_brightness(image, brightness)
    return functional.adjust_saturation(functional.adjust_contrast(image, contrast), saturation)
