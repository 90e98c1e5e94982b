"""Fine-tuning the CNN on warped proposals with a (C + 1)-way softmax (section 2.3)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lineage.backbones import Backbone
from lineage.common.augment import augment, draw_mirror
from lineage.common.history import History
from lineage.common.image import normalise
from lineage.common.matching import LabelledRegions, label_regions
from lineage.common.optimise import optimise
from lineage.common.running import PLAINLY, Running
from lineage.common.sampling import sample_balanced, seeded_generator
from lineage.data.voc import VOCDataset
from lineage.rcnn.recipe import Recipe
from lineage.rcnn.warp import warp_crops


class CropInput(NamedTuple):
    """What of a backbone its crops depend on: a process that loads pictures needs no weights."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_size: int  # pixels


def finetune(
    backbone: Backbone,
    dataset: VOCDataset,
    proposals: list[Tensor],
    recipe: Recipe,
    *,
    seed: int,
    resume: Path | None = None,
    running: Running = PLAINLY,
) -> History:
    """Train ``backbone`` in place; the softmax layer is thrown away afterwards, the SVMs replace it."""
    device = next(backbone.parameters()).device
    softmax = nn.Linear(backbone.features, len(dataset.classes) + 1)
    nn.init.normal_(softmax.weight, std=0.01, generator=seeded_generator(seed, 2))
    nn.init.zeros_(softmax.bias)
    softmax.to(device)
    backbone.freeze_leading_layers()

    def losses_of(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        crops, labels = (part.to(device, non_blocking=True) for part in batch)
        scores = softmax(backbone.fc(backbone.pool5(crops)))  # (B, C + 1)
        return {"softmax": F.cross_entropy(scores.float(), labels)}

    wanted = CropInput(backbone.mean, backbone.std, backbone.crop_size)
    backbone.train()
    history = optimise(
        [backbone, softmax],
        losses_of,
        len(dataset),
        recipe.finetune,
        seed=seed,
        label="R-CNN: fine-tune",
        load=partial(sample_crops, dataset, proposals, backbone=wanted, recipe=recipe),
        resume=resume,
        running=running,
    )
    backbone.eval()
    return history


def sample_crops(
    dataset: VOCDataset,
    proposals: list[Tensor],
    indices: list[int],
    backbone: Backbone | CropInput,
    recipe: Recipe,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A minibatch: crops (B, 3, S, S) and labels (B,), a quarter of them foreground.

    The pictures' regions are pooled before drawing, so a picture full of objects gives more of the foreground,
    as when the original draws from all windows of the training set.
    """
    pictures, regions = [], []
    for index in indices:
        image, target = dataset[index]
        region = label_regions(
            proposals[index], target, foreground=recipe.foreground_iou, background=(0.0, recipe.foreground_iou)
        )
        mirror = draw_mirror(recipe.flip, generator)
        image, boxes = augment(image, region.boxes, mirror, recipe.augmentation, generator)
        region = region._replace(boxes=boxes)
        pictures.append(normalise(image, backbone.mean, backbone.std))
        regions.append(region)
    chosen = _draw(regions, len(indices) * recipe.crops_per_image, recipe.foreground_fraction, generator)
    crops = [
        warp_crops(picture, region.boxes[rows], backbone.crop_size, recipe.context)
        for picture, region, rows in zip(pictures, regions, chosen)
    ]
    labels = [region.labels[rows] for region, rows in zip(regions, chosen)]
    return torch.cat(crops), torch.cat(labels)


def _draw(regions: list[LabelledRegions], size: int, fraction: float, generator: torch.Generator) -> list[Tensor]:
    """Which rows of each picture's regions are drawn from the pool of all of them."""
    kind = torch.cat([region.kind for region in regions])
    owner = torch.repeat_interleave(torch.tensor([len(region.kind) for region in regions]))  # (N,) picture of each
    first = torch.tensor([0, *[len(region.kind) for region in regions]]).cumsum(0)  # row 0 of each picture
    rows = torch.cat(sample_balanced(kind, size, fraction, generator))
    return [rows[owner[rows] == picture] - first[picture] for picture in range(len(regions))]
