"""Detections as files that other tools read: the VOC devkit's comp4 text files, and COCO's JSON."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lineage.common.checkpoint import write_atomically
from lineage.common.file_names import inside, safe_name, stays_inside
from lineage.common.text_files import read_json, read_text
from lineage.evaluation.coco import to_coco
from lineage.evaluation.coco_ids import Numbering, Places, ResultFileError
from lineage.evaluation.flat import Picture

GROUND_TRUTH = "coco_ground_truth.json"
NEARLY_ALL = 0.99
LARGEST = 2.0**31  # of a coordinate: what float32 and COCO's integers can still do something with
OUTSIDE = 0.1  # of the boxes: a detector clips to the picture, or overshoots a little
Row = tuple[list[float], float, int]  # box, score, label


def write_comp4(
    detections: Sequence[Picture], ids: Sequence[str], classes: Sequence[str], folder: Path, split: str
) -> list[Path]:
    """One ``comp4_det_SPLIT_CLASS.txt`` a class, as the devkit's VOCevaldet.m reads them; returns the paths.

    A line: picture, score, left, top, right, bottom; pixels counted from 1 and inclusively, as VOC does. What a file
    name cannot have of a class (/, :) is encoded (:func:`~lineage.common.file_names.safe_name`).
    """
    paths = []
    for label, name in enumerate(classes, start=1):
        lines = []
        for picture, found in zip(ids, detections, strict=True):
            chosen = found["labels"] == label
            for score, (x1, y1, x2, y2) in zip(found["scores"][chosen].tolist(), found["boxes"][chosen].tolist()):
                lines.append(f"{picture} {score:.9g} {x1 + 1:.9g} {y1 + 1:.9g} {x2:.9g} {y2:.9g}\n")
        paths.append(inside(folder, _comp4_name(split, name)))
        text = "".join(lines)
        write_atomically(paths[-1], lambda path, text=text: path.write_text(text, encoding="utf-8"))  # type: ignore[misc]
    return paths


def read_comp4(folder: Path, ids: Sequence[str], classes: Sequence[str], split: str) -> list[dict[str, Tensor]]:
    """Such files as detections, one dict a picture of ``ids``; a class without a file has no detections.

    Raises:
        ResultFileError: no class has a file, or a line is not what it should be.
    """
    rows: dict[str, list[Row]] = {picture: [] for picture in ids}
    files = {label: _comp4_file(folder, split, name) for label, name in enumerate(classes, start=1)}
    if not any(files.values()):
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise ResultFileError(
            f"{folder}: no comp4_det_{split}_CLASS.txt of {', '.join(classes)} in it; there is {there}"
        )
    for label, path in files.items():
        if path is not None:
            for picture, box, score in _comp4_lines(path, split, rows):
                rows[picture].append((box, score, label))
    return [_picture(rows[picture]) for picture in ids]


def _comp4_file(folder: Path, split: str, name: str) -> Path | None:
    """As this package calls it, or with the class as it is, as other programs do."""
    names = [_comp4_name(split, name), f"comp4_det_{split}_{name}.txt"]
    return next((folder / one for one in names if stays_inside(one) and (folder / one).is_file()), None)


def _comp4_name(split: str, name: str) -> str:
    return f"comp4_det_{safe_name(split)}_{safe_name(name)}.txt"


def _comp4_lines(path: Path, split: str, pictures: Container[str]) -> Iterator[tuple[str, list[float], float]]:
    """Each line's picture, box and score."""
    for number, line in enumerate(read_text(path, ResultFileError).split("\n"), start=1):
        where = f"{path}: line {number}"
        words = line.rsplit(maxsplit=5)  # from behind: a picture's name may have spaces
        if not words:
            continue
        picture, *values = words
        if picture not in pictures:
            picture, *values = line.split()  # too many numbers rather than a name with spaces?
            if picture not in pictures:
                raise ResultFileError(f"{where}: picture {words[0]!r} is not in the split {split!r}")
        score, left, top, right, bottom = _numbers(values, 5, where)
        if right < left - 1 or bottom < top - 1:
            name, low, high = ("right", left, right) if right < left - 1 else ("bottom", top, bottom)
            other = "left" if name == "right" else "top"
            raise ResultFileError(
                f"{where}: {name} {high:g} < {other} {low:g}: score, left, top, right, bottom are meant"
            )
        yield picture, [left - 1, top - 1, right, bottom], score


def write_coco(
    detections: Sequence[Picture], targets: Sequence[Picture], ids: Sequence[str], classes: Sequence[str], folder: Path
) -> list[Path]:
    """``coco_ground_truth.json`` and ``coco_results.json``, which refers to it; returns the paths."""
    truth, results = to_coco(detections, targets, len(classes), classes)
    for image, name in zip(truth["images"], ids, strict=True):
        image["file_name"] = name
    paths = [folder / GROUND_TRUTH, folder / "coco_results.json"]
    for path, document in zip(paths, (truth, results)):
        text = json.dumps(document)
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text))  # type: ignore[misc]
    return paths


def read_coco(
    path: Path, ids: Sequence[str], classes: Sequence[str], numbering: Numbering | None = None
) -> list[dict[str, Tensor]]:
    """COCO results (a JSON list) as detections, one dict a picture of ``ids``.

    Args:
        numbering: of the ground truth whose numbers the results use. Without it a picture is known by its name only
            (``file_name``, or a text as ``image_id``): a number could be any ground truth's.
    Raises:
        ResultFileError: not such a list, or an entry is not what it should be or means no picture or class here.
    """
    entries = read_json(path, ResultFileError)
    if not isinstance(entries, list):
        raise ResultFileError(f"{path}: expected a list of results, got {type(entries).__name__}")
    places = Places(ids, classes, numbering)
    rows: list[list[Row]] = [[] for _ in ids]
    for number, entry in enumerate(entries):
        where = f"{path.name}: entry {number}"
        if not isinstance(entry, dict):
            raise ResultFileError(f"{where}: is {entry!r}, not an object with image_id, category_id, bbox, score")
        index, label, box = places.picture(entry, where), places.label(entry, where), entry.get("bbox")
        if not isinstance(box, list):
            raise ResultFileError(f"{where}: bbox is {box!r}, not x, y, width, height")
        x, y, width, height, score = _numbers([*box, entry.get("score")], 5, where)
        if width < 0 or height < 0:
            raise ResultFileError(f"{where}: bbox is {box!r}: width {width:g}, height {height:g}")
        rows[index].append(([x, y, x + width, y + height], score, label))
    places.warn(path.name)
    return [_picture(row) for row in rows]


def corners_for_sizes(detections: Sequence[Picture], sizes: Mapping[int, tuple[int, int]]) -> str:
    """What makes one think that COCO results have x1, y1, x2, y2 where x, y, width, height is meant; "" if nothing.

    Args:
        detections: as :func:`read_coco` gives them. sizes: (height, width) of each picture with detections, by index.
    """
    outside = inside = total = 0
    for index, (height, width) in sizes.items():
        boxes = detections[index]["boxes"].double()  # (N, 4)
        x1, y1, x2, y2 = boxes.unbind(dim=1)  # (N,)
        w, h = x2 - x1, y2 - y1
        total += len(boxes)
        outside += int(((x2 > width + 1) | (y2 > height + 1)).sum())
        inside += int(((w > x1) & (h > y1) & (w <= width + 1) & (h <= height + 1)).sum())
    if outside < OUTSIDE * total or inside < NEARLY_ALL * total or total == 0:
        return ""
    return (
        f"{outside} of {total} boxes reach outside their picture, and none would if bbox were x1, y1, x2, y2: "
        "COCO's is x, y, width, height"
    )


def _numbers(values: Sequence[Any], count: int, where: str) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != count or not all(abs(number) < LARGEST for number in numbers):  # nor is NaN
        raise ResultFileError(f"{where}: expected {count} numbers, got {' '.join(map(str, values))}")
    return numbers


def _picture(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Best score first, as detectors give them."""
    ranked = sorted(rows, key=lambda row: -row[1])
    return {
        "boxes": torch.tensor([box for box, _, _ in ranked], dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor([score for _, score, _ in ranked], dtype=torch.float32),
        "labels": torch.tensor([label for _, _, label in ranked], dtype=torch.int64),
    }
