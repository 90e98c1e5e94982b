"""One ridge regressor a class, from pool5 to whitened box offsets (appendix C; rcnn_train_bbox_regressor.m)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lineage.common.boxes import decode_boxes


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
        flat = (features.flatten(1) * self.scale) @ self.weight.flatten(1)  # (R, C * 4)
        offsets = flat.view(len(features), *self.bias.shape) + self.bias  # (R, C, 4)
        return decode_boxes(offsets, proposals)


def fit_box_regressors(
    features: Tensor,
    offsets: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    ridge: float,
    whitening: float,
    feature_norm: float,
) -> BoxRegressors:
    """Fit all classes; a class without pairs keeps its proposals as they are.

    Args:
        features: (P, D) of proposals near a ground truth. offsets: (P, 4) that move each onto it.
        labels: (P,) the ground truth's class, 1..C.
        ridge: lambda. whitening: added to the eigenvalues of the offsets' covariance.
        feature_norm: the features are scaled to this mean norm, as for the SVMs.
    """
    regressors = BoxRegressors(features.shape[1], num_classes)
    if len(features):
        regressors.scale.copy_(feature_norm / features.norm(dim=1).mean().clamp(min=1e-12))
    for c in range(num_classes):
        chosen = labels == c + 1
        if chosen.any():
            weight, bias = fit_ridge(features[chosen] * regressors.scale, offsets[chosen], ridge, whitening)
            regressors.weight[:, c], regressors.bias[c] = weight, bias
    return regressors


def fit_ridge(features: Tensor, targets: Tensor, ridge: float, whitening: float) -> tuple[Tensor, Tensor]:
    """Ridge regression of whitened targets: (D, 4) weights and (4,) bias in the targets' own units.

    Whitening (subtract the mean, rotate and scale to unit covariance) makes the four coordinates count equally
    under one lambda.
    """
    features, targets = features.double(), targets.double()  # normal equations square the condition number
    mean = targets.mean(dim=0)  # (4,)
    centred = targets - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    root = (values.clamp(min=0) + whitening).sqrt()
    whiten, unwhiten = vectors / root @ vectors.T, vectors * root @ vectors.T  # (4, 4), inverse of each other
    solution = solve_ridge(nn.functional.pad(features, (0, 1), value=1.0), centred @ whiten, ridge) @ unwhiten
    return solution[:-1].float(), (solution[-1] + mean).float()


def solve_ridge(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """argmin |x w - y|^2 + ridge |w|^2 for x (N, D), y (N, K), through the smaller of the two Gram matrices."""
    rows, columns = x.shape
    if rows >= columns:
        gram = x.T @ x + ridge * torch.eye(columns, dtype=x.dtype)
        return torch.cholesky_solve(x.T @ y, torch.linalg.cholesky(gram))
    gram = x @ x.T + ridge * torch.eye(rows, dtype=x.dtype)
    return x.T @ torch.cholesky_solve(y, torch.linalg.cholesky(gram))
