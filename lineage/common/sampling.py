"""Balanced foreground/background sampling for a minibatch."""

from __future__ import annotations

import torch
from torch import Tensor

from lineage.common.matching import BACKGROUND, FOREGROUND


def sample_balanced(
    kind: Tensor, size: int, foreground_fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw at most ``size`` boxes, at most ``foreground_fraction`` of them foreground, the rest background.

    Too few foreground boxes are made up for by background (Faster R-CNN section 3.1.3: "we pad the
    mini-batch with negative ones"); too few background boxes leave the sample short.

    Args:
        kind: (N,) as of :func:`~lineage.common.matching.match_boxes`.
        generator: a CPU generator; the draw is the same on every device.
    Returns:
        indices of the foreground (F,) and of the background (B,), F + B <= size.
    """
    device = kind.device
    kind = kind.cpu()
    foreground, background = torch.where(kind == FOREGROUND)[0], torch.where(kind == BACKGROUND)[0]
    count = min(len(foreground), round(size * foreground_fraction))
    foreground = foreground[torch.randperm(len(foreground), generator=generator)[:count]]
    background = background[torch.randperm(len(background), generator=generator)[: size - count]]
    return foreground.to(device), background.to(device)


def seeded_generator(*seeds: int) -> torch.Generator:
    """A CPU generator from several small integers, so that no two purposes share a stream."""
    seed = 0
    for part in seeds:
        seed = (seed * 1_000_003 + part + 1) % (2**63)
    return torch.Generator().manual_seed(seed)
