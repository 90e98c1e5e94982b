"""The definition of VOC average precision, in plain loops: what the fast version is tested against."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lineage.evaluation.flat import Picture, flatten
from lineage.evaluation.voc import Curve, VOCResult, mean_ap


def evaluate_voc_reference(
    detections: Sequence[Picture],
    targets: Sequence[Picture],
    num_classes: int,
    iou_threshold: float = 0.5,
    use_11_point: bool = True,
) -> VOCResult:
    """The definition of :func:`evaluate_voc`, as the devkit writes it: one detection after another."""
    flatten(detections, targets, num_classes, iou_threshold)  # the same complaints
    ap, curves = {}, {}
    for label in range(1, num_classes + 1):
        ranked = [
            (float(picture["scores"][i]), number, [float(x) for x in picture["boxes"][i]])
            for number, picture in enumerate(detections)
            for i in range(len(picture["labels"]))
            if picture["labels"][i] == label
        ]
        ranked.sort(key=lambda detection: -detection[0])  # stable
        taken = [[False] * len(target["labels"]) for target in targets]
        objects = sum(int(((t["labels"] == label) & ~t["difficult"]).sum()) for t in targets)

        hits, recall, precision, scores = 0, [], [], []
        for score, number, box in ranked:
            target = targets[number]
            largest, best = -1.0, -1
            for j in range(len(target["labels"])):
                if target["labels"][j] == label:
                    iou = _iou([float(x) for x in target["boxes"][j]], box)
                    if iou > largest:
                        largest, best = iou, j
            if largest >= iou_threshold:
                if target["difficult"][best]:
                    continue
                if not taken[number][best]:
                    taken[number][best] = True
                    hits += 1
            scores.append(score)
            recall.append(hits / objects if objects else math.nan)
            precision.append(hits / len(scores))
        ap[label] = _plain_ap(recall, precision, use_11_point) if objects else math.nan
        curves[label] = Curve(np.array(recall), np.array(precision), np.array(scores))
    return VOCResult(ap, mean_ap(ap), curves)


def _iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0.0) * max(height, 0.0)
    union = (b[2] - b[0]) * (b[3] - b[1]) + (a[2] - a[0]) * (a[3] - a[1]) - overlap
    return overlap / union if union > 0 else 0.0


def _plain_ap(recall: list[float], precision: list[float], use_11_point: bool) -> float:
    if use_11_point:
        total = 0.0
        for step in range(11):
            reached = [p for r, p in zip(recall, precision) if r >= step * 0.1]
            total += max(reached, default=0.0) / 11
        return total
    areas, previous = [], 0.0
    for i, r in enumerate(recall):
        if r != previous:
            areas.append((r - previous) * max(precision[i:]))
            previous = r
    return float(np.sum(areas))  # NumPy's order of summation, as in the devkit's translation
