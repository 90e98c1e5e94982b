"""One linear SVM a class, trained with hard-negative mining (section 2.3; rcnn_train.m).

The pictures are streamed: at any time only the mined negatives are in memory, never all features.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lineage.common.linear import linear
from lineage.common.resume import Timer
from lineage.common.together import own_share, summed
from lineage.rcnn.mining import (
    START,
    ClassProblem,
    Negatives,
    PictureFeatures,
    Place,
    restore_mining,
    save_mining,
)  # fmt: skip
from lineage.rcnn.recipe import SVMSettings


class LinearSVMs(nn.Module):
    """Scores (R, C) = features (R, D) scaled, times the weights of all C classes at once, plus biases."""

    weight: Tensor
    bias: Tensor
    scale: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(classes, features))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        return linear(features, self.weight * self.scale, self.bias)


def feature_scale(pictures: Iterable[PictureFeatures], target_norm: float, limit: int = 200) -> float:
    """``target_norm`` over the mean norm of the features of the first ``limit`` pictures (rcnn_feature_stats.m)."""
    norms = []
    for picture, _ in zip(pictures, range(limit)):
        norms.append(np.linalg.norm(picture.features, axis=1))
    mean = float(np.concatenate(norms).mean()) if norms else 0.0
    return target_norm / mean if mean > 0 else 1.0


def train_svms(
    pictures: Iterable[PictureFeatures],
    num_classes: int,
    settings: SVMSettings,
    seed: int = 0,
    resume: Path | None = None,
) -> tuple[LinearSVMs, dict[str, list[int]]]:
    """Fit the SVMs of all classes in one streamed pass of hard-negative mining (per ``settings.epochs``).

    Positives are ground-truth boxes only; negatives are proposals of IoU < ``negative_iou`` with the class;
    everything between is ignored (appendix B explains why this differs from fine-tuning).

    Args:
        pictures: can be iterated several times; yields one :class:`PictureFeatures` a picture.
        resume: where it is kept, once a minute and at the end, how far mining has come.
            Several processes share the classes out, and each keeps its own.
    Returns:
        the SVMs, and for the reader {"positives", "hard_negatives", "fits"} a class.
    Raises:
        ValueError: no picture has any ground truth.
    """
    scale = feature_scale(pictures, settings.feature_norm)
    problems = _start(pictures, num_classes, scale)
    svms = LinearSVMs(problems[0].positives.shape[1], num_classes)
    svms.scale.fill_(scale)
    weights, biases = svms.weight.numpy(), svms.bias.numpy()  # views: fitting writes into the module
    own = own_share(range(num_classes))
    end = Place(settings.epochs, 0, num_classes)
    start = restore_mining(resume, svms, problems, pictures, scale, end) if resume else START
    timer = Timer()

    def done(place: Place) -> None:
        if resume and (timer.due or place == end):
            save_mining(resume, svms, problems, place)
            timer.restart()

    for epoch in range(start.epoch, settings.epochs):
        for number, picture in enumerate(pictures):
            first = start.label if (epoch, number) == start[:2] else 0
            if (epoch, number) < start[:2]:
                continue
            features = picture.features.astype(np.float32) * scale  # (R, D)
            scores = features @ weights.T + biases  # (R, C)
            negative = picture.overlaps < settings.negative_iou  # (R, C)
            # First model: whatever is no positive. A class that was never fitted has no score yet.
            hard = negative & ((scores > settings.hard_above) | np.array([problem.fits == 0 for problem in problems]))
            for c in (c for c in own if c >= first):
                problem, (rows,) = problems[c], np.where(hard[:, c])
                if len(problem.positives) and len(rows):
                    sources = np.stack([np.full_like(rows, number), rows], axis=1)  # (N, 2)
                    problem.fresh.append(Negatives(features[rows], sources))
                    if problem.fresh_count >= settings.refit_after:
                        weights[c], biases[c] = _refit(problem, settings, seed)
                        done(Place(epoch, number, c + 1))
            done(Place(epoch, number + 1, 0))
    done_before = start.label if start.epoch == settings.epochs else 0
    for c in (c for c in own if c >= done_before):
        problem = problems[c]
        if len(problem.positives) and (problem.fresh_count or not problem.fits):
            weights[c], biases[c] = _refit(problem, settings, seed)
        elif not len(problem.positives):
            biases[c] = -np.inf  # a class never seen is never detected
        done(Place(settings.epochs, 0, num_classes if c == own[-1] else c + 1))
    counts = torch.tensor([[len(p.negatives), p.fits] for p in problems]).T.contiguous()  # (2, C)
    summed([svms.weight, svms.bias])  # what another fits is 0 here
    summed([counts])
    svms.bias.nan_to_num_(neginf=-1e6)
    negatives, fits = counts.tolist()
    return svms, {"positives": [len(p.positives) for p in problems], "hard_negatives": negatives, "fits": fits}


def _start(pictures: Iterable[PictureFeatures], num_classes: int, scale: float) -> list[ClassProblem]:
    positives: list[list[np.ndarray]] = [[] for _ in range(num_classes)]
    width = 0
    for picture in pictures:
        width = picture.features.shape[1]
        for feature, label in zip(picture.positives, picture.labels):
            positives[label - 1].append(feature.astype(np.float32) * scale)
    if not any(positives):
        raise ValueError("SVM training: no picture has a ground-truth object that is not difficult")
    empty = np.empty((0, width), np.float32)
    return [ClassProblem(np.stack(p) if p else empty, Negatives.none(width)) for p in positives]


def _refit(problem: ClassProblem, settings: SVMSettings, seed: int) -> tuple[np.ndarray, float]:
    """Fit on positives and all negatives kept so far, then drop the easy ones (rcnn_train.m)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    problem.negatives = Negatives.joined([problem.negatives, *problem.fresh])
    problem.fresh = []
    problem.fits += 1
    if not len(problem.negatives):
        return np.zeros(problem.positives.shape[1], np.float32), 1.0  # nothing speaks against the class
    x = np.concatenate([problem.positives, problem.negatives.examples])
    y = np.repeat([1, 0], [len(problem.positives), len(problem.negatives)])
    svm = LinearSVC(
        C=settings.C, loss="hinge", dual=True, intercept_scaling=settings.bias,
        class_weight={1: settings.positive_weight, 0: 1.0}, random_state=seed, max_iter=2000, tol=1e-3,
    )  # fmt: skip  # liblinear's -s 3 -B 10 -w1 2
    with warnings.catch_warnings():  # at max_iter liblinear warns; the next refit has more data anyway
        warnings.simplefilter("ignore", ConvergenceWarning)
        svm.fit(x, y)
    weight, bias = svm.coef_[0].astype(np.float32), float(svm.intercept_[0])
    problem.negatives = problem.negatives[problem.negatives.examples @ weight + bias >= settings.evict_below]
    return weight, bias
