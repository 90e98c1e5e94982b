"""Anchors that fit a data set: k-means over its boxes' sizes, near where they overlap (YOLO9000, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 100  # at most; some tens are enough
STARTS = 5  # the best of so many


def size_iou(sizes: Tensor, others: Tensor) -> Tensor:
    """IoU (N, K) of boxes by width and height, (N, 2) and (K, 2), laid corner on corner."""
    shared = torch.minimum(sizes[:, None], others[None]).prod(dim=2)  # (N, K)
    return shared / (sizes.prod(dim=1)[:, None] + others.prod(dim=1)[None] - shared)


def cluster_sizes(sizes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` sizes (count, 2) such that each of ``sizes`` (N, 2) overlaps one of them well; smallest area first.

    The distance is 1 - IoU, so that large boxes do not outweigh small ones. Starts are drawn as k-means++ does, and
    the best of several kept.

    Raises:
        ValueError: fewer sizes than clusters.
    """
    if len(sizes) < count:
        raise ValueError(f"anchors: {len(sizes)} boxes are too few for {count} clusters")
    tries = [_cluster(sizes.double(), count, generator) for _ in range(STARTS)]
    best = max(tries, key=lambda centres: float(size_iou(sizes.double(), centres).max(dim=1).values.mean()))
    return best[best.prod(dim=1).argsort()].float()


def _cluster(sizes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    first = int(torch.randint(len(sizes), (1,), generator=generator))
    centres = sizes[[first]]
    while len(centres) < count:
        distance = (1 - size_iou(sizes, centres)).min(dim=1).values  # (N,)
        weights = distance.square() + 1e-12  # all the same size: any will do
        drawn = int(torch.multinomial(weights, 1, generator=generator))
        centres = torch.cat([centres, sizes[[drawn]]])
    owner = torch.full((len(sizes),), -1)
    for _ in range(ROUNDS):
        nearest = size_iou(sizes, centres).argmax(dim=1)  # (N,)
        if torch.equal(nearest, owner):
            break
        owner = nearest
        centres = torch.stack(
            [sizes[owner == k].mean(dim=0) if (owner == k).any() else centres[k] for k in range(count)]
        )
    return centres
