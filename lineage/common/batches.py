"""Batches of the size that a CPU is quickest at: larger ones fall out of its caches (benchmarks/NOTES.md)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ROIS = 128  # pooled regions through an fc part
PIXELS = 200_000  # of crops through a CNN: 48 crops of 64 px, 16 of 112, 4 of 224


def in_batches(layer: Callable[[Tensor], Tensor], inputs: Tensor, size: int) -> Tensor:
    """``layer(inputs)``; on a CPU, where no gradient is to follow, computed ``size`` rows at a time."""
    if inputs.device.type != "cpu" or len(inputs) <= size or torch.is_grad_enabled():
        return layer(inputs)
    return torch.cat([layer(part) for part in inputs.split(size)])
