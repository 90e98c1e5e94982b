"""One ridge regressor a class, from pool5 to whitened box offsets (appendix C; rcnn_train_bbox_regressor.m)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from lineage.common.boxes import decode_boxes
from lineage.common.checkpoint import save_checkpoint
from lineage.common.linear import linear
from lineage.common.resume import Timer, kept
from lineage.common.together import own_share, summed


class BoxRegressors(nn.Module):
    """Boxes (R, C, 4) = each proposal (R, 4) moved by each class's regressor on its features (R, D)."""

    weight: Tensor
    bias: Tensor
    scale: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(features, classes, 4))
        self.register_buffer("bias", torch.zeros(classes, 4))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, features: Tensor, proposals: Tensor) -> Tensor:
        weight = self.weight.flatten(1).T * self.scale  # (C * 4, D)
        flat = linear(features.flatten(1), weight, self.bias.flatten())  # (R, C * 4)
        offsets = flat.view(len(features), *self.bias.shape)  # (R, C, 4)
        return decode_boxes(offsets, proposals)


Block = tuple[Tensor, Tensor]  # features or inputs (P, D), offsets or targets (P, 4)


def fit_box_regressors(
    pairs: Callable[[int], Iterable[Block]],
    features: int,
    num_classes: int,
    *,
    ridge: float,
    whitening: float,
    feature_norm: float,
    resume: Path | None = None,
) -> BoxRegressors:
    """Fit all classes; a class without pairs keeps its proposals as they are.

    Args:
        pairs: from a class's label, 1..C, its blocks of features (P, D) of proposals near a ground truth, and of the
            offsets (P, 4) that move each onto it. Read several times, a block at a time, so that they can stay on disk.
        features: D.
        ridge: lambda. whitening: added to the eigenvalues of the offsets' covariance.
        feature_norm: the features are scaled to this mean norm, as for the SVMs.
        resume: where the classes that are fitted are kept, once a minute and at the end. Several processes share the
            classes out, and each keeps its own.
    """
    regressors = BoxRegressors(features, num_classes)
    own, fitted = own_share(range(num_classes)), 0
    if resume and (found := kept(resume)):
        regressors.load_state_dict(found[0])
        fitted = found[1]["fitted"]
        if fitted == num_classes:
            summed([regressors.weight, regressors.bias])
            return regressors
    total, count = 0.0, [0] * num_classes
    for c in range(num_classes):
        for block, _ in pairs(c + 1):
            total += float(block.norm(dim=1).double().sum())
            count[c] += len(block)
    if total > 0:
        regressors.scale.fill_(feature_norm / (total / sum(count)))
    timer = Timer()
    for c in (c for c in own if c >= fitted):
        if count[c]:
            scaled = functools.partial(_scaled, pairs, c + 1, regressors.scale)
            regressors.weight[:, c], regressors.bias[c] = fit_ridge(scaled, ridge, whitening)
        if resume and (timer.due or c == own[-1]):
            save_checkpoint(resume, regressors.state_dict(), {"fitted": num_classes if c == own[-1] else c + 1})
            timer.restart()
    summed([regressors.weight, regressors.bias])  # what another fits is 0 here
    return regressors


def _scaled(pairs: Callable[[int], Iterable[Block]], label: int, scale: Tensor) -> Iterator[Block]:
    for features, offsets in pairs(label):
        yield features * scale, offsets


def fit_ridge(blocks: Callable[[], Iterable[Block]], ridge: float, whitening: float) -> Block:
    """Ridge regression of whitened targets: (D, 4) weights and (4,) bias in the targets' own units.

    Whitening (subtract the mean, rotate and scale to unit covariance) is the original's. Of it only the mean matters:
    a matrix behind Y stands behind the solution (X'X + lambda I)^-1 X'Y, too, and is undone there.

    Args:
        blocks: gives the inputs (P, D) and targets (P, 4), block by block; called twice.
    """
    targets = torch.cat([y for _, y in blocks()]).double()
    mean = targets.mean(dim=0)  # (4,)
    centred = targets - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    root = (values.clamp(min=0) + whitening).sqrt()
    whiten, unwhiten = vectors / root @ vectors.T, vectors * root @ vectors.T  # (4, 4), inverse of each other
    # In double precision: normal equations square the condition number. The 1 carries the bias.
    rows = ((nn.functional.pad(x.double(), (0, 1), value=1.0), (y.double() - mean) @ whiten) for x, y in blocks())
    solution = solve_ridge(rows, ridge) @ unwhiten
    return solution[:-1].float(), (solution[-1] + mean).float()


def solve_ridge(blocks: Iterable[Block], ridge: float) -> Tensor:
    """argmin |x w - y|^2 + ridge |w|^2 for x (N, D), y (N, K) in blocks of rows; (D, K).

    Through the smaller of the two Gram matrices: rows are gathered until there are D of them, and only if they become
    more is the D x D one summed up. So never more than 2 D rows are held.
    """
    gathered: list[Block] = []
    gram = moment = None
    count = 0
    for block in blocks:
        gathered.append(block)
        count += len(block[0])
        if count >= block[0].shape[1]:
            gram, moment = _summed(gathered, gram, moment)
            gathered, count = [], 0
    if gram is not None and moment is not None:
        gram, moment = _summed(gathered, gram, moment) if gathered else (gram, moment)
        gram.diagonal().add_(ridge)
        return torch.cholesky_solve(moment, torch.linalg.cholesky(gram))
    x, y = (torch.cat(column) for column in zip(*gathered))
    gram = x @ x.T + ridge * torch.eye(len(x), dtype=x.dtype)
    return x.T @ torch.cholesky_solve(y, torch.linalg.cholesky(gram))


def _summed(gathered: list[Block], gram: Tensor | None, moment: Tensor | None) -> Block:
    """x.T x (D, D) and x.T y (D, K) of the gathered rows, added to those of the rows before."""
    x, y = (torch.cat(column) for column in zip(*gathered))
    if gram is None or moment is None:
        return x.T @ x, x.T @ y
    return gram.addmm_(x.T, x), moment.addmm_(x.T, y)
