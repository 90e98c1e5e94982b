"""Can a detector learn this data set? Recall of its proposals or anchors: what it never looks at it never finds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lineage.backbones import build_backbone
from lineage.common.boxes import box_iou
from lineage.common.dimension_clusters import cluster_sizes, size_iou
from lineage.common.image import Frame, resize_factor
from lineage.common.matching import FOREGROUND, usable_objects
from lineage.common.sampling import seeded_generator
from lineage.data.pictures import read_size
from lineage.data.voc import VOCDataset
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import generation_of
from lineage.experiments.training import region_proposals

PICTURES = 200  # that are looked at: selective search takes its time
OVERLAPS = (0.5, 0.7)


@dataclass(frozen=True)
class Trainability:
    """What was found in a sample of the training pictures."""

    what: str  # "selective search's proposals" or "anchors"
    pictures: int
    regions: float  # a picture, on average
    positives: float  # regions a picture that training would call foreground, on average
    recall: dict[str, tuple[int, float, float]]  # class -> objects, share with a region at IoU 0.5, at 0.7
    anchors: tuple[tuple[float, float], ...] = ()  # (width, height) that fit better, network pixels
    fit: tuple[float, float] = (0.0, 0.0)  # mean best IoU of objects' sizes with the recipe's anchors and with these


def trainability(experiment: Experiment, generation: str, dataset: VOCDataset) -> Trainability:
    """Recall a class of what a generation's training would look at, in at most :data:`PICTURES` of the pictures."""
    order = torch.randperm(len(dataset), generator=seeded_generator(0)).tolist()
    left_out = {dataset.ids[i] for i in order[PICTURES:]}
    sample = dataset.without(left_out)
    recipe = experiment.recipe_of(generation)
    if generation_of(generation).proposes:
        return _by_anchors(experiment, recipe, sample)
    proposals = region_proposals(experiment, sample)
    overlaps = [_overlaps(sample, i, boxes) for i, boxes in enumerate(proposals)]
    foreground = [int((iou.max(dim=1).values >= recipe.foreground_iou).sum()) if iou.numel() else 0 for iou in overlaps]
    return Trainability(
        "selective search's proposals", len(sample), statistics.mean(map(len, proposals)), statistics.mean(foreground),
        _recall(sample, overlaps),
    )  # fmt: skip


def _overlaps(dataset: VOCDataset, index: int, regions: Tensor) -> Tensor:
    """IoU (R, G) of regions with a picture's objects that count."""
    return box_iou(regions, usable_objects(dataset.target(index))[0])


def _recall(dataset: VOCDataset, overlaps: Sequence[Tensor]) -> dict[str, tuple[int, float, float]]:
    best: dict[int, list[float]] = {label: [] for label in range(1, len(dataset.classes) + 1)}
    for index, iou in enumerate(overlaps):
        _, labels = usable_objects(dataset.target(index))
        largest = iou.max(dim=0).values if len(iou) else torch.zeros(len(labels))
        for label, value in zip(labels.tolist(), largest.tolist()):
            best[label].append(value)
    found = {}
    for label, name in enumerate(dataset.classes, start=1):
        values = torch.tensor(best[label])
        at = [float((values >= iou).float().mean()) if len(values) else float("nan") for iou in OVERLAPS]
        found[name] = (len(values), at[0], at[1])
    return found


def _by_anchors(experiment: Experiment, recipe: Any, dataset: VOCDataset) -> Trainability:
    """The RPN's anchors as its training labels them, without a network: only its stride matters."""
    from lineage.faster_rcnn.anchors import grid_anchors
    from lineage.faster_rcnn.loss import rpn_targets
    from lineage.faster_rcnn.rpn import anchors_of

    stride, base = build_backbone(experiment.backbone).stride, anchors_of(recipe.rpn)
    overlaps, positives, counts, sizes = [], [], [], []
    for index in range(len(dataset)):
        frame = _frame(read_size(dataset.image_path(index)), recipe.shorter, recipe.longer)
        truth = frame.boxes_in(usable_objects(dataset.target(index))[0])
        anchors = grid_anchors(base, tuple(-(-side // stride) for side in frame.size), stride)
        kind, _ = rpn_targets(anchors, truth, frame.size, recipe.rpn)
        positives.append(int((kind == FOREGROUND).sum()))
        counts.append(len(anchors))
        overlaps.append(box_iou(anchors, truth))
        sizes.append(truth[:, 2:] - truth[:, :2])
    every = torch.cat(sizes)
    own = base[:, 2:] - base[:, :2]
    every = every[every.min(dim=1).values >= recipe.rpn.min_size]  # smaller proposals are dropped whatever the anchors
    better, fit = torch.zeros(0, 2), (0.0, 0.0)
    if len(every) >= len(base):
        better = cluster_sizes(every, len(base), seeded_generator(0))
        before, after = (float(size_iou(every, those).max(dim=1).values.mean()) for those in (own, better))
        fit = (before, after)
    return Trainability(
        "anchors", len(dataset), statistics.mean(counts), statistics.mean(positives), _recall(dataset, overlaps),
        tuple((round(w), round(h)) for w, h in better.tolist()), fit,
    )  # fmt: skip


def _frame(size: tuple[int, int], shorter: int | None, longer: int) -> Frame:
    """A picture's geometry in the network, without its pixels."""
    height, width = size
    scale = resize_factor(height, width, shorter, longer)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    return Frame(torch.zeros(0), (h, w), w / width, h / height)
