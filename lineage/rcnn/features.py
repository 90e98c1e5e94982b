"""The feature cache on disk: why R-CNN and SPP-net need hundreds of gigabytes, and Fast R-CNN none.

SVMs and regressors are trained on features that stay as they are, so each is computed once and written down.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lineage.common.boxes import box_iou, encode_boxes
from lineage.common.checkpoint import write_atomically
from lineage.common.matching import usable_objects
from lineage.common.progress import track
from lineage.data.voc import VOCDataset
from lineage.rcnn.box_regression import BoxRegressors, fit_box_regressors
from lineage.rcnn.recipe import RegressionSettings, SVMSettings
from lineage.rcnn.svm import LinearSVMs, PictureFeatures, train_svms

Extract = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # image, boxes (N, 4) -> pooled (N, D5), fc7 (N, D7)


class RegressionPairs(NamedTuple):
    """Proposals near an object, for the box regressors."""

    features: Tensor  # (P, D5)
    offsets: Tensor  # (P, 4)
    labels: Tensor  # (P,) 1..C


class FeatureCache:
    """One .npz a picture: float16 features of every proposal and object. Iterating streams them."""

    def __init__(self, directory: Path, length: int) -> None:
        self.directory, self.length = directory, length

    def path(self, index: int) -> Path:
        return self.directory / f"{index:06d}.npz"

    def __iter__(self) -> Iterator[PictureFeatures]:
        for index in range(self.length):
            with np.load(self.path(index)) as file:
                yield PictureFeatures(
                    file["features"].astype(np.float32),
                    file["overlaps"],
                    file["positives"].astype(np.float32),
                    file["labels"],
                )

    def regression_pairs(self) -> RegressionPairs:
        """All pictures' pairs; there are few enough of them to hold."""
        parts = []
        for index in range(self.length):
            with np.load(self.path(index)) as file:
                parts.append((file["pair_features"], file["pair_offsets"], file["pair_labels"]))
        features, offsets, labels = (np.concatenate(column) for column in zip(*parts))
        return RegressionPairs(
            torch.from_numpy(features).float(), torch.from_numpy(offsets), torch.from_numpy(labels).long()
        )

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(self.path(index).stat().st_size for index in range(self.length))

    def remove(self) -> None:
        """Delete the files: they are of no use once SVMs and regressors are fitted."""
        shutil.rmtree(self.directory)


def cache_features(
    dataset: VOCDataset, proposals: list[Tensor], extract: Extract, directory: Path, *, min_pair_iou: float, label: str
) -> FeatureCache:
    """Fill the cache; pictures already there (an interrupted run) are not computed again."""
    directory.mkdir(parents=True, exist_ok=True)
    cache = FeatureCache(directory, len(dataset))
    for index in track(range(len(dataset)), label, len(dataset)):
        if not cache.path(index).exists():
            arrays = _features_of(*dataset[index], proposals[index], extract, len(dataset.classes), min_pair_iou)
            write_atomically(cache.path(index), functools.partial(_save, arrays))
    return cache


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _features_of(
    image: Tensor, target: dict[str, Tensor], proposals: Tensor, extract: Extract, num_classes: int, min_pair_iou: float
) -> dict[str, np.ndarray]:
    truth, labels = usable_objects(target)
    count = len(truth)
    pooled, features = extract(image, torch.cat([truth, proposals]))  # (G + R, D5), (G + R, D7)
    iou = box_iou(proposals, truth)  # (R, G)
    overlaps = torch.zeros(len(proposals), num_classes)
    for g in range(count):
        overlaps[:, labels[g] - 1] = torch.maximum(overlaps[:, labels[g] - 1], iou[:, g])
    best, match = iou.max(dim=1) if count else (torch.zeros(len(proposals)), torch.zeros(len(proposals)).long())
    near = torch.where(best > min_pair_iou)[0]
    return {
        "features": features[count:].half().numpy(),
        "overlaps": overlaps.numpy(),
        "positives": features[:count].half().numpy(),
        "labels": labels.numpy(),
        "pair_features": pooled[count:][near].half().numpy(),
        "pair_offsets": encode_boxes(truth[match[near]], proposals[near]).numpy()
        if count
        else np.empty((0, 4), np.float32),
        "pair_labels": labels[match[near]].numpy() if count else np.empty(0, np.int64),
    }


def fit_from_cache(
    cache: FeatureCache, num_classes: int, svm: SVMSettings, regression: RegressionSettings, seed: int
) -> tuple[LinearSVMs, BoxRegressors]:
    """R-CNN's second and third training procedures; SPP-net inherits them unchanged."""
    svms, _ = train_svms(cache, num_classes, svm, seed)
    regressors = fit_box_regressors(
        *cache.regression_pairs(), num_classes, ridge=regression.ridge, whitening=regression.whitening,
        feature_norm=svm.feature_norm,
    )  # fmt: skip
    return svms, regressors


def fit_on_features(
    dataset: VOCDataset,
    proposals: list[Tensor],
    extract: Extract,
    directory: Path,
    svm: SVMSettings,
    regression: RegressionSettings,
    *,
    seed: int,
    label: str,
) -> tuple[LinearSVMs, BoxRegressors, int]:
    """Fill the cache, :func:`fit_from_cache`, delete it. Also returns the bytes it took."""
    cache = cache_features(
        dataset, proposals, extract, directory, min_pair_iou=regression.min_iou, label=f"{label}: features"
    )
    svms, regressors = fit_from_cache(cache, len(dataset.classes), svm, regression, seed)
    size = cache.nbytes
    cache.remove()
    return svms, regressors, size
