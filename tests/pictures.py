"""A small dataset in memory, for tests that train."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lineage.data.figures import CLASSES, TRAIN_PATTERNS
from lineage.data.shapes import draw_picture


class FewPictures:
    """Drawn pictures with their targets, as a VOCDataset gives them, and proposals around their objects."""

    classes = CLASSES

    def __init__(self, count: int, seed: int = 3) -> None:
        self.items, self.proposals = [], []
        for index in range(count):
            pixels, objects = draw_picture(np.random.default_rng([seed, index]), TRAIN_PATTERNS)
            boxes = torch.tensor([item["box"] for item in objects]).float() - torch.tensor([1, 1, 0, 0])
            target = {
                "boxes": boxes,
                "labels": torch.tensor([CLASSES.index(item["name"]) + 1 for item in objects]),
                "difficult": torch.zeros(len(objects), dtype=torch.bool),
            }
            image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
            self.items.append((image, target))
            self.proposals.append(_around(boxes, image.shape[1:], index))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.items[index]


def _around(boxes: Tensor, size: torch.Size, seed: int) -> Tensor:
    """Jittered objects, and boxes anywhere."""
    generator = torch.Generator().manual_seed(seed)
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    near = [boxes + torch.randn(boxes.shape, generator=generator) * 0.08 * sides for _ in range(12)]
    corners = torch.rand(80, 2, generator=generator) * torch.tensor([size[1] - 60.0, size[0] - 60.0])
    anywhere = torch.cat([corners, corners + 25 + 35 * torch.rand(80, 2, generator=generator)], dim=1)
    limit = torch.tensor([size[1], size[0], size[1], size[0]])
    return torch.cat([*near, anywhere]).clamp(min=0).minimum(limit)
