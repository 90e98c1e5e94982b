"""The five gradient procedures that load pictures, a few steps each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor

from lineage.backbones import build_backbone
from lineage.common.augment import Augmentation
from lineage.common.running import PLAINLY, Running
from lineage.data.voc import VOCDataset
from lineage.experiments.generations import build_detector, named_recipe, train_detector
from lineage.rcnn.finetune import finetune
from lineage.sppnet.train import finetune_fc

STEPS = 3
PROCEDURES = ("rcnn", "sppnet", "fast_rcnn", "joint", "alternating")


def recipe_of(procedure: str, augmentation: Augmentation | None = None, **solver: Any):
    """(generation, its quick recipe with few steps); ``solver``: other values in every solver."""
    generation = procedure if procedure in ("rcnn", "sppnet", "fast_rcnn") else "faster_rcnn"
    recipe = named_recipe(generation, "quick")
    if augmentation and generation != "sppnet":
        recipe = dataclasses.replace(recipe, augmentation=augmentation)
    if generation == "faster_rcnn":
        recipe = dataclasses.replace(recipe, procedure=procedure)
    for name in ("finetune", "solver", "rpn_solver", "head_solver"):
        if hasattr(recipe, name):
            changed = dataclasses.replace(getattr(recipe, name).shortened(STEPS), **solver)
            recipe = dataclasses.replace(recipe, **{name: changed})
    return generation, recipe


def learn(
    procedure: str,
    pictures: VOCDataset,
    proposals: list[Tensor],
    work: Path,
    running: Running = PLAINLY,
    augmentation: Augmentation | None = None,
    **solver: Any,
) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    """The steps alone, of R-CNN and SPP-net without what follows them: each loss's curve, and the weights."""
    work.mkdir(exist_ok=True)
    generation, recipe = recipe_of(procedure, augmentation, **solver)
    detector = build_detector(generation, build_backbone("tiny", seed=0), pictures.classes, recipe)
    if generation == "rcnn":
        path = work / "s.safetensors"
        net = detector.backbone
        curves = finetune(net, pictures, proposals, recipe, seed=0, resume=path, running=running).curves
    elif generation == "sppnet":
        curves = finetune_fc(detector, pictures, proposals, 0, work / "s.safetensors", running).curves
    else:
        curves = train_detector(detector, pictures, proposals, seed=0, work_dir=work, running=running).curves
    return curves, detector.state_dict()
