"""Trained detectors: found in the cache by their key, or trained now."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from lineage.backbones import module_of
from lineage.data.proposals import cached_proposals
from lineage.data.voc import VOCDataset
from lineage.experiments.checking import checked_training_set
from lineage.experiments.checkpoints import load_detector, save_detector
from lineage.experiments.experiment import Experiment, Say
from lineage.experiments.generations import build_detector, generation_of, named_recipe, train_detector
from lineage.experiments.keys import code_digest, data_digest, digest_of, proposals_digest
from lineage.experiments.pretraining import pretrained_backbone, pretraining_key
from lineage.experiments.stopwatch import stopwatch
from lineage.selective_search.settings import ProposalSettings


def region_proposals(experiment: Experiment, dataset: VOCDataset) -> list[Tensor]:
    """The dataset's selective-search boxes, one (R, 4) a picture, through the cache on disk."""
    settings = experiment.proposal_settings(named_recipe("rcnn", experiment.recipe).proposals)
    return proposals_by(settings, dataset, experiment.cache)


def proposals_by(settings: ProposalSettings, dataset: VOCDataset, cache: Path) -> list[Tensor]:
    """The same by a recipe's or a trained detector's own settings."""
    key = f"{settings.key} {code_digest('lineage.selective_search')}"
    return cached_proposals(dataset, settings, key, cache / "proposals")


def model_key(
    experiment: Experiment, generation: str, seed: int, train: VOCDataset, proposals: list[Tensor] | None
) -> str:
    """Names a trained model by all that its training reads: pictures, targets, proposals, recipe, weights, code."""
    own = generation_of(generation)
    facts = {
        "generation": generation,
        "seed": seed,
        "device": experiment.device.type,  # the second GPU's models are the first's
        "recipe": dataclasses.asdict(experiment.recipe_of(generation)),
        "data": data_digest(train),
        "proposals": None if proposals is None or own.proposes else proposals_digest(proposals),
        "start": pretraining_key(experiment, seed),
        "code": code_digest(f"{own.package}.detector", f"{own.package}.train", module_of(experiment.backbone)),
    }
    return digest_of(facts)


def trained_detector(
    experiment: Experiment, generation: str, seed: int, train: VOCDataset, proposals: list[Tensor] | None, say: Say
) -> tuple[Any, dict[str, Any]]:
    """A trained detector on the experiment's device, and the facts of its training."""
    path = train_or_find(experiment, generation, seed, train, proposals, say)
    detector, facts = load_detector(path, generation=generation, classes=list(train.classes))
    return detector.to(experiment.device), facts


def train_or_find(
    experiment: Experiment, generation: str, seed: int, train: VOCDataset, proposals: list[Tensor] | None, say: Say
) -> Path:
    """The checkpoint of a trained detector; trained now unless the cache has it."""
    key = model_key(experiment, generation, seed, train, proposals)
    path = experiment.cache / "models" / f"{generation}-{key}.safetensors"
    if path.exists():
        return path
    backbone, pretraining = pretrained_backbone(experiment, seed, say)
    detector: Any = build_detector(generation, backbone, train.classes, experiment.recipe_of(generation)).to(
        experiment.device
    )
    work_dir = path.with_suffix(".work")
    with stopwatch(work_dir / "seconds") as seconds_so_far:
        report = train_detector(detector, train, proposals, seed=seed, work_dir=work_dir)
        seconds = seconds_so_far()
    facts = {
        "seed": seed, "data": experiment.data, "train_seconds": seconds, "pretraining": pretraining,
        **dataclasses.asdict(report),
    }  # fmt: skip
    save_detector(detector, path, **facts)
    shutil.rmtree(work_dir, ignore_errors=True)
    say(f"{generation_of(generation).title}, seed {seed}: {report.procedure}, {report.steps} steps in {seconds:.1f} s")
    return path


def train_alone(experiment: Experiment, generation: str, seed: int, say: Say) -> Path:
    """The checkpoint of one generation, with all that it needs: pictures and, where it takes any, proposals."""
    train = checked_training_set(experiment, say)
    proposals = None if generation_of(generation).proposes else region_proposals(experiment, train)
    return train_or_find(experiment, generation, seed, train, proposals, say)
