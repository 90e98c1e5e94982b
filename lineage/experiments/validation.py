"""Measuring a detector while it learns, on a split that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from lineage.common.matching import usable_objects
from lineage.common.running import Validation
from lineage.data.voc import VOCDataset
from lineage.experiments.detections import evaluate_detector
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import generation_of
from lineage.experiments.keys import code_digest, data_digest, digest_of, proposals_digest


class HeldOut(NamedTuple):
    """Pictures to measure on, and selective search's boxes (R, 4) for each (None: the detector proposes)."""

    dataset: VOCDataset
    proposals: list[Tensor] | None


def refuse_unmeasurable(generation: str, procedure: str | None = None) -> None:
    """Say so where no gradient step leaves a detector whose mAP would mean anything.

    Raises:
        ValueError: R-CNN, SPP-net, or an RPN that is trained alone.
    """
    row = generation_of(generation)
    if row.margins:
        raise ValueError(
            f"--validate-every: {row.title} detects by SVMs, which are fitted after its last gradient step, so it has "
            "no mAP before; leave the option out, and measure what comes out with python -m lineage.evaluate"
        )
    if procedure == "rpn":
        raise ValueError(f"--validate-every: an RPN alone proposes and names nothing, so {row.title} has no mAP yet")


def check_held_out(held_out: HeldOut) -> None:
    """Raise ValueError where mAP could not be a number: no object that counts."""
    dataset = held_out.dataset
    if not any(len(usable_objects(dataset.target(index))[0]) for index in range(len(dataset))):
        raise ValueError(f"--validate-every: {dataset.root}: no object of the split {dataset.split} counts")


def validation_on(held_out: HeldOut, detector: Any, experiment: Experiment, work_dir: Path) -> Validation:
    """VOC's 11-point mAP at IoU 0.5, as ``experiment`` asks for it; detections are kept in ``work_dir``."""

    def measure() -> float:
        with _evaluating(detector):
            return evaluate_detector(detector, held_out.dataset, held_out.proposals, "mAP on val", work_dir)[0].map

    assert experiment.validate_every is not None
    return Validation(experiment.validate_every, measure, experiment.keep == "best")


@contextmanager
def _evaluating(detector: nn.Module) -> Iterator[None]:
    """In eval mode; afterwards each module is in the mode that it was in."""
    modes = {module: module.training for module in detector.modules()}
    detector.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def choice_key(experiment: Experiment, held_out: HeldOut | None) -> str | None:
    """Names how the weights that are kept are chosen; None: they are the last ones, whoever looked on."""
    if held_out is None or experiment.keep == "last":
        return None
    facts = {
        "every": experiment.validate_every,
        "data": data_digest(held_out.dataset),
        "proposals": held_out.proposals and proposals_digest(held_out.proposals),
        "code": code_digest("lineage.experiments.detections"),
    }
    return digest_of(facts)
