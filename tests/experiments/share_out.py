"""python share_out.py FOLDER DATA: what a job of one or several processes computes, as one file of tensors."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from procedures import learn

from lineage.backbones import build_backbone
from lineage.common.checkpoint import save_checkpoint
from lineage.common.together import is_first, rank, together, world
from lineage.data.proposals import cached_proposals
from lineage.data.voc import VOCDataset
from lineage.experiments.detections import detect_all
from lineage.experiments.generations import build_detector, named_recipe, train_detector

MINIBATCHES = 6  # of a picture each: for 1, 2, 3 and 6 processes
PROCEDURES = ("sppnet", "joint", "alternating")  # a fixed map, Fast R-CNN's losses and the RPN's, proposals in between


def everything(folder: Path, data: Path) -> dict[str, torch.Tensor]:
    """Proposals, the procedures' losses and weights, a whole R-CNN, and what detectors find."""
    pictures = VOCDataset(data, "trainval")
    proposals = cached_proposals(pictures, named_recipe("rcnn", "quick").proposals, "share", folder / "p", jobs=1)
    found = {f"proposals.{i}": boxes for i, boxes in enumerate(proposals)}
    for procedure in PROCEDURES:
        work = folder / procedure
        curves, state = learn(procedure, pictures, proposals, work, images_per_step=1, accumulate=MINIBATCHES)
        found |= {f"{procedure}.loss.{name}": torch.tensor(values) for name, values in curves.items()}
        found |= {f"{procedure}.weights.{name}": tensor for name, tensor in state.items()}
    for generation in ("rcnn", "faster_rcnn"):
        detector = build_detector(generation, build_backbone("tiny", seed=0), pictures.classes, tiny_recipe(generation))
        if generation == "rcnn":
            train_detector(detector, pictures, proposals, seed=0, work_dir=folder / "whole")
            found |= {f"whole.{name}": tensor for name, tensor in detector.state_dict().items()}
        given = proposals if generation == "rcnn" else None
        for i, one in enumerate(detect_all(detector.eval(), pictures, given, "detect", folder)):
            found |= {f"{generation}.found.{i}.{name}": tensor for name, tensor in one.items()}
    return found


def tiny_recipe(generation: str):
    """Quick, without a step that moves a weight: what is left is exact for any number of processes."""
    from dataclasses import replace

    recipe = named_recipe(generation, "quick")
    if generation == "rcnn":
        solver = replace(recipe.finetune, steps=1, learning_rate=0.0, accumulate=MINIBATCHES, images_per_step=1)
        return replace(recipe, finetune=solver)
    return replace(recipe, score_threshold=0.0)


if __name__ == "__main__":
    folder, data = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    with together():
        result = everything(folder, data)
        assert is_first() == (rank() == 0)
        if is_first():
            save_checkpoint(folder / "result.safetensors", result, {"world": world()})
