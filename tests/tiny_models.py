"""Detectors that find something at once, without a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lineage.backbones import build_backbone
from lineage.experiments.checkpoints import save_detector
from lineage.experiments.generations import build_detector, named_recipe

CLASSES = ("cat", "dog", "cow")


def tiny_detector(generation: str = "faster_rcnn", classes: tuple[str, ...] = CLASSES) -> Any:
    """A detector with random weights, and last layers random enough for scores of all sizes."""
    detector: Any = build_detector(
        generation, build_backbone("tiny", seed=0), classes, named_recipe(generation, "quick")
    )
    draw = torch.Generator().manual_seed(1)
    spread = {"svms.weight": 0.2, "svms.bias": 0.2, "head.cls_score.weight": 0.1, "head.bbox_pred.weight": 0.02}
    for name, tensor in detector.state_dict().items():
        if name in spread:
            tensor.normal_(0, spread[name], generator=draw)
    return detector


def save_tiny(path: Path, generation: str = "faster_rcnn", classes: tuple[str, ...] = CLASSES, **facts: Any) -> Path:
    """The same as a checkpoint."""
    save_detector(tiny_detector(generation, classes), path, **facts)
    return path


class Fixed(nn.Module):
    """Finds the same in every picture; ``then`` is called with the number of each call, from 1, before it answers."""

    classes = CLASSES

    def __init__(self, boxes: list[list[float]], scores: list[float], labels: list[int], then: Any = None) -> None:
        super().__init__()
        self.device = nn.Parameter(torch.zeros(1))
        self.found = {
            "boxes": torch.tensor(boxes).reshape(-1, 4), "scores": torch.tensor(scores),
            "labels": torch.tensor(labels, dtype=torch.int64),
        }  # fmt: skip
        self.calls, self.then = 0, then

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        self.calls += 1
        if self.then is not None:
            self.then(self.calls)
        return [dict(self.found) for _ in images]
