"""SPP-net's training: the fc layers only, then R-CNN's SVMs and regressors on cached features."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lineage.common.image import Frame
from lineage.common.matching import label_regions
from lineage.common.optimise import LossCurves, TrainingReport, optimise, run_once
from lineage.common.sampling import sample_balanced, seeded_generator
from lineage.data.voc import VOCDataset
from lineage.rcnn.features import fit_on_features
from lineage.sppnet.detector import SPPNet

KEPT_MAPS = 2**28  # bytes of feature maps held while the fc layers learn


def train(
    detector: SPPNet, dataset: VOCDataset, proposals: list[Tensor], *, seed: int, work_dir: Path
) -> TrainingReport:
    """Fine-tune fc6 and fc7, cache features, fit SVMs, fit regressors. ``detector`` is trained in place.

    Args:
        proposals: (R, 4) a picture of ``dataset``.
        work_dir: holds the feature cache and what a resumed run needs; emptied at the end.
    """
    recipe, tuned = detector.recipe, work_dir / "finetuned.safetensors"
    curves = run_once(
        tuned, detector.head, lambda: finetune_fc(detector, dataset, proposals, seed, work_dir / "finetune.safetensors")
    )

    @torch.inference_mode()
    def extract(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        device = next(detector.parameters()).device
        maps, frames = detector.convolve(image.to(device))
        pooled = detector.pool(maps, frames, boxes.to(device))
        return torch.cat([level.flatten(1) for level in pooled], dim=1).cpu(), detector.fc(pooled).cpu()

    cache_bytes = fit_on_features(
        detector, dataset, proposals, extract, work_dir / "features", seed=seed, label="SPP-net"
    )
    tuned.unlink(missing_ok=True)
    return TrainingReport(
        procedure="fine-tune fc, SVMs, regressors", steps=recipe.finetune.steps,
        pictures=recipe.finetune.steps * recipe.finetune.images_per_step, cache_bytes=cache_bytes, curves=curves,
    )  # fmt: skip


class _FixedConvolutions:
    """``detector.convolve``. The convolutions do not learn here, so the maps of as many pictures as fit are kept."""

    def __init__(self, detector: SPPNet) -> None:
        self.detector, self.room = detector, KEPT_MAPS
        self.kept: dict[int, tuple[list[Tensor], list[Frame]]] = {}

    @torch.no_grad()
    def __call__(self, index: int, image: Tensor) -> tuple[list[Tensor], list[Frame]]:
        if index in self.kept:
            return self.kept[index]
        maps, frames = self.detector.convolve(image)
        frames = [frame._replace(pixels=image.new_empty(0)) for frame in frames]  # pooling needs their geometry only
        size = sum(features.nbytes for features in maps)
        if size <= self.room:
            self.room -= size
            self.kept[index] = maps, frames
        return maps, frames


def finetune_fc(detector: SPPNet, dataset: VOCDataset, proposals: list[Tensor], seed: int, resume: Path) -> LossCurves:
    """Section 4.1: a (C + 1)-way softmax on fc7; the convolutions are fixed, so they run without a graph."""
    recipe = detector.recipe
    device = next(detector.parameters()).device
    softmax = nn.Linear(detector.backbone.features, len(dataset.classes) + 1)
    nn.init.normal_(softmax.weight, std=0.01, generator=seeded_generator(seed, 2))
    nn.init.zeros_(softmax.bias)
    softmax.to(device)
    convolve = _FixedConvolutions(detector)

    def losses_of(indices: list[int], generator: torch.Generator) -> dict[str, Tensor]:
        pooled, labels = [], []
        for index in indices:
            image, target = dataset[index]
            region = label_regions(
                proposals[index], target, foreground=recipe.foreground_iou, background=recipe.background_iou
            )
            rows = torch.cat(
                sample_balanced(region.kind, recipe.regions_per_image, recipe.foreground_fraction, generator)
            )
            maps, frames = convolve(index, image.to(device))
            pooled.append(detector.pool(maps, frames, region.boxes[rows].to(device)))
            labels.append(region.labels[rows])
        pyramid = [torch.cat(level) for level in zip(*pooled)]  # (B, C, n, n) a level
        return {"softmax": F.cross_entropy(softmax(detector.head(pyramid)), torch.cat(labels).to(device))}

    detector.head.train()
    curves = optimise(
        [detector.head, softmax],
        losses_of,
        len(dataset),
        recipe.finetune,
        seed=seed,
        label="SPP-net: fine-tune fc",
        resume=resume,
    )
    detector.head.eval()
    return curves
