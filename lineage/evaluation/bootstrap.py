"""How far a mean AP would have moved with other pictures: the bootstrap (Efron 1979) over a test set.

Systems are measured on the same resamples, so that their differences are of the same pictures: a set with many easy
pictures is easy for all of them, and what is left is what one system does better (paired).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lineage.evaluation.flat import Floats, Integers, Picture
from lineage.evaluation.voc import Matched, match_voc

RESAMPLES = 1000
LEVEL = 0.95
AT_ONCE = 2_000_000  # detections times resamples, 16 MB a table of them


class Interval(NamedTuple):
    """Between which values the middle ``LEVEL`` of the resamples lie."""

    low: float
    high: float


def resampled_maps(
    systems: Sequence[Sequence[Picture]],
    targets: Sequence[Picture],
    num_classes: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    iou_threshold: float = 0.5,
) -> Floats:
    """Mean 11-point AP (S, B) of each system's detections on B resamples of the pictures, the same for all systems.

    A picture that was drawn twice counts as two pictures. Matching does not depend on what else was drawn, so it is
    done once, and a resample is a weight a picture.

    Args:
        systems: S lists of detections, each as ``detections`` of :func:`~lineage.evaluation.voc.evaluate_voc`.
        targets, num_classes, iou_threshold: as there.
    Raises:
        ValueError: no picture, or as there.
    """
    if not targets:
        raise ValueError("bootstrap: there is no picture to draw from")
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(
        len(targets), np.full(len(targets), 1 / len(targets)), size=resamples
    )  # (B, pictures)
    matched = [match_voc(detections, targets, num_classes, iou_threshold) for detections in systems]
    return np.stack([_maps(one, drawn, num_classes) for one in matched])


def interval(values: Floats) -> Interval:
    """Of resampled values (B,), or of two systems' differences (B,): the percentile interval."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, (tail, 100 - tail))
    return Interval(float(low), float(high))


def _maps(matched: Matched, drawn: Integers, num_classes: int) -> Floats:
    ap = np.stack([_average_precisions(matched, drawn, label) for label in range(1, num_classes + 1)])  # (C, B)
    known = ~np.isnan(ap)
    counted = known.sum(axis=0)
    return np.divide(np.where(known, ap, 0).sum(axis=0), counted, out=np.full(len(drawn), np.nan), where=counted > 0)


def _average_precisions(matched: Matched, drawn: Integers, label: int) -> Floats:
    """A class's 11-point AP (B,) on each resample; nan where none of its objects was drawn."""
    objects = drawn[:, matched.object_picture[matched.object_labels == label]].sum(axis=1)  # (B,)
    rows = matched.of_class(label)
    picture, right = matched.picture[rows], matched.true_positive[rows]
    at_once = max(1, AT_ONCE // max(1, len(picture)))
    parts = [
        _eleven_points(drawn[first : first + at_once][:, picture], right, objects[first : first + at_once])
        for first in range(0, len(drawn), at_once)
    ]
    return np.concatenate(parts)


def _eleven_points(weights: Integers, right: npt.NDArray[np.bool_], objects: Integers) -> Floats:
    """11-point AP (b,) where detection k counts ``weights`` (b, K) times."""
    hits, counted = np.cumsum(weights * right, axis=1), np.cumsum(weights, axis=1)  # (b, K)
    precision = np.divide(hits, counted, out=np.zeros(hits.shape), where=counted > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.append(envelope, np.zeros((len(weights), 1)), axis=1)  # 0: a recall that was never reached
    recall = np.divide(hits, objects[:, None], out=np.zeros(hits.shape), where=objects[:, None] > 0)
    total = np.zeros(len(weights))
    for threshold in np.arange(11) * 0.1:
        first = (recall < threshold).sum(axis=1)  # recall never decreases
        total += envelope[np.arange(len(first)), first]
    return np.where(objects > 0, total / 11, np.nan)
