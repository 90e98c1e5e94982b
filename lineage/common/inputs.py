"""Checks on what comes from outside, where it enters: pictures, proposals, training targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lineage.common.matching import usable_objects


def check_image(image: Tensor) -> None:
    """Raise ValueError unless ``image`` is a float (3, H, W) tensor in 0..1: the commonest wrong input."""
    if not isinstance(image, Tensor) or image.dim() != 3 or image.shape[0] != 3:
        what = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"image: expected a float tensor (3, H, W), got {what}")
    if not image.is_floating_point():
        raise ValueError(f"image: expected floats in 0..1, got {image.dtype}; divide by 255")
    if image.shape[1] < 1 or image.shape[2] < 1:
        raise ValueError(f"image: has no pixels, shape {tuple(image.shape)}")
    low, high = torch.stack(image.aminmax()).tolist()
    if not (low >= -0.01 and high <= 1.01):  # also true of NaN
        raise ValueError(f"image: expected RGB in 0..1, got values in {low:.3g}..{high:.3g}")


def check_inputs(images: Sequence[Tensor], proposals: Sequence[Tensor] | None) -> None:
    """Raise ValueError unless each picture passes :func:`check_image` and has proposals (R, 4) with an area.

    Args:
        proposals: R may be 0; None: the detector makes its own.
    """
    for image in images:
        check_image(image)
    if proposals is not None and len(proposals) != len(images):
        raise ValueError(f"proposals: one (R, 4) for each of {len(images)} pictures is needed, got {len(proposals)}")
    for i, boxes in enumerate(proposals or ()):
        if boxes.dim() != 2 or boxes.shape[1] != 4:
            raise ValueError(f"proposals[{i}]: expected (R, 4), got {tuple(boxes.shape)}")
        _check_area(boxes, f"proposals[{i}]")


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
        _check_area(boxes, f"targets[{i}]")
        if len(labels) and not (int(labels.min()) >= 1 and int(labels.max()) <= num_classes):
            raise ValueError(
                f"targets[{i}]: labels must be in 1..{num_classes} (0 is the background), got {labels.tolist()}"
            )
    return targets


def check_learnable(targets: Iterable[dict[str, Tensor]]) -> None:
    """Raise ValueError unless an object is there that is not marked difficult: without one all is background."""
    objects = 0
    for target in targets:
        if len(usable_objects(target)[0]):
            return
        objects += len(target["boxes"])
    raise ValueError(
        f"nothing to learn: {'every object is marked difficult' if objects else 'no picture has an object'}"
    )


def _check_area(boxes: Tensor, where: str) -> None:
    bad = torch.where(~((boxes[:, 2:] > boxes[:, :2]).all(dim=1) & boxes.isfinite().all(dim=1)))[0]
    if len(bad):
        raise ValueError(f"{where}: box {int(bad[0])} has no area: {boxes[bad[0]].tolist()}")
