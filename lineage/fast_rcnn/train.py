"""Fast R-CNN's training: one procedure, no feature cache."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lineage.common.augment import augment
from lineage.common.history import TrainingReport
from lineage.common.image import Frame, resize_factor, to_frame
from lineage.common.loading import Load
from lineage.common.optimise import optimise
from lineage.common.running import PLAINLY, Running
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.recipe import HeadSettings, Recipe

Batch = tuple[list[Tensor | Frame], list[dict[str, Tensor]], list[Tensor] | None]


def train(
    detector: FastRCNN,
    dataset: VOCDataset,
    proposals: list[Tensor],
    *,
    seed: int,
    work_dir: Path,
    running: Running = PLAINLY,
) -> TrainingReport:
    """Train ``detector`` in place, end to end.

    Args:
        proposals: (R, 4) a picture of ``dataset``.
        work_dir: holds what a resumed run needs; emptied at the end.
    """
    solver = cast(Recipe, detector.recipe).solver
    detector.backbone.freeze_leading_layers(detector.recipe.frozen)

    def losses_of(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        images, targets, boxes = batch
        return detector.losses(on_device(images, detector), targets, boxes, generator)

    detector.train()
    history = optimise(
        [detector], losses_of, len(dataset), solver, seed=seed, label="Fast R-CNN: train",
        load=loader(detector, dataset, proposals), resume=work_dir / "train.safetensors", running=running,
    )  # fmt: skip
    detector.eval()
    return TrainingReport("end to end", solver.steps, solver.pictures, 0, (history,))


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
    targets, regions = [], []
    for index in indices:
        image, target = dataset[index]
        boxes = proposals[index] if proposals is not None else torch.zeros(0, 4)
        count = len(boxes)
        image, both = augment(
            image, torch.cat([boxes, target["boxes"]]), recipe.flip, recipe.augmentation, generator
        )  # fmt: skip
        height, width = image.shape[1:]
        shrinks = resize_factor(height, width, recipe.shorter, recipe.longer) < 1
        images.append(to_frame(image, recipe.shorter, recipe.longer, mean, std) if shrinks else image)
        targets.append({**target, "boxes": both[count:]})
        regions.append(both[:count])
    return images, targets, regions if proposals is not None else None


def on_device(images: list[Tensor | Frame], detector: FastRCNN) -> list[Any]:
    """Pictures of a minibatch where the detector is."""
    device = next(detector.parameters()).device
    return [image.to(device) if isinstance(image, Frame) else image.to(device, non_blocking=True) for image in images]
