"""The backbone that a training starts from: published weights, random ones, or ``tiny``, which was pre-trained here."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from lineage.backbones import Backbone, build_backbone, module_of
from lineage.backbones.pretrain import SOLVER, pretrain
from lineage.common.checkpoint import load_checkpoint, save_checkpoint
from lineage.common.optimise import Solver
from lineage.common.together import made_by_first
from lineage.data.shapes import classification_crops
from lineage.experiments.experiment import Experiment, Say
from lineage.experiments.keys import code_digest, digest_of, name_or_contents
from lineage.experiments.making import find_or_make
from lineage.experiments.pretrained import tiny_of
from lineage.experiments.stopwatch import stopwatch


def _settings(experiment: Experiment, seed: int) -> dict[str, Any]:
    """What tiny's pre-training depends on, but for its code."""
    solver = SOLVER if experiment.steps is None else SOLVER.shortened(experiment.steps)
    return {"solver": dataclasses.asdict(solver), "crops": experiment.pretraining_crops, "seed": seed}


def _supplied(experiment: Experiment, seed: int) -> Path | None:
    """The file of weights that come with the project, where pre-training by these settings would give them."""
    path = tiny_of(seed)
    if path is None or experiment.pretrain_here:
        return None
    settings = json.loads(json.dumps(_settings(experiment, seed)))  # tuples as a file has them
    return path if load_checkpoint(path)[1]["settings"] == settings else None


def pretraining_key(experiment: Experiment, seed: int) -> str:
    """Names what a detector's training starts from."""
    if experiment.backbone != "tiny":
        weights = experiment.weights and name_or_contents(experiment.weights)
        return digest_of({"backbone": experiment.backbone, "weights": weights, "as": experiment.preprocessing})
    supplied = _supplied(experiment, seed) if experiment.pretraining else None
    if supplied is not None:
        return digest_of({"backbone": "tiny", "weights": name_or_contents(str(supplied))})
    facts = {
        **_settings(experiment, seed),
        "pretraining": experiment.pretraining,
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
    supplied = _supplied(experiment, seed)
    path = supplied or experiment.cache / "models" / f"tiny-{pretraining_key(experiment, seed)}.safetensors"

    def make(work_dir: Path) -> None:
        settings = _settings(experiment, seed)
        with stopwatch(work_dir / "seconds") as seconds_so_far:
            crops, labels = classification_crops(experiment.pretraining_crops, backbone.crop_size, seed)
            solver, resume = Solver(**settings["solver"]), work_dir / "pretrain.safetensors"
            accuracy = pretrain(backbone, crops, labels, seed=seed, solver=solver, resume=resume)
            found = {"seconds": seconds_so_far(), "accuracy": accuracy, "settings": settings}
        save_checkpoint(path, backbone.state_dict(), found)
        say(f"pre-train tiny, seed {seed}: {accuracy:.1%} of held-out crops named right ({found['seconds']:.1f} s)")

    if not supplied:
        made_by_first(lambda: find_or_make(path, make))
    state, facts = load_checkpoint(path)
    backbone.load_state_dict(state)
    return backbone, _told(facts, supplied is not None)


def _told(found: dict[str, Any], supplied: bool) -> dict[str, Any]:
    """What a trained model says of its start."""
    return {"seconds": found["seconds"], "accuracy": found["accuracy"], "supplied": supplied}
