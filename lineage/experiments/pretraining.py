"""The backbone that a training starts from: published weights, random ones, or ``tiny`` pre-trained here."""

from __future__ import annotations

import dataclasses
from typing import Any

from lineage.backbones import Backbone, build_backbone, module_of
from lineage.backbones.pretrain import SOLVER, pretrain
from lineage.common.checkpoint import load_checkpoint, save_checkpoint
from lineage.common.optimise import Solver
from lineage.data.shapes import classification_crops
from lineage.experiments.experiment import Experiment, Say
from lineage.experiments.keys import code_digest, digest_of, name_or_contents
from lineage.experiments.stopwatch import stopwatch


def _solver(experiment: Experiment) -> Solver:
    return SOLVER if experiment.steps is None else SOLVER.shortened(experiment.steps)


def pretraining_key(experiment: Experiment, seed: int) -> str:
    """Names what a detector's training starts from."""
    if experiment.backbone != "tiny":
        weights = experiment.weights and name_or_contents(experiment.weights)
        return digest_of({"backbone": experiment.backbone, "weights": weights, "as": experiment.preprocessing})
    facts = {
        "solver": dataclasses.asdict(_solver(experiment)),
        "crops": experiment.pretraining_crops,
        "pretraining": experiment.pretraining,
        "seed": seed,
        "code": code_digest("lineage.backbones.pretrain", "lineage.data.shapes", module_of("tiny")),
    }
    return digest_of(facts)


def pretrained_backbone(experiment: Experiment, seed: int, say: Say) -> tuple[Backbone, dict[str, Any]]:
    """A fresh backbone, and what is known of its pre-training (empty for published weights)."""
    if experiment.backbone != "tiny":
        return build_backbone(experiment.backbone, experiment.weights, seed, experiment.preprocessing), {}
    backbone = build_backbone("tiny", seed=seed)
    if not experiment.pretraining:
        return backbone, {"seconds": 0.0, "accuracy": None}
    solver = _solver(experiment)
    path = experiment.cache / "models" / f"tiny-{pretraining_key(experiment, seed)}.safetensors"
    if path.exists():
        state, found = load_checkpoint(path)
        backbone.load_state_dict(state)
        return backbone, found
    resume = path.with_suffix(".resume.safetensors")
    with stopwatch(path.with_suffix(".seconds")) as seconds_so_far:
        crops, labels = classification_crops(experiment.pretraining_crops, backbone.crop_size, seed)
        accuracy = pretrain(backbone, crops, labels, seed=seed, solver=solver, resume=resume)
        found = {"seconds": seconds_so_far(), "accuracy": accuracy}
    save_checkpoint(path, backbone.state_dict(), found)
    say(f"pre-train tiny, seed {seed}: {accuracy:.1%} of held-out crops named right ({found['seconds']:.1f} s)")
    return backbone, found
