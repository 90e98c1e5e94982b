"""A picture into the network's frame, and boxes there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lineage.common.constants import constant
from lineage.common.inputs import check_inputs

MIN_SIDE, LARGEST_SIDE = 32, 10_000  # pixels of what a network is given
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Frame(NamedTuple):
    """A picture as the network sees it."""

    pixels: Tensor  # (1, 3, at least h, at least w) normalised
    size: tuple[int, int]  # (h, w) of the picture, without what pads it
    scale_x: float  # w / W
    scale_y: float  # h / H

    def to(self, device: torch.device) -> Frame:
        """The same on a device."""
        return self._replace(pixels=self.pixels.to(device, non_blocking=True))

    def without_pixels(self) -> Frame:
        """Its geometry, which is all that boxes need."""
        return self._replace(pixels=self.pixels.new_empty(0))

    def boxes_in(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) of the picture in the network's frame."""
        return boxes * self._factors(boxes)

    def boxes_out(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) of the network's frame in the picture."""
        return boxes / self._factors(boxes)

    def _factors(self, boxes: Tensor) -> Tensor:
        return constant((self.scale_x, self.scale_y, self.scale_x, self.scale_y), boxes)


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(pixels - mean) / std for (..., 3, H, W), ``mean`` and ``std`` a channel."""
    return (pixels - constant(mean, pixels)[:, None, None]).div_(constant(std, pixels)[:, None, None])


def resize_factor(height: int, width: int, shorter: int | None, longer: int) -> float:
    """The factor that brings the shorter side to ``shorter`` but the longer to at most ``longer`` pixels.

    Args:
        shorter: None leaves a picture at its own size (or at what ``longer`` allows).
    Source: Fast R-CNN section 5.2 (s = 600, capped at 1000).
    """
    return min(1.0 if shorter is None else shorter / min(height, width), longer / max(height, width))


def to_frame(
    image: Tensor | Frame, shorter: int | None, longer: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Frame:
    """Resize (bilinear without antialiasing, as all four originals did) and normalise a picture (3, H, W).

    One that is a Frame already, made where it was loaded, stays as it is.

    A picture smaller than :data:`MIN_SIDE` is padded with the mean colour, right and below, so that the strides leave
    something of it. Sides of the result are whole pixels, so the exact factors are kept a side in the Frame.
    """
    if isinstance(image, Frame):
        return image
    height, width = image.shape[1:]
    scale = resize_factor(height, width, shorter, longer)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = image[None]
    if (h, w) != (height, width):
        pixels = F.interpolate(pixels, size=(h, w), mode="bilinear", align_corners=False)
    pixels = _pad(normalise(pixels, mean, std), max(h, MIN_SIDE), max(w, MIN_SIDE))
    return Frame(pixels, (h, w), w / width, h / height)


def _pad(pixels: Tensor, h: int, w: int) -> Tensor:
    """(B, C, H, W) with 0 right and below: (B, C, h, w). Not a copy where there is nothing to do."""
    height, width = pixels.shape[2:]
    return pixels if (height, width) == (h, w) else F.pad(pixels, (0, w - width, 0, h - height))


def stack_frames(frames: list[Frame]) -> Tensor:
    """Batch (B, 3, h, w) of frames padded right and below with 0 (the mean colour) to the largest."""
    return stack_maps([frame.pixels for frame in frames])


def stack_maps(maps: list[Tensor]) -> Tensor:
    """Batch (B, C, h, w) of maps (1, C, at most h, at most w) padded right and below with 0."""
    if len(maps) == 1:
        return maps[0]
    h, w = max(part.shape[2] for part in maps), max(part.shape[3] for part in maps)
    return torch.cat([_pad(part, h, w) for part in maps])


def flip_horizontally(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The mirror image of a picture (3, H, W) and of its boxes (N, 4)."""
    width = image.shape[2]
    return image.flip(2), boxes[:, [2, 1, 0, 3]] * boxes.new_tensor([-1, 1, -1, 1]) + boxes.new_tensor(
        [width, 0, width, 0]
    )


def as_channels_last(pixels: Tensor) -> Tensor:
    """The same tensor (B, C, H, W) with channels innermost in memory: oneDNN's and cuDNN's fast layout."""
    return pixels.contiguous(memory_format=torch.channels_last)


def detect_each(
    detect: Callable[[Tensor, Tensor | None], dict[str, Tensor]], images: list[Tensor], proposals: list[Tensor] | None
) -> list[dict[str, Tensor]]:
    """Run ``detect`` on each picture, with its proposals where given, after a look at both."""
    check_inputs(images, proposals)
    given = proposals if proposals is not None else [None] * len(images)
    return [detect(image, boxes) for image, boxes in zip(images, given, strict=True)]
