"""Fast R-CNN's training: one procedure, no feature cache."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from lineage.common.history import TrainingReport
from lineage.common.inputs import check_learnable
from lineage.common.optimise import optimise
from lineage.common.running import PLAINLY, Running
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.convolutions import Convolutions
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.minibatch import Batch, loader
from lineage.fast_rcnn.recipe import Recipe


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
        work_dir: holds what a resumed run needs. Remove it when ``detector`` is kept elsewhere.
    Raises:
        ValueError: no object to learn from.
    """
    check_learnable(dataset.target(index) for index in range(len(dataset)))
    solver = cast(Recipe, detector.recipe).solver
    detector.backbone.freeze_leading_layers(detector.recipe.frozen)

    convolve = Convolutions(detector)

    def losses_of(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        assert batch.regions is not None
        return detector.roi_losses(*convolve(batch), batch.targets, batch.regions, generator)

    detector.train()
    history = optimise(
        [detector], losses_of, len(dataset), solver, seed=seed, label="Fast R-CNN: train",
        load=loader(detector, dataset, proposals), resume=work_dir / "train.safetensors", running=running,
    )  # fmt: skip
    detector.eval()
    return TrainingReport("end to end", solver.steps, solver.pictures, 0, (history,))
