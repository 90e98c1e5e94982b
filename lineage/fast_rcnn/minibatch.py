"""A minibatch as it is loaded: pictures, targets and proposals, augmented. All that needs no network."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lineage.common.augment import Augmentation, augment, draw_mirror
from lineage.common.image import Frame, resize_factor, to_frame
from lineage.common.loading import Load
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.recipe import HeadSettings


class Batch(NamedTuple):
    """A minibatch, as it was loaded."""

    images: list[Tensor | Frame]  # (3, H, W), or what became of it in the network's frame
    targets: list[dict[str, Tensor]]
    regions: list[Tensor] | None  # proposals (R, 4) a picture
    names: list[tuple[int, bool]] | None  # picture and whether mirrored; None: none comes again


def loader(detector: FastRCNN, dataset: VOCDataset, proposals: list[Tensor] | None = None) -> Load:
    """:func:`load_batch` for a detector, without the network: another process may have to be sent it."""
    net = detector.backbone
    return partial(
        load_batch, dataset, recipe=detector.recipe, mean=net.mean, std=net.std, proposals=proposals
    )  # fmt: skip


def load_batch(
    dataset: VOCDataset,
    indices: list[int],
    generator: torch.Generator,
    recipe: HeadSettings,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    proposals: list[Tensor] | None = None,
) -> Batch:
    """Pictures, targets and proposals of a minibatch, each picture augmented by the recipe.

    A picture larger than the network wants it is brought to its frame here: 12 megapixels are 144 MB, their frame 9.
    """
    images: list[Tensor | Frame] = []
    targets, regions, names = [], [], []
    for index in indices:
        image, target = dataset[index]
        boxes = proposals[index] if proposals is not None else torch.zeros(0, 4)
        count, mirror = len(boxes), draw_mirror(recipe.flip, generator)
        image, both = augment(
            image, torch.cat([boxes, target["boxes"]]), mirror, recipe.augmentation, generator
        )  # fmt: skip
        height, width = image.shape[1:]
        shrinks = resize_factor(height, width, recipe.shorter, recipe.longer) < 1
        images.append(to_frame(image, recipe.shorter, recipe.longer, mean, std) if shrinks else image)
        targets.append({**target, "boxes": both[count:]})
        regions.append(both[:count])
        names.append((index, mirror))
    comes_again = recipe.augmentation == Augmentation()
    return Batch(images, targets, regions if proposals is not None else None, names if comes_again else None)
