"""VOC average precision, by the devkit's rule.

Each detection, best score first, looks at the *one* object of its class and picture that it overlaps most.
Enough overlap and the object still free: a true positive. Enough overlap but already taken, or too little:
a false positive. Enough overlap with a ``difficult`` object: neither, and the detection leaves the curve.

Source: VOCevaldet.m and VOCap.m of the VOC devkit; py-faster-rcnn, lib/datasets/voc_eval.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lineage.evaluation.flat import Flat, Floats, Integers, Picture, flatten


class Curve(NamedTuple):
    """One class's precision and recall after each counted detection, best score first."""

    recall: Floats  # (K,) never decreases
    precision: Floats  # (K,)
    scores: Floats  # (K,) never increases


@dataclass(frozen=True)
class VOCResult:
    """What :func:`evaluate_voc` found; labels are 1..C."""

    ap: dict[int, float]  # nan for a class without an object that counts
    map: float  # mean over the classes that are not nan; nan if all are
    curves: dict[int, Curve]


def evaluate_voc(
    detections: Sequence[Picture],
    targets: Sequence[Picture],
    num_classes: int,
    iou_threshold: float = 0.5,
    use_11_point: bool = True,
) -> VOCResult:
    """Average precision a class and their mean.

    All pictures and classes are matched at once: objects are sorted by (picture, class), so each
    detection's rivals are one slice, and only the pairs of those slices are ever formed.

    Args:
        detections: one dict a picture: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,) in 1..C.
        targets: one dict a picture, same order: ``boxes`` (G, 4), ``labels`` (G,), ``difficult`` (G,) bool.
        num_classes: C, without background.
        iou_threshold: in (0, 1]; an overlap of at least this is a match (devkit: ``ov >= minoverlap``).
        use_11_point: VOC2007's average of 11 points; otherwise the area under the curve (VOC2010 on).
    Raises:
        ValueError: names the picture, the field and the value that is wrong.
    """
    matched = match_voc(detections, targets, num_classes, iou_threshold)
    ap, curves = {}, {}
    for label in range(1, num_classes + 1):
        rows, objects = matched.of_class(label), int((matched.object_labels == label).sum())
        curve = _curve(matched.true_positive[rows], matched.scores[rows], objects)
        ap[label] = _average_precision(curve, objects, use_11_point)
        curves[label] = curve
    return VOCResult(ap, mean_ap(ap), curves)


class Matched(NamedTuple):
    """What counts of the detections and objects of many pictures, and which detections are right."""

    labels: Integers  # (K,) never decreases; within a class the best score comes first
    scores: Floats  # (K,)
    picture: Integers  # (K,)
    true_positive: npt.NDArray[np.bool_]  # (K,) the first detection of its object
    object_labels: Integers  # (G,)
    object_picture: Integers  # (G,)

    def of_class(self, label: int) -> slice:
        """A class's rows."""
        first, last = np.searchsorted(self.labels, (label, label + 1))
        return slice(int(first), int(last))


def match_voc(
    detections: Sequence[Picture], targets: Sequence[Picture], num_classes: int, iou_threshold: float = 0.5
) -> Matched:
    """VOC's matching, without the objects that are difficult and without what found them; as :func:`evaluate_voc`."""
    found, truth = flatten(detections, targets, num_classes, iou_threshold)
    best_iou, best = _most_overlapping(found, truth, num_classes)  # (N,), (N,)

    order = np.argsort(-found.scores, kind="stable")
    small = np.int16 if num_classes < 2**15 else np.int64  # 16 bits are sorted by their digits
    order = order[np.argsort(found.labels[order].astype(small), kind="stable")]  # by class; equal scores keep order
    best, matched = best[order], (best_iou >= iou_threshold)[order]
    ignored = np.zeros(len(order), dtype=bool)  # (N,)
    ignored[matched] = truth.difficult[best[matched]]
    rivals = np.flatnonzero(matched & ~ignored)
    first = np.unique(best[rivals], return_index=True)[1]  # the best-scored detection of each object
    true_positive = np.zeros(len(order), dtype=bool)  # (N,)
    true_positive[rivals[first]] = True

    order, true_positive = order[~ignored], true_positive[~ignored]
    return Matched(
        found.labels[order], found.scores[order], found.picture[order], true_positive,
        truth.labels[~truth.difficult], truth.picture[~truth.difficult],
    )  # fmt: skip


def voc_ap_11_point(recall: Floats, precision: Floats) -> float:
    """Mean over recall thresholds 0, 0.1 .. 1 of the best precision at that recall or more (VOC2007).

    Args:
        recall: (K,) never decreasing. precision: (K,).
    The thresholds are i * 0.1 in floating point, as in py-faster-rcnn: a recall of exactly 3/10 falls short
    of the fourth, 0.30000000000000004. Published figures have that in them, so it stays.
    """
    envelope = np.append(_envelope(precision), 0.0)  # 0: a recall that was never reached
    at = np.searchsorted(recall, np.arange(11) * 0.1, side="left")  # (11,)
    return float(sum(envelope[at] / 11))


def voc_ap_area(recall: Floats, precision: Floats) -> float:
    """Area under the precision envelope, the curve made monotone from the right (VOC2010 on).

    Args:
        recall: (K,) never decreasing. precision: (K,).
    """
    steps = np.diff(recall, prepend=0.0)
    rises = steps != 0
    return float(np.sum(steps[rises] * _envelope(precision)[rises]))


def _envelope(precision: Floats) -> Floats:
    return np.maximum.accumulate(precision[::-1])[::-1]


def _curve(true_positive: npt.NDArray[np.bool_], scores: Floats, objects: int) -> Curve:
    hits = np.cumsum(true_positive)
    recall = hits / objects if objects else np.full(len(hits), np.nan)
    return Curve(recall, hits / np.arange(1, len(hits) + 1), scores)


def _average_precision(curve: Curve, objects: int, use_11_point: bool) -> float:
    if objects == 0:
        return math.nan
    return (voc_ap_11_point if use_11_point else voc_ap_area)(curve.recall, curve.precision)


def mean_ap(ap: dict[int, float]) -> float:
    """Mean over the classes whose AP is a number; nan if none is."""
    known = [value for value in ap.values() if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _most_overlapping(found: Flat, truth: Flat, num_classes: int) -> tuple[Floats, Integers]:
    """Each detection's largest IoU (N,) with an object of its picture and class; that object's index (N,).

    Among equals the first object; IoU -1 where there is none.
    """
    keys, truth_keys = found.key(num_classes), truth.key(num_classes)
    iou, index = np.full(len(keys), -1.0), np.zeros(len(keys), dtype=np.int64)
    if len(keys) == 0 or len(truth_keys) == 0:
        return iou, index
    by_key = np.argsort(truth_keys, kind="stable")
    objects = np.bincount(truth_keys, minlength=keys.max() + 1)  # of each picture and class
    count = objects[keys]  # (N,)
    rows = np.flatnonzero(count)
    if len(rows) == 0:
        return iou, index
    count, start = count[rows], (np.cumsum(objects) - objects)[keys[rows]]  # where they begin in ``by_key``
    segment = np.cumsum(count) - count  # where each detection's pairs begin
    detection = np.repeat(rows, count)  # (P,) over all pairs
    truth_index = by_key[np.arange(len(detection)) + np.repeat(start - segment, count)]  # (P,)
    overlaps = pair_iou(found.boxes[detection], truth.boxes[truth_index])  # (P,)
    iou[rows] = np.maximum.reduceat(overlaps, segment)
    is_best = np.flatnonzero(overlaps == iou[detection])
    # Written back to front, so that among equals the first object stays.
    index[detection[is_best[::-1]]] = truth_index[is_best[::-1]]
    return iou, index


def pair_iou(a: Floats, b: Floats) -> Floats:
    """IoU (P,) of boxes a (P, 4) with b (P, 4), one to one; 0 where both have no area."""
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    overlap = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a + area_b - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
