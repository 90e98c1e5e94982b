"""Batches of the size that a device is quickest at, and that its memory holds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Of a CPU, whose caches larger ones fall out of (benchmarks/NOTES.md).
ROIS = 128  # pooled regions through an fc part that convolves; Linear layers want all at once, to read weights once
PIXELS = 200_000  # of crops through a CNN: 48 crops of 64 px, 16 of 112, 4 of 224
# Of a GPU, which is busy with a hundred crops: VGG16's widest maps of so many take 3.3 GB.
GPU_PIXELS = 6_500_000  # 128 crops of 224 px


def in_batches(layer: Callable[[Tensor], Tensor], inputs: Tensor, cpu: int | None, gpu: int | None = None) -> Tensor:
    """``layer(inputs)``; where no gradient is to follow, computed ``cpu`` or ``gpu`` rows at a time (None: all)."""
    size = cpu if inputs.device.type == "cpu" else gpu
    if size is None or len(inputs) <= size or torch.is_grad_enabled():
        return layer(inputs)
    return torch.cat([layer(part) for part in inputs.split(size)])
