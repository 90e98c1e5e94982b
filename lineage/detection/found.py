"""What was found in one picture, as far as the user wants it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import torch
from torch import Tensor

from lineage.detection.shots import Shot


@dataclass(frozen=True)
class Found:
    """The detections of one picture or frame, on the CPU; its pixels are not kept.

    Attributes:
        file: its path as given; of a video's frames the video's. frame: of a video, counted from 0.
        name: where what is made of it lies inside an output folder. size: (height, width), upright.
        boxes: (D, 4) in the picture's own pixels. scores: (D,), best first. labels: (D,) in 1..C.
    """

    file: str
    frame: int | None
    name: PurePosixPath
    size: tuple[int, int]
    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def summary(self, classes: Sequence[str]) -> str:
        """For example "2 cat, 1 dog"."""
        counts = Counter(self.labels.tolist())
        return ", ".join(f"{counts[label]} {classes[label - 1]}" for label in sorted(counts)) or "nothing"


def found_in(shot: Shot, detections: dict[str, Tensor], least: float, labels: Sequence[int] | None = None) -> Found:
    """Those detections that score ``least`` or more and are of one of ``labels``; None: of any class."""
    chosen = detections["scores"] >= least
    if labels is not None:
        chosen &= torch.isin(detections["labels"], detections["labels"].new_tensor(labels))
    kept = {name: values[chosen].cpu() for name, values in detections.items()}
    height, width = shot.image.shape[1:]
    return Found(shot.source.path.as_posix(), shot.frame, shot.name, (height, width), **kept)


def chosen_labels(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The labels of classes by name.

    Raises:
        ValueError: a name that the model does not know; the message lists those that it does.
    """
    unknown = [name for name in names if name not in classes]
    if unknown:
        wrong = ", ".join(map(repr, unknown))
        raise ValueError(f"--classes: {wrong} is none of the model's classes: {', '.join(classes)}")
    return sorted(classes.index(name) + 1 for name in names)
