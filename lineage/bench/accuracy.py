"""How sure a mean AP is, and what a detector gets wrong: what stands beside a mAP in a results file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from lineage.evaluation.bootstrap import interval, resampled_maps
from lineage.evaluation.coco import evaluate_coco
from lineage.evaluation.errors import analyse_errors
from lineage.evaluation.flat import Floats, Picture


def add_accuracy(
    rows: Mapping[str, dict[str, Any]],
    detections: Mapping[str, Sequence[Picture]],
    targets: Sequence[Picture],
    classes: Sequence[str],
) -> dict[str, Floats]:
    """Set each generation's ``map_interval`` (95 %, bootstrap over the pictures), ``coco`` and ``errors``.

    Returns:
        generation -> mAP (B,) on the same resamples, for :func:`differences`.
    """
    resampled = dict(zip(detections, resampled_maps(list(detections.values()), targets, len(classes))))
    for name, found in detections.items():
        rows[name]["map_interval"] = list(interval(resampled[name]))
        rows[name]["coco"] = evaluate_coco(found, targets, len(classes))
        errors = analyse_errors(found, targets, classes)
        rows[name]["errors"] = {label: dataclasses.asdict(one) for label, one in errors.items()}
    return resampled


def differences(resampled: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """How much higher the second of each pair's mAP is, and the 95 % interval of that: real where 0 is outside."""
    return [
        {
            "between": [a, b],
            "mean": float((resampled[b] - resampled[a]).mean()),
            "interval": list(interval(resampled[b] - resampled[a])),
        }
        for a, b in combinations(resampled, 2)
    ]
