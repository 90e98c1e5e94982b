"""Supervised pre-training as a classifier: the lineage's first step (R-CNN section 2.3).

The papers' networks come trained on ImageNet's 1.2 million pictures. ``tiny`` gets the same step at its own
size: it learns to name single shapes in small crops. Leave it out and see what it was worth (R-CNN's second
claim): ``python -m lineage.bench --no-pretraining``.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lineage.backbones.backbone import Backbone, fold_batch_norm, with_batch_norm
from lineage.common.image import as_channels_last, normalise
from lineage.common.optimise import Solver, optimise
from lineage.common.sampling import seeded_generator

CROPS = 12_000  # of which the last tenth is held out
SOLVER = Solver(
    "adamw",
    learning_rate=3e-3,
    steps=1200,
    images_per_step=32,
    weight_decay=1e-2,
    decay="cosine",
    warmup=20,
    clip=10.0,
)


def pretrain(
    backbone: Backbone, crops: Tensor, labels: Tensor, *, seed: int, solver: Solver = SOLVER, resume: Path | None = None
) -> float:
    """Train ``backbone`` in place to classify crops; the classifying layer is thrown away.

    Batch normalisation helps it on its way (crops come in batches large enough for it) and is folded into the
    convolutions at the end, since detectors train on a few pictures at a time.

    Args:
        crops: (N, 3, crop_size, crop_size) uint8. labels: (N,) int64, from 0.
    Returns:
        accuracy on the last tenth of the crops, which it was not trained on.
    """
    train_count = len(crops) - len(crops) // 10
    classifier = nn.Linear(backbone.features, int(labels.max()) + 1)
    nn.init.normal_(classifier.weight, std=0.01, generator=seeded_generator(seed, 2))
    nn.init.zeros_(classifier.bias)
    backbone.conv = with_batch_norm(backbone.conv)
    backbone.to(memory_format=torch.channels_last)

    def scores_of(batch: Tensor) -> Tensor:
        pixels = as_channels_last(normalise(batch.float() / 255, backbone.mean, backbone.std))
        return classifier(backbone.fc(backbone.pool5(pixels)))

    def losses_of(indices: list[int], generator: torch.Generator) -> dict[str, Tensor]:
        batch = crops[indices]
        mirrored = torch.rand(len(indices), generator=generator) < 0.5
        batch[mirrored] = batch[mirrored].flip(3)
        return {"softmax": F.cross_entropy(scores_of(batch), labels[indices])}

    backbone.train()
    optimise([backbone, classifier], losses_of, train_count, solver, seed=seed, label="pre-train", resume=resume)
    fold_batch_norm(backbone.conv)
    backbone.conv = nn.Sequential(*(layer for layer in backbone.conv if not isinstance(layer, nn.Identity)))
    backbone.eval()
    with torch.inference_mode():
        guesses = torch.cat([scores_of(part).argmax(dim=1) for part in crops[train_count:].split(256)])
    return float((guesses == labels[train_count:]).float().mean())
