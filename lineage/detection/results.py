"""Detections as files for other programs: JSON, CSV, COCO's results, YOLO's labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from lineage.common.checkpoint import write_atomically
from lineage.common.file_names import inside
from lineage.detection.found import Found
from lineage.evaluation.coco import to_coco

COLUMNS = ("file", "frame", "label", "score", "x1", "y1", "x2", "y2")
TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}  # a file's name may be no text at all
CLASS_LIST = PurePosixPath("classes.txt")


def write_json(pictures: Sequence[Found], classes: Sequence[str], path: Path) -> None:
    """``[{"file", "detections": [{"label": name, "score", "box": [x1, y1, x2, y2]}]}]``, best detection first.

    Boxes are in the pixels of the upright picture. A video's frame also has "frame", its number from 0; "file" is the
    video then.
    """
    entries = []
    for found in pictures:
        detections = [
            {"label": classes[label - 1], "score": score, "box": box}
            for label, score, box in zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist())
        ]
        frame = {} if found.frame is None else {"frame": found.frame}
        entries.append({"file": found.file, **frame, "detections": detections})
    _write_json(path, entries)


def write_csv(pictures: Sequence[Found], classes: Sequence[str], path: Path) -> None:
    """One line a detection, none for a picture without any; "frame" is empty but for a video's."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", **TEXT) as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for found in pictures:
                frame = "" if found.frame is None else found.frame
                for label, score, box in zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist()):
                    table.writerow([found.file, frame, classes[label - 1], score, *box])

    write_atomically(path, write)


def coco_images_path(path: Path) -> Path:
    """results.json refers to results_images.json."""
    return path.with_name(f"{path.stem}_images{path.suffix}")


def write_coco_results(pictures: Sequence[Found], classes: Sequence[str], path: Path) -> None:
    """COCO's results, and beside them what their ids mean: a ground truth without annotations.

    Picture i has image_id i + 1, label c has category_id c, as in all of this package's COCO files. ``file_name`` is
    the picture's path inside the folder that holds all that was looked at; a frame's as a folder of frames has it.
    """
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    nothing["difficult"] = torch.zeros(0, dtype=torch.bool)
    detections = [{"boxes": f.boxes, "scores": f.scores, "labels": f.labels} for f in pictures]
    truth, results = to_coco(detections, [nothing] * len(pictures), len(classes), classes)
    for image, found in zip(truth["images"], pictures):
        image["file_name"] = str(found.name)
        image["height"], image["width"] = found.size
    _write_json(coco_images_path(path), truth)
    _write_json(path, results)


def yolo_file(folder: Path, name: PurePosixPath) -> Path:
    """The labels of the picture called ``name``."""
    return inside(folder, name.with_suffix(".txt"))


def write_yolo(pictures: Sequence[Found], classes: Sequence[str], folder: Path) -> None:
    """One .txt a picture, ``class cx cy width height score`` a line, lengths as shares of the picture; classes.txt.

    Class 0 is the first line of classes.txt. A picture in which nothing was found has an empty file.
    """
    _write_text(inside(folder, CLASS_LIST), "".join(f"{name}\n" for name in classes))
    for found in pictures:
        height, width = found.size
        lines = []
        for label, score, (x1, y1, x2, y2) in zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist()):
            centre = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
            values = (*centre, (x2 - x1) / width, (y2 - y1) / height, score)
            lines.append(f"{label - 1} {' '.join(f'{value:.9g}' for value in values)}\n")
        _write_text(yolo_file(folder, found.name), "".join(lines))


FORMATS = {"json": write_json, "csv": write_csv, "coco": write_coco_results, "yolo": write_yolo}


def result_files(kind: str, path: Path, names: Sequence[PurePosixPath]) -> list[Path]:
    """The files that a format writes for pictures of these names. YOLO's ``path`` is a folder."""
    if kind == "yolo":
        return [inside(path, CLASS_LIST), *(yolo_file(path, name) for name in names)]
    return [path, coco_images_path(path)] if kind == "coco" else [path]


def _write_json(path: Path, document: Any) -> None:
    _write_text(path, json.dumps(document))


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, **TEXT))
