"""What a detector gets wrong (Hoiem, Chodpathumwan, Dai 2012: Diagnosing error in object detectors, section 3.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lineage.common.boxes import box_area, box_iou
from lineage.evaluation.flat import Picture, flatten
from lineage.evaluation.voc import pair_iou as iou_of

TOUCHES, HITS = 0.1, 0.5  # overlaps: some, and enough
# The paper's sets of similar classes among VOC's.
SIMILAR_VOC = (
    {"aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"},
    {"bird", "cat", "cow", "dog", "horse", "sheep", "person"},
    {"chair", "diningtable", "sofa"},
    {"aeroplane", "bird"},
)
KINDS = ("correct", "localisation", "similar", "other", "background")


@dataclass(frozen=True)
class ClassErrors:
    """One class's best detections, as many as there are objects of it; they add up by :data:`KINDS`."""

    objects: int  # that count, so without the difficult ones
    correct: int
    localisation: int  # the right class, but badly placed, or found before
    similar: int  # on an object of a similar class
    other: int  # on an object of another class
    background: int  # on nothing
    missed: int  # objects that no detection of their class finds, however low it scores


def analyse_errors(
    detections: Sequence[Picture],
    targets: Sequence[Picture],
    classes: Sequence[str],
    similar: Sequence[Collection[str]] = SIMILAR_VOC,
) -> dict[str, ClassErrors]:
    """Sort each class's top-scored detections by what they are.

    Args:
        detections, targets: as of :func:`~lineage.evaluation.voc.evaluate_voc`. classes: names of labels 1, 2, ...
        similar: sets of classes that are easily confused; names that are not among ``classes`` do not matter.
    Returns:
        class -> its errors. Detections of difficult objects count for nothing, as in VOC.
    """
    found, truth = flatten(detections, targets, len(classes))
    alike = [
        {classes.index(b) + 1 for group in similar if a in group for b in group if b in classes} - {label}
        for label, a in enumerate(classes, start=1)
    ]
    rows_of = [np.flatnonzero(truth.picture == number) for number in range(len(targets))]
    result = {}
    for label, name in enumerate(classes, start=1):
        objects = int((~truth.difficult[truth.labels == label]).sum())
        mine = np.flatnonzero(found.labels == label)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")]
        taken: set[int] = set()
        kinds: list[str] = []
        for row in mine:
            rivals = rows_of[found.picture[row]]
            overlaps = iou_of(np.repeat(found.boxes[row][None], len(rivals), axis=0), truth.boxes[rivals])
            kind = _kind(overlaps, truth.labels[rivals], label, alike[label - 1])
            if kind == "correct":
                own = np.where(truth.labels[rivals] == label, overlaps, -1.0)
                best = int(rivals[own.argmax()])
                if truth.difficult[best]:
                    continue
                kind = "localisation" if best in taken else kind
                taken.add(best)
            kinds.append(kind)
        counts = {kind: kinds[:objects].count(kind) for kind in KINDS}
        result[name] = ClassErrors(objects=objects, missed=objects - len(taken), **counts)
    return result


def surest_mistakes(detections: Sequence[Picture], targets: Sequence[Picture], count: int) -> list[tuple[int, int]]:
    """The ``count`` highest-scored detections that hit no object of their class: (picture, row of its detections)."""
    found = []
    for number, (picture, target) in enumerate(zip(detections, targets, strict=True)):
        rows = torch.where(~_hits(picture, target).any(dim=1))[0].tolist()
        found += [(float(picture["scores"][row]), number, row) for row in rows]
    return [(number, row) for _, number, row in sorted(found, key=lambda mistake: -mistake[0])[:count]]


def largest_misses(detections: Sequence[Picture], targets: Sequence[Picture], count: int) -> list[tuple[int, int]]:
    """The ``count`` largest objects, not difficult, that no detection of their class hits: (picture, object)."""
    missed = []
    for number, (picture, target) in enumerate(zip(detections, targets, strict=True)):
        rows = torch.where(~_hits(picture, target).any(dim=0) & ~target["difficult"])[0].tolist()
        missed += [(float(box_area(target["boxes"][row])), number, row) for row in rows]
    return [(number, row) for _, number, row in sorted(missed, key=lambda miss: -miss[0])[:count]]


def _hits(picture: Picture, target: Picture) -> torch.Tensor:
    """Which detection lies on which object of its own class: bool (D, G)."""
    same = picture["labels"][:, None] == target["labels"]  # (D, G)
    return (box_iou(picture["boxes"], target["boxes"]) >= HITS) & same


def _kind(overlaps: np.ndarray, labels: np.ndarray, label: int, alike: set[int]) -> str:
    """What a detection of ``label`` is on, from its overlaps (G,) with the picture's objects and their labels (G,)."""

    def largest(among: np.ndarray) -> float:
        return float(overlaps[among].max(initial=0.0))

    own, similar = labels == label, np.isin(labels, list(alike))
    if largest(own) >= HITS:
        return "correct"
    if largest(own) >= TOUCHES:
        return "localisation"
    if largest(similar) >= TOUCHES:
        return "similar"
    return "other" if largest(~own & ~similar) >= TOUCHES else "background"
