"""SPP-net's training: the fc layers only, then R-CNN's SVMs and regressors on cached features."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lineage.common.history import History, TrainingReport
from lineage.common.inputs import check_learnable
from lineage.common.kept_maps import KeptMaps, Maps
from lineage.common.matching import label_regions
from lineage.common.optimise import optimise
from lineage.common.resume import run_once
from lineage.common.running import PLAINLY, Running
from lineage.common.sampling import sample_balanced, seeded_generator
from lineage.data.voc import VOCDataset
from lineage.rcnn.features import fit_on_features
from lineage.sppnet.detector import SPPNet
from lineage.sppnet.recipe import Recipe


def train(
    detector: SPPNet,
    dataset: VOCDataset,
    proposals: list[Tensor],
    *,
    seed: int,
    work_dir: Path,
    running: Running = PLAINLY,
) -> TrainingReport:
    """Fine-tune fc6 and fc7, cache features, fit SVMs, fit regressors. ``detector`` is trained in place.

    Args:
        proposals: (R, 4) a picture of ``dataset``.
        work_dir: holds the feature cache and what a resumed run needs. Remove it when ``detector`` is kept elsewhere.
    Raises:
        ValueError: no object to learn from.
    """
    check_learnable(dataset.target(index) for index in range(len(dataset)))
    recipe, tuned = detector.recipe, work_dir / "finetuned.safetensors"
    resume = work_dir / "finetune.safetensors"
    history = run_once(
        tuned, detector.head, lambda: finetune_fc(detector, dataset, proposals, seed, resume, running), resume
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
    return TrainingReport(
        procedure="fine-tune fc, SVMs, regressors", steps=recipe.finetune.steps,
        pictures=recipe.finetune.pictures, cache_bytes=cache_bytes, histories=(history,),
    )  # fmt: skip


class Windows(NamedTuple):
    """A picture and the windows that are learnt from it."""

    number: int  # of the picture
    image: Tensor  # (3, H, W)
    boxes: Tensor  # (R, 4)
    labels: Tensor  # (R,)


def sample_windows(
    dataset: VOCDataset, proposals: list[Tensor], indices: list[int], recipe: Recipe, generator: torch.Generator
) -> list[Windows]:
    """The pictures of a minibatch."""
    sampled = []
    for index in indices:
        image, target = dataset[index]
        region = label_regions(
            proposals[index], target, foreground=recipe.foreground_iou, background=recipe.background_iou
        )
        rows = torch.cat(sample_balanced(region.kind, recipe.regions_per_image, recipe.foreground_fraction, generator))
        sampled.append(Windows(index, image, region.boxes[rows], region.labels[rows]))
    return sampled


def finetune_fc(
    detector: SPPNet,
    dataset: VOCDataset,
    proposals: list[Tensor],
    seed: int,
    resume: Path,
    running: Running = PLAINLY,
) -> History:
    """Section 4.1: a (C + 1)-way softmax on fc7; the convolutions are fixed, so they run without a graph."""
    recipe = detector.recipe
    device = next(detector.parameters()).device
    softmax = nn.Linear(detector.backbone.features, len(dataset.classes) + 1)
    nn.init.normal_(softmax.weight, std=0.01, generator=seeded_generator(seed, 2))
    nn.init.zeros_(softmax.bias)
    softmax.to(device)
    kept = KeptMaps()

    def convolve(image: Tensor) -> Maps:
        return detector.convolve(image.to(device, non_blocking=True))

    def losses_of(batch: list[Windows], generator: torch.Generator) -> dict[str, Tensor]:
        pooled = []
        for number, image, boxes, _ in batch:
            maps, frames = kept.get(number, partial(convolve, image))
            pooled.append(detector.pool(maps, frames, boxes.to(device)))
        pyramid = [torch.cat(level) for level in zip(*pooled)]  # (B, C, n, n) a level
        labels = torch.cat([windows.labels for windows in batch]).to(device)  # (B,)
        return {"softmax": F.cross_entropy(softmax(detector.head(pyramid)).float(), labels)}

    detector.head.train()
    history = optimise(
        [detector.head, softmax],
        losses_of,
        len(dataset),
        recipe.finetune,
        seed=seed,
        label="SPP-net: fine-tune fc",
        load=partial(sample_windows, dataset, proposals, recipe=recipe),
        resume=resume,
        running=running,
    )
    detector.head.eval()
    return history
