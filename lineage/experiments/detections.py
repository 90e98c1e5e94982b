"""A trained detector on the pictures of a split; what it found is kept, so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lineage.common.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from lineage.common.progress import progress_bar
from lineage.data.voc import VOCDataset
from lineage.evaluation.voc import VOCResult, evaluate_voc
from lineage.experiments.keys import code_digest, data_digest, digest_of, proposals_digest

SHARD = 64  # pictures a file: a minute's work of the slowest
FIELDS = ("boxes", "scores", "labels")  # (D, 4), (D,), (D,)
Detections = list[dict[str, Tensor]]  # these fields for each picture


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
        cache: detections are kept there, :data:`SHARD` pictures at a time, and found again by an equal detector.
    """
    folder = None if cache is None else cache / "detections" / detections_key(detector, dataset, proposals)
    device = next(detector.parameters()).device
    detections: Detections = []
    with progress_bar(label, len(dataset)) as advance:
        for first in range(0, len(dataset), SHARD):
            indices = range(first, min(first + SHARD, len(dataset)))
            file = None if folder is None else folder / f"{first:06d}.safetensors"
            shard = _read(file, len(indices)) if file is not None else None
            if shard is not None:
                advance(len(indices), "")
            else:
                shard = []
                for index in indices:
                    image, _ = dataset[index]
                    given = None if proposals is None else [proposals[index].to(device)]
                    (found,) = detector([image.to(device)], proposals=given)
                    shard.append({name: tensor.cpu() for name, tensor in found.items()})
                    advance(1, "")
                if file is not None:
                    _write(file, shard)
            detections += shard
    return detections


def detections_key(detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None) -> str:
    """Names all that detections come of: weights, recipe, code, pictures, proposals, kind of device."""
    weights = hashlib.sha256()
    for name, tensor in detector.state_dict().items():
        weights.update(f"{name} {tuple(tensor.shape)}".encode())
        weights.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    facts = {
        "weights": weights.hexdigest(),
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


def _write(file: Path, shard: Detections) -> None:
    state = {name: torch.cat([found[name] for found in shard]) for name in FIELDS}
    save_checkpoint(file, state, {"counts": [len(found["scores"]) for found in shard]})


def _read(file: Path, pictures: int) -> Detections | None:
    """None where there is no such file, or a damaged one: it is made anew."""
    try:
        state, facts = load_checkpoint(file)
        counts = facts["counts"]
        columns = [state[name].split(counts) for name in FIELDS]
    except (CheckpointError, KeyError, RuntimeError, TypeError):
        return None
    if len(counts) != pictures:
        return None
    return [dict(zip(FIELDS, row)) for row in zip(*columns)]
