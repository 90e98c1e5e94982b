"""Fast R-CNN's training: one procedure, no feature cache."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from lineage.common.augment import augment
from lineage.common.optimise import TrainingReport, optimise
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.recipe import Recipe

Batch = tuple[list[Tensor], list[dict[str, Tensor]], list[Tensor] | None]


def train(
    detector: FastRCNN, dataset: VOCDataset, proposals: list[Tensor], *, seed: int, work_dir: Path
) -> TrainingReport:
    """Train ``detector`` in place, end to end.

    Args:
        proposals: (R, 4) a picture of ``dataset``.
        work_dir: holds what a resumed run needs; emptied at the end.
    """
    solver = cast(Recipe, detector.recipe).solver
    detector.backbone.freeze_leading_layers(detector.recipe.frozen)

    def losses_of(indices: list[int], generator: torch.Generator) -> dict[str, Tensor]:
        images, targets, boxes = load_batch(dataset, indices, generator, detector, proposals)
        return detector.losses(images, targets, boxes, generator)

    detector.train()
    curves = optimise(
        [detector], losses_of, len(dataset), solver, seed=seed, label="Fast R-CNN: train",
        resume=work_dir / "train.safetensors",
    )  # fmt: skip
    detector.eval()
    return TrainingReport("end to end", solver.steps, solver.steps * solver.images_per_step, 0, curves)


def load_batch(
    dataset: VOCDataset,
    indices: list[int],
    generator: torch.Generator,
    detector: FastRCNN,
    proposals: list[Tensor] | None = None,
) -> Batch:
    """Pictures, targets and proposals of a minibatch, each picture augmented by the recipe."""
    device = next(detector.parameters()).device
    images, targets, regions = [], [], []
    for index in indices:
        image, target = dataset[index]
        boxes = proposals[index] if proposals is not None else torch.zeros(0, 4)
        recipe, count = detector.recipe, len(boxes)
        image, both = augment(
            image, torch.cat([boxes, target["boxes"]]), recipe.flip, recipe.augmentation, generator
        )  # fmt: skip
        boxes, target = both[:count], {**target, "boxes": both[count:]}
        images.append(image.to(device))
        targets.append(target)
        regions.append(boxes)
    return images, targets, regions if proposals is not None else None
