"""The race: every generation trained or found, evaluated on the same pictures, and timed on some of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.bench.accuracy import add_accuracy, differences
from lineage.bench.circumstances import circumstances
from lineage.bench.measure import add_speedups, measure
from lineage.common.together import is_first
from lineage.experiments.checking import checked, checked_datasets
from lineage.experiments.checkpoints import load_detector
from lineage.experiments.detections import Detections, evaluate_detector
from lineage.experiments.experiment import Experiment, Say, dataset_facts
from lineage.experiments.generations import generation_of, named_recipe
from lineage.experiments.pretrained import require_model
from lineage.experiments.training import proposals_by, region_proposals, trained_detector

if TYPE_CHECKING:
    from rich.console import Console

    from lineage.data.voc import VOCDataset
    from lineage.evaluation.voc import VOCResult

TIMED_PICTURES = 24
Trained = list[tuple[dict[str, Any], "VOCResult"]]  # facts of a training and what came of it, one a seed


def run(experiment: Experiment, generations: list[str], seeds: list[int], console: Console) -> dict[str, Any]:
    """Train and evaluate every generation with every seed, measure the first seed's; the ``results`` dict."""
    say = _speaker(console)
    train, test = checked_datasets(experiment, say)
    say(f"{experiment.data}: {len(train)} pictures to learn from, {len(test)} to test, {len(train.classes)} classes")
    regions, test_regions = None, None
    if not all(generation_of(name).proposes for name in generations):
        regions, test_regions = region_proposals(experiment, train), region_proposals(experiment, test)
        say(f"selective search: {statistics.mean(len(boxes) for boxes in test_regions):.0f} proposals a picture")
    rows: dict[str, dict[str, Any]] = {}
    first_seed: dict[str, tuple[Any, Detections]] = {}
    for name in generations:
        trained: Trained = []
        for seed in seeds:
            detector, facts = trained_detector(experiment, name, seed, train, regions, say)
            given = None if generation_of(name).proposes else test_regions
            detector.amp = experiment.amp
            result, detections = evaluate_detector(detector, test, given, f"{name}: test", experiment.cache)
            trained.append((facts, result))
            first_seed.setdefault(name, (detector, detections))
        rows[name] = _training_row(trained, first_seed[name][0], train.classes)
        say(f"{generation_of(name).title}: mAP " + ", ".join(f"{value:.3f}" for value in rows[name]["map_values"]))
    results = {**setting(experiment, seeds), "dataset": dataset_facts(train, test), "generations": rows}
    return _measured(results, first_seed, test, experiment) if is_first() else results


def run_pretrained(experiment: Experiment, generations: list[str], console: Console) -> dict[str, Any]:
    """The same without training: the detectors of ``models/`` on the test split of the experiment's data.

    Raises:
        FileNotFoundError: a generation has no model there.
        ValueError: the models were trained for different classes, or the data is shapes.
    """
    if experiment.data == "shapes":
        raise ValueError("--pretrained: --data is shapes, and the models know VOC's classes: name a folder of pictures")
    say = _speaker(console)
    loaded = {name: load_detector(require_model(name), generation=name) for name in generations}
    class_lists = {detector.classes for detector, _ in loaded.values()}
    if len(class_lists) > 1:
        raise ValueError(f"--pretrained: the models of {', '.join(generations)} do not know the same classes")
    (classes,) = class_lists
    (test,) = checked(
        [experiment.test_set(classes)], say, data=experiment.data, cache=experiment.cache, skip_bad=experiment.skip_bad,
        accept=experiment.accept, learns=False,
    )  # fmt: skip
    rows, detectors = {}, {}
    for name, (detector, facts) in loaded.items():
        given = None
        if not generation_of(name).proposes:
            given = proposals_by(detector.recipe.proposals, test, experiment.cache)
        detector.amp = experiment.amp
        detector.to(experiment.device)
        result, detections = evaluate_detector(detector, test, given, f"{name}: test", experiment.cache)
        detectors[name] = detector, detections
        rows[name] = _training_row([(facts, result)], detector, classes)
        say(f"{generation_of(name).title}: mAP {rows[name]['map_mean']:.3f}")
    facts = next(iter(loaded.values()))[1]
    recipes = [detector.recipe for detector, _ in loaded.values()]
    limits = [recipe.proposals.limit for recipe in recipes if hasattr(recipe, "proposals")]
    results = {
        **setting(experiment, [facts["seed"]]),
        "backbone": facts["backbone"],
        "recipe": facts.get("recipe_name", "-"),
        "proposals": max(limits, default=None),
        "dataset": {
            "train_pictures": facts.get("train_pictures"), "test_pictures": len(test), "classes": list(classes)
        },
        "generations": rows,
    }  # fmt: skip
    return _measured(results, detectors, test, experiment) if is_first() else results


def setting(experiment: Experiment, seeds: list[int]) -> dict[str, Any]:
    """What a results file says of how it came about."""
    limit = experiment.proposal_settings(named_recipe("rcnn", experiment.recipe).proposals).limit
    return {
        **circumstances("python -m lineage.bench", experiment.device),
        "data": Path(experiment.data).name,
        "backbone": experiment.backbone,
        "recipe": experiment.recipe,
        "proposals": limit,
        "seeds": seeds,
    }


def _measured(
    results: dict[str, Any], detectors: dict[str, tuple[Any, Detections]], test: VOCDataset, experiment: Experiment
) -> dict[str, Any]:
    """With how sure the mAPs are, what goes wrong, and how long a picture takes."""
    rows = results["generations"]
    found = {name: detections for name, (_, detections) in detectors.items()}
    targets = [test.target(index) for index in range(len(test))]
    resampled = add_accuracy(rows, found, targets, test.classes)
    images = [test[i][0].to(experiment.device) for i in range(min(TIMED_PICTURES, len(test)))]
    for name, row in measure({name: detector for name, (detector, _) in detectors.items()}, images).items():
        rows[name].update(row)
    add_speedups(rows)
    return {**results, "differences": differences(resampled)}


def _training_row(trained: Trained, detector: Any, classes: Sequence[str]) -> dict[str, Any]:
    facts, results = [f for f, _ in trained], [r for _, r in trained]
    maps = [float(result.map) for result in results]
    return {
        "map_mean": statistics.mean(maps),
        "map_values": maps,
        "ap_per_class": {
            name: statistics.mean(float(result.ap[label]) for result in results)
            for label, name in enumerate(classes, start=1)
        },
        "train_seconds": statistics.mean(f["train_seconds"] for f in facts),
        "train_steps": facts[0]["steps"],
        "train_pictures": facts[0]["pictures"],
        "train_procedure": facts[0]["procedure"],
        "pretraining": [f["pretraining"] for f in facts],
        "cache_bytes": round(statistics.mean(f["cache_bytes"] for f in facts)),
        "parameters": sum(tensor.numel() for tensor in detector.state_dict().values()),
    }


def _speaker(console: Console) -> Say:
    return lambda line: console.print(line, soft_wrap=True)
