"""Trained detectors: found in the cache by their key, or trained now."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from lineage.backbones import module_of
from lineage.common.checkpoint import load_checkpoint
from lineage.common.running import Listen, Running
from lineage.common.together import is_first
from lineage.data.decoded import share_memory
from lineage.data.proposals import cached_proposals
from lineage.data.voc import VOCDataset
from lineage.experiments.checking import checked_for
from lineage.experiments.checkpoints import load_detector, save_detector
from lineage.experiments.curves import curves_file, write_curves
from lineage.experiments.experiment import Experiment, Say
from lineage.experiments.generations import build_detector, generation_of, named_recipe, train_detector
from lineage.experiments.keys import code_digest, data_digest, digest_of, proposals_digest
from lineage.experiments.making import find_or_make
from lineage.experiments.pretraining import pretrained_backbone, pretraining_key
from lineage.experiments.stopwatch import stopwatch
from lineage.experiments.validation import HeldOut, check_held_out, choice_key, refuse_unmeasurable, validation_on
from lineage.selective_search.settings import ProposalSettings

WORTH_SAYING = 0.1  # of a training's time


def region_proposals(experiment: Experiment, dataset: VOCDataset) -> list[Tensor]:
    """The dataset's selective-search boxes, one (R, 4) a picture, through the cache on disk."""
    settings = experiment.proposal_settings(named_recipe("rcnn", experiment.recipe).proposals)
    return proposals_by(settings, dataset, experiment.cache)


def proposals_by(settings: ProposalSettings, dataset: VOCDataset, cache: Path) -> list[Tensor]:
    """The same by a recipe's or a trained detector's own settings."""
    key = f"{settings.key} {code_digest('lineage.selective_search')}"
    return cached_proposals(dataset, settings, key, cache / "proposals")


def model_key(
    experiment: Experiment,
    generation: str,
    seed: int,
    train: VOCDataset,
    proposals: list[Tensor] | None,
    held_out: HeldOut | None = None,
) -> str:
    """Names a trained model by all that its training reads: pictures, targets, proposals, recipe, weights, code.

    Not by what changes no number: how many processes load pictures, and who looks on while the last weights are kept.
    """
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
        "choice": choice_key(experiment, held_out),
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
    experiment: Experiment,
    generation: str,
    seed: int,
    train: VOCDataset,
    proposals: list[Tensor] | None,
    say: Say,
    held_out: HeldOut | None = None,
    listen: Listen | None = None,
) -> Path:
    """The checkpoint of a trained detector, its curves beside it; trained now unless the cache has it.

    Args:
        held_out: what ``experiment.validate_every`` measures on. listen: called after each step.
    """
    key = model_key(experiment, generation, seed, train, proposals, held_out)
    path = experiment.cache / "models" / f"{generation}-{key}.safetensors"

    def make(work_dir: Path) -> None:
        backbone, pretraining = pretrained_backbone(experiment, seed, say)
        detector: Any = build_detector(generation, backbone, train.classes, experiment.recipe_of(generation)).to(
            experiment.device
        )
        running = Running(
            experiment.workers,
            partial(share_memory, train, experiment.workers) if experiment.workers else None,
            None if held_out is None else validation_on(held_out, detector, experiment, work_dir),
            listen,
        )
        with stopwatch(work_dir / "seconds") as seconds_so_far:
            report = train_detector(detector, train, proposals, seed=seed, work_dir=work_dir, running=running)
            seconds = seconds_so_far()
        facts = {
            "seed": seed, "data": experiment.data, "train_pictures": len(train), "recipe_name": experiment.recipe,
            "train_seconds": seconds, "pretraining": pretraining,
            **report.facts(),
        }  # fmt: skip
        if is_first():
            write_curves(report.histories, curves_file(path))
            save_detector(detector, path, **facts)
        say(f"{generation_of(generation).title}, seed {seed}: {_summary(facts, experiment.workers)}")

    find_or_make(path, make)
    if held_out is not None and "validation" not in load_checkpoint(path)[1]:
        say("found trained already, with nobody measuring: its curves have no mAP")
    return path


def _summary(facts: dict[str, Any], workers: int) -> str:
    """What a training was, in a line."""
    seconds, waited = facts["train_seconds"], facts["wait_seconds"]
    line = f"{facts['procedure']}, {facts['steps']} steps in {seconds:.1f} s"
    if waited > WORTH_SAYING * seconds:
        line += f", {waited / seconds:.0%} of it waiting for pictures (--workers {workers})"
    if "validation" in facts:
        chosen = facts["validation"]
        line += f"; mAP on val {chosen['kept_map']:.3f} after step {chosen['kept_step']}, whose weights are kept"
    return line


def train_alone(experiment: Experiment, generation: str, seed: int, say: Say, listen: Listen | None = None) -> Path:
    """The checkpoint of one generation, with all that it needs: pictures and, where it takes any, proposals.

    Raises:
        ValueError: ``experiment.validate_every``, and there is nothing to measure, or to measure on.
    """
    if experiment.validate_every:
        refuse_unmeasurable(generation, getattr(experiment.recipe_of(generation), "procedure", None))
    train = experiment.training_set()
    measured = [experiment.validation_set(train.classes)] if experiment.validate_every else []
    train, *measured = checked_for(experiment, [train, *measured], say)
    proposals = None if generation_of(generation).proposes else region_proposals(experiment, train)
    held_out = None
    if measured:
        (val,) = measured
        held_out = HeldOut(val, None if proposals is None else region_proposals(experiment, val))
        check_held_out(held_out)
        say(f"--validate-every: learns from train alone, {len(train)} pictures; measured on val, {len(val)}")
    return train_or_find(experiment, generation, seed, train, proposals, say, held_out, listen)
