"""A trained detector on the pictures of a split."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lineage.common.progress import track
from lineage.data.voc import VOCDataset
from lineage.evaluation.voc import VOCResult, evaluate_voc


def evaluate_detector(
    detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None, label: str
) -> tuple[VOCResult, list[dict[str, Tensor]]]:
    """VOC 11-point AP at IoU 0.5 on a split, and the detections. ``proposals`` None: the detector makes its own."""
    detections = detect_all(detector, dataset, proposals, label)
    targets = [dataset.target(index) for index in range(len(dataset))]
    return evaluate_voc(detections, targets, len(dataset.classes)), detections


def detect_all(
    detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None, label: str
) -> list[dict[str, Tensor]]:
    """Detections in every picture of a split, on the CPU."""
    device = next(detector.parameters()).device
    detections = []
    for index in track(range(len(dataset)), label, len(dataset)):
        image, _ = dataset[index]
        given = None if proposals is None else [proposals[index].to(device)]
        (found,) = detector([image.to(device)], proposals=given)
        detections.append({name: tensor.cpu() for name, tensor in found.items()})
    return detections
