"""Detections as files that other tools read: the VOC devkit's comp4 text files, and COCO's JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lineage.common.checkpoint import write_atomically
from lineage.evaluation.coco import to_coco
from lineage.evaluation.flat import Picture


class ResultFileError(ValueError):
    """A file with detections that cannot be used; the message names the file, the line or entry, and the value."""


def write_comp4(
    detections: Sequence[Picture], ids: Sequence[str], classes: Sequence[str], folder: Path, split: str
) -> list[Path]:
    """One ``comp4_det_SPLIT_CLASS.txt`` a class, as the devkit's VOCevaldet.m reads them; returns the paths.

    A line: picture, score, left, top, right, bottom; pixels counted from 1 and inclusively, as VOC does.
    """
    paths = []
    for label, name in enumerate(classes, start=1):
        lines = []
        for picture, found in zip(ids, detections, strict=True):
            chosen = found["labels"] == label
            for score, (x1, y1, x2, y2) in zip(found["scores"][chosen].tolist(), found["boxes"][chosen].tolist()):
                lines.append(f"{picture} {score:.9g} {x1 + 1:.9g} {y1 + 1:.9g} {x2:.9g} {y2:.9g}\n")
        paths.append(folder / f"comp4_det_{split}_{name}.txt")
        text = "".join(lines)
        write_atomically(paths[-1], lambda path, text=text: path.write_text(text))  # type: ignore[misc]
    return paths


def read_comp4(folder: Path, ids: Sequence[str], classes: Sequence[str], split: str) -> list[dict[str, Tensor]]:
    """Such files as detections, one dict a picture of ``ids``.

    Raises:
        ResultFileError: a class has no file, or a line is not what it should be.
    """
    rows: dict[str, list[tuple[list[float], float, int]]] = {picture: [] for picture in ids}
    for label, name in enumerate(classes, start=1):
        path = folder / f"comp4_det_{split}_{name}.txt"
        if not path.is_file():
            raise ResultFileError(f"{path}: no such file: class {name!r} has no detections file for {split!r}")
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            where = f"{path.name}: line {number}"
            picture, *values = line.split()
            if picture not in rows:
                raise ResultFileError(f"{where}: picture {picture!r} is not in the split {split!r}")
            score, x1, y1, x2, y2 = _numbers(values, 5, where)
            rows[picture].append(([x1 - 1, y1 - 1, x2, y2], score, label))
    return [_picture(rows[picture]) for picture in ids]


def write_coco(
    detections: Sequence[Picture], targets: Sequence[Picture], ids: Sequence[str], classes: Sequence[str], folder: Path
) -> list[Path]:
    """``coco_ground_truth.json`` and ``coco_results.json``, which refers to it; returns the paths."""
    truth, results = to_coco(detections, targets, len(classes), classes)
    for image, name in zip(truth["images"], ids, strict=True):
        image["file_name"] = name
    paths = [folder / "coco_ground_truth.json", folder / "coco_results.json"]
    for path, document in zip(paths, (truth, results)):
        text = json.dumps(document)
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text))  # type: ignore[misc]
    return paths


def read_coco(path: Path, pictures: int, num_classes: int) -> list[dict[str, Tensor]]:
    """COCO results (a JSON list) as detections: image_id 1..pictures, category_id 1..C, as :func:`write_coco` counts.

    Raises:
        ResultFileError: not such a list, or an entry is not what it should be.
    """
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(entries, list):
        raise ResultFileError(f"{path}: expected a list of results, got {type(entries).__name__}")
    rows: list[list[tuple[list[float], float, int]]] = [[] for _ in range(pictures)]
    for number, entry in enumerate(entries):
        where = f"{path.name}: entry {number}"
        image = _whole(entry, "image_id", pictures, where)
        label = _whole(entry, "category_id", num_classes, where)
        box = entry.get("bbox")
        if not isinstance(box, list):
            raise ResultFileError(f"{where}: bbox is {box!r}, not x, y, width, height")
        x, y, width, height, score = _numbers([*box, entry.get("score")], 5, where)
        rows[image - 1].append(([x, y, x + width, y + height], score, label))
    return [_picture(row) for row in rows]


def _whole(entry: Any, field: str, most: int, where: str) -> int:
    value = entry.get(field) if isinstance(entry, dict) else None
    if not isinstance(value, int) or not 1 <= value <= most:
        raise ResultFileError(f"{where}: {field} is {value!r}, not one of 1..{most}")
    return value


def _numbers(values: Sequence[Any], count: int, where: str) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ResultFileError(f"{where}: expected {count} numbers, got {' '.join(map(str, values))}")
    return numbers


def _picture(rows: Sequence[tuple[list[float], float, int]]) -> dict[str, Tensor]:
    """Best score first, as detectors give them."""
    ranked = sorted(rows, key=lambda row: -row[1])
    return {
        "boxes": torch.tensor([box for box, _, _ in ranked], dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor([score for _, score, _ in ranked], dtype=torch.float32),
        "labels": torch.tensor([label for _, _, label in ranked], dtype=torch.int64),
    }
