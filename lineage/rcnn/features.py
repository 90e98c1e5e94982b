"""The feature cache on disk: why R-CNN and SPP-net need hundreds of gigabytes, and Fast R-CNN none.

SVMs and regressors are trained on features that stay as they are, so each is computed once and written down, in half
precision, some pictures to a file. What reads them maps the files into memory and never holds more than a picture's.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from lineage.common.boxes import box_iou, encode_boxes
from lineage.common.checkpoint import CheckpointError, is_intact, save_checkpoint
from lineage.common.matching import usable_objects
from lineage.common.optimise import TrainingError
from lineage.common.progress import progress_bar
from lineage.common.resume import Pieces
from lineage.common.together import barrier, own_share, rank, world
from lineage.common.values import amount
from lineage.data.voc import VOCDataset
from lineage.rcnn.box_regression import BoxRegressors, fit_box_regressors
from lineage.rcnn.svm import LinearSVMs, PictureFeatures, train_svms

Extract = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # image, boxes (N, 4) -> pooled (N, D5), fc7 (N, D7)
SHARD = 16  # pictures a file: 260 MB with 2000 proposals of 4096 numbers
log = logging.getLogger("lineage")


class FeatureDetector(Protocol):
    """R-CNN and SPP-net."""

    recipe: Any
    amp: str | None
    svms: LinearSVMs
    regressors: BoxRegressors


class FeatureCache:
    """Shards of float16 features of every proposal and object. Iterating streams :class:`PictureFeatures`."""

    def __init__(self, directory: Path, pictures: int, classes: int) -> None:
        self.directory, self.pictures, self.classes = directory, pictures, classes
        self._checked: set[Path] = set()

    def is_checked(self, shard: Path) -> bool:
        """Whether a shard is as it was written. Its bytes are looked at once a run: each is read many times."""
        if shard not in self._checked and is_intact(shard):
            self._checked.add(shard)
        return shard in self._checked

    def _require(self, shard: Path) -> Path:
        """The same of a shard that this run wrote, or found to be whole, before it is read for the first time.

        Raises:
            CheckpointError: it was damaged since.
        """
        if not self.is_checked(shard):
            raise CheckpointError(f"{shard}: damaged since it was written; the same command makes it again and goes on")
        return shard

    def shards(self) -> list[Path]:
        """All files, those still to be written included."""
        return [self.directory / f"{start:06d}.safetensors" for start in range(0, self.pictures, SHARD)]

    def __iter__(self) -> Iterator[PictureFeatures]:
        for path in self.shards():
            with safe_open(self._require(path), framework="numpy") as file:
                features = file.get_slice("features")  # read a picture at a time; the others are small
                names = ("rows", "objects", "overlaps", "positives", "labels")
                rows, objects, overlaps, positives, labels = (file.get_tensor(name) for name in names)
                for a, b, first, last in zip(rows, rows[1:], objects, objects[1:]):
                    own = features[a:b] if b > a else np.empty((0, features.get_shape()[1]))
                    yield PictureFeatures(
                        own.astype(np.float32), overlaps[a:b], positives[first:last].astype(np.float32),
                        labels[first:last],
                    )  # fmt: skip

    def pairs(self, label: int) -> Iterator[tuple[Tensor, Tensor]]:
        """A class's proposals near an object, block by block: features (P, D5) float32 and offsets (P, 4)."""
        for path in self.shards():
            with safe_open(self._require(path), framework="pt") as file:
                first, last = torch.searchsorted(file.get_tensor("pair_labels"), torch.tensor([label, label + 1]))
                if last > first:
                    features, offsets = file.get_slice("pair_features"), file.get_slice("pair_offsets")
                    yield features[first:last].float(), offsets[first:last]

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.shards())


def cache_features(
    dataset: VOCDataset, proposals: list[Tensor], extract: Extract, directory: Path, *, min_pair_iou: float, label: str
) -> FeatureCache:
    """Fill the cache. Shards that are there, of an interrupted run, are not computed again; damaged ones are.

    Raises:
        TrainingError: features are beyond half precision, or no numbers.
    """
    cache = FeatureCache(directory, len(dataset), len(dataset.classes))
    shards = list(enumerate(cache.shards()))
    with progress_bar(label, len(dataset) // world()) as advance:
        for number, shard in own_share(shards):
            pictures = range(number * SHARD, min((number + 1) * SHARD, len(dataset)))
            if shard.exists() and not cache.is_checked(shard):
                warnings.warn(f"{shard}: damaged; it is computed again", stacklevel=2)
            if not cache.is_checked(shard):
                pieces = Pieces(shard.with_suffix(""))
                for index in pictures:
                    if index not in pieces.made:
                        image, target = dataset[index]
                        made = _features_of(image, target, proposals[index], extract, cache.classes, min_pair_iou)
                        _check_finite(made, label, dataset, index)
                        pieces.add(index, made)
                    advance(1, "")
                save_checkpoint(shard, _joined(pieces.in_order()), {})
                shutil.rmtree(shard.with_suffix(""), ignore_errors=True)
            else:
                advance(len(pictures), "")
    barrier()
    return cache


def _features_of(
    image: Tensor, target: dict[str, Tensor], proposals: Tensor, extract: Extract, num_classes: int, min_pair_iou: float
) -> dict[str, Tensor]:
    truth, labels = usable_objects(target)
    count = len(truth)
    pooled, features = extract(image, torch.cat([truth, proposals]))  # (G + R, D5), (G + R, D7)
    iou = box_iou(proposals, truth)  # (R, G)
    overlaps = torch.zeros(len(proposals), num_classes)
    for g in range(count):
        overlaps[:, labels[g] - 1] = torch.maximum(overlaps[:, labels[g] - 1], iou[:, g])
    near, match = _near(iou, min_pair_iou)
    return {
        "features": features[count:].half(),
        "overlaps": overlaps,
        "positives": features[:count].half(),
        "labels": labels,
        "pair_features": pooled[count:][near].half(),
        "pair_offsets": encode_boxes(truth[match], proposals[near]) if count else torch.zeros(0, 4),
        "pair_labels": labels[match] if count else labels,
    }


def _check_finite(made: dict[str, Tensor], label: str, dataset: VOCDataset, index: int) -> None:
    for name in ("features", "positives", "pair_features"):
        if not made[name].isfinite().all():
            raise TrainingError(
                f"{label}: {dataset.image_path(index)}: {name.replace('_', ' ')} are not finite in half precision, in "
                "which they are kept: the fine-tuned network has diverged; lower the learning rate"
            )


def _near(iou: Tensor, min_pair_iou: float) -> tuple[Tensor, Tensor]:
    """From iou (R, G): rows of the proposals near an object, and which object."""
    if iou.shape[1] == 0:
        nothing = torch.zeros(0, dtype=torch.int64)
        return nothing, nothing
    best, match = iou.max(dim=1)
    near = torch.where(best > min_pair_iou)[0]
    return near, match[near]


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Pictures as one shard: where each begins, and the pairs in order of their class: one is read at a time."""
    shard = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    order = shard["pair_labels"].argsort(stable=True)
    for name in ("pair_features", "pair_offsets", "pair_labels"):
        shard[name] = shard[name][order]
    for name, counted in (("rows", "features"), ("objects", "labels")):
        shard[name] = torch.tensor([0, *(len(part[counted]) for part in parts)]).cumsum(0)
    return {name: tensor.contiguous() for name, tensor in shard.items()}


def needed_bytes(dataset: VOCDataset, proposals: list[Tensor], pooled: int, features: int, min_pair_iou: float) -> int:
    """What the cache will take on disk, from the boxes alone (headers of some hundred bytes a file aside).

    Args:
        pooled: D5, numbers a region that the regressors read. features: D7, those that the SVMs read.
    """
    total = 0
    for index, boxes in enumerate(proposals):
        truth, _ = usable_objects(dataset.target(index))
        pairs = len(_near(box_iou(boxes, truth), min_pair_iou)[0])
        total += 2 * features * (len(boxes) + len(truth)) + 4 * len(dataset.classes) * len(boxes) + 8 * len(truth)
        total += (2 * pooled + 4 * 4 + 8) * pairs + 16
    return total


def _announce(directory: Path, needed: int, label: str) -> None:
    """Say what the cache will take; better to stop now than after ten hours.

    Raises:
        TrainingError: the disk has less room than what is still to be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = sum(path.stat().st_size for path in directory.rglob("*.safetensors"))
    free = shutil.disk_usage(directory).free
    if free < needed - written:
        raise TrainingError(
            f"{label}: the feature cache needs {amount(needed)} in {directory}, and {amount(free)} are free"
        )
    log.info("%s: the feature cache takes %s on disk while it is needed", label, amount(needed))


def fit_on_features(
    detector: FeatureDetector,
    dataset: VOCDataset,
    proposals: list[Tensor],
    extract: Extract,
    directory: Path,
    *,
    seed: int,
    label: str,
) -> int:
    """R-CNN's second and third training procedures, which SPP-net inherits unchanged, around the cache they need.

    Sets the detector's ``svms`` and ``regressors``.

    Args:
        directory: for the features and for what is kept of the fits. It stays: to be removed when the detector is safe.
    Returns:
        the bytes that the cache takes.
    Raises:
        TrainingError: the disk has no room for it.
    """
    svm, regression = detector.recipe.svm, detector.recipe.regression
    pooled, features = detector.regressors.weight.shape[0], detector.svms.weight.shape[1]
    _announce(directory, needed_bytes(dataset, proposals, pooled, features, regression.min_iou), label)
    before, detector.amp = detector.amp, detector.recipe.finetune.amp  # features as fine-tuning computed them
    try:
        cache = cache_features(
            dataset, proposals, extract, directory, min_pair_iou=regression.min_iou, label=f"{label}: features"
        )
    finally:
        detector.amp = before
    kept = directory / ("fits" if world() == 1 else f"fits-{rank()}-of-{world()}")
    detector.svms, _ = train_svms(cache, cache.classes, svm, seed, kept / "svms.safetensors")
    detector.regressors = fit_box_regressors(
        cache.pairs, pooled, cache.classes, ridge=regression.ridge, whitening=regression.whitening,
        feature_norm=svm.feature_norm, resume=kept / "regressors.safetensors",
    )  # fmt: skip
    return cache.nbytes
