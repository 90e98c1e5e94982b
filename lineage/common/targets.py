"""Checks on training targets, where they enter."""

from __future__ import annotations

import torch
from torch import Tensor


def check_targets(targets: list[dict[str, Tensor]] | None, count: int, num_classes: int) -> list[dict[str, Tensor]]:
    """The targets, if there is one for each of ``count`` pictures and each makes sense.

    Raises:
        ValueError: naming the picture, the field and the value.
    """
    if targets is None or len(targets) != count:
        found = "none" if targets is None else str(len(targets))
        raise ValueError(f"targets: train mode needs one for each of the {count} pictures, got {found}")
    for i, target in enumerate(targets):
        boxes, labels = target["boxes"], target["labels"]
        if boxes.dim() != 2 or boxes.shape[1] != 4 or len(boxes) != len(labels):
            raise ValueError(
                f"targets[{i}]: boxes {tuple(boxes.shape)} and labels {tuple(labels.shape)} do not match (N, 4), (N,)"
            )
        bad = torch.where(~((boxes[:, 2:] > boxes[:, :2]).all(dim=1) & boxes.isfinite().all(dim=1)))[0]
        if len(bad):
            raise ValueError(f"targets[{i}]: box {int(bad[0])} has no area: {boxes[bad[0]].tolist()}")
        if len(labels) and not (int(labels.min()) >= 1 and int(labels.max()) <= num_classes):
            raise ValueError(
                f"targets[{i}]: labels must be in 1..{num_classes} (0 is the background), got {labels.tolist()}"
            )
    return targets
