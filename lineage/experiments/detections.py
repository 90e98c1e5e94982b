"""A trained detector on the pictures of a split; what it found is kept, so that an interrupted run goes on."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lineage.common.locks import alone
from lineage.common.resume import Pieces, make_pieces
from lineage.common.together import as_the_first, is_first
from lineage.data.voc import VOCDataset
from lineage.evaluation.voc import VOCResult, evaluate_voc
from lineage.experiments.keys import code_digest, data_digest, digest_of, proposals_digest, state_digest

FIELDS = ("boxes", "scores", "labels")  # (D, 4), (D,), (D,)
Detections = list[dict[str, Tensor]]  # these of each picture


def evaluate_detector(
    detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None, label: str, cache: Path | None = None
) -> tuple[VOCResult, Detections]:
    """VOC 11-point AP at IoU 0.5 on a split, and the detections; arguments as of :func:`detect_all`."""
    detections = detect_all(detector, dataset, proposals, label, cache)
    targets = [dataset.target(index) for index in range(len(dataset))]
    return evaluate_voc(detections, targets, len(dataset.classes)), detections


def detect_all(
    detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None, label: str, cache: Path | None = None
) -> Detections:
    """Detections in every picture of a split, on the CPU.

    Args:
        proposals: (R, 4) a picture; None: the detector makes its own.
        cache: detections are kept there, and found again by an equal detector.
    """
    folder = None if cache is None else cache / "detections" / detections_key(detector, dataset, proposals)
    device = next(detector.parameters()).device

    def detect(index: int) -> dict[str, Tensor]:
        image, _ = dataset[index]
        given = None if proposals is None else [proposals[index].to(device)]
        (found,) = detector([image.to(device)], proposals=given)
        return {name: tensor.cpu() for name, tensor in found.items()}

    complete = as_the_first(lambda: len(Pieces(folder).made) == len(dataset))
    with nullcontext() if folder is None or complete or not is_first() else alone(folder):
        made = make_pieces(folder, len(dataset), detect, label)  # another run may have made some meanwhile
    return [{name: found[name] for name in FIELDS} for found in made]  # a file has an order of its own


def detections_key(detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None) -> str:
    """Names all that detections come of: weights, recipe, code, pictures, proposals, kind of device."""
    facts = {
        "weights": state_digest(detector.state_dict()),
        "detector": f"{type(detector).__module__}.{type(detector).__name__} on {detector.backbone.name}",
        "recipe": repr(detector.recipe),
        "amp": detector.amp,
        "code": code_digest(type(detector).__module__),
        "data": data_digest(dataset),
        "proposals": None if proposals is None else proposals_digest(proposals),
        "device": next(detector.parameters()).device.type,
        "torch": torch.__version__,
    }
    return digest_of(facts)
