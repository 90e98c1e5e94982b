"""An ablation, trained, evaluated and timed."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from torch import Tensor

from lineage.bench.ablations.rebuilt import on_rpn, unshared
from lineage.bench.ablations.table import ABLATIONS
from lineage.bench.ablations.variant import Setting, Variant
from lineage.bench.measure import measure
from lineage.evaluation.voc import evaluate_voc
from lineage.experiments.checking import checked_datasets
from lineage.experiments.checkpoints import load_detector
from lineage.experiments.detections import evaluate_detector
from lineage.experiments.experiment import Experiment, Say, changed, dataset_facts
from lineage.experiments.generations import generation_of
from lineage.experiments.pretrained import require_model

TIMED_PICTURES = 12
STRICT_IOU = 0.7  # besides 0.5: where a box is shows here


def run_ablation(
    name: str, experiment: Experiment, seeds: list[int], say: Say, pretrained: bool = False
) -> dict[str, Any]:
    """Train, change and evaluate every variant with every seed; time the first seed's side by side.

    Args:
        pretrained: change and evaluate the detectors of ``models/`` instead; ``experiment`` is :func:`as_pretrained`.
    Returns:
        {"ablation", "title", "source", "remark", "dataset", "variants": {label: generation, map_mean, map_values,
        map_70_mean, map_70_values (at IoU 0.7), ms_per_image_without_proposals, proposals_mean, published}}.
    """
    ablation = ABLATIONS[name]
    train, test = checked_datasets(experiment, say)
    targets = [test.target(index) for index in range(len(test))]
    maps: dict[str, list[float]] = {variant.label: [] for variant in ablation.variants}
    strict: dict[str, list[float]] = {variant.label: [] for variant in ablation.variants}
    timed: dict[str, Any] = {}
    for seed in seeds:
        setting = Setting(experiment, train, test, seed, say, pretrained)
        for variant in ablation.variants:
            detector, given = detector_of(variant, setting)
            result, detections = evaluate_detector(detector, test, given, f"{variant.label}: test", experiment.cache)
            maps[variant.label].append(float(result.map))
            strict[variant.label].append(evaluate_voc(detections, targets, len(test.classes), STRICT_IOU).map)
            timed.setdefault(variant.label, detector)
            say(f"{variant.label}, seed {seed}: mAP {result.map:.3f}")
    images = [test[i][0].to(experiment.device) for i in range(min(TIMED_PICTURES, len(test)))]
    measured = measure(timed, images)
    rows = {
        variant.label: {
            "generation": variant.generation,
            "map_mean": statistics.mean(maps[variant.label]),
            "map_values": maps[variant.label],
            "map_70_mean": statistics.mean(strict[variant.label]),
            "map_70_values": strict[variant.label],
            "ms_per_image_without_proposals": measured[variant.label]["ms_per_image_without_proposals"],
            "proposals_mean": measured[variant.label]["proposals_mean"],
            "published": variant.published,
        }
        for variant in ablation.variants
    }
    return {
        "ablation": name, "title": ablation.title, "source": ablation.source, "remark": ablation.remark,
        "dataset": dataset_facts(train, test),
        "variants": rows,
    }  # fmt: skip


def as_pretrained(name: str, experiment: Experiment) -> Experiment:
    """The experiment that the detectors of ``models/`` came of, on its data.

    Raises:
        FileNotFoundError: a generation that the ablation needs has no model there.
        ValueError: a variant differs in its training, or the models know other classes than the data.
    """
    variants = ABLATIONS[name].variants
    for variant in variants:
        if variant.unshared or variant.train(experiment.recipe_of(variant.generation)):
            raise ValueError(f"--pretrained: {name} compares trainings: {variant.label!r} is one that models/ has not")
    needed = {variant.generation for variant in variants}
    if any(variant.rpn is not None for variant in variants):
        needed.add("faster_rcnn")
    facts = [load_detector(require_model(one))[1] for one in sorted(needed)]
    return dataclasses.replace(
        experiment, backbone=facts[0]["backbone"], recipe=facts[0]["recipe_name"], classes=tuple(facts[0]["classes"])
    )


def detector_of(variant: Variant, setting: Setting) -> tuple[Any, list[Tensor] | None]:
    """A variant's detector as it is measured, and the test pictures' proposals (None: it makes its own)."""
    changes = tuple(variant.train(setting.experiment.recipe_of(variant.generation)).items())
    own = generation_of(variant.generation).proposes or variant.rpn is not None
    given: list[Tensor] | None = None if own else setting.test_regions
    if variant.unshared:
        detector, given = unshared(setting)
    else:
        detector = setting.detector(variant.generation, changes)
    if variant.rpn is not None:
        detector, given = on_rpn(detector, setting, variant.rpn)
    if variant.rebuild is not None:
        detector = variant.rebuild(detector, setting)
    detector.recipe = changed(detector.recipe, tuple(variant.test(detector.recipe).items()))
    if variant.share < 1 and given is not None:
        limit = detector.recipe.proposals.limit
        few = max(1, round(variant.share * limit))
        detector.recipe = changed(detector.recipe, (("proposals.limit", few),))
        given = [boxes[:few] for boxes in given]
    return detector, given
