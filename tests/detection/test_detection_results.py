"""Each format, read back as its readers do."""

from __future__ import annotations

import csv
import json
from pathlib import PurePosixPath

import pytest
import torch

from lineage.data.coco_json import read_numbers
from lineage.detection.found import Found, chosen_labels, found_in
from lineage.detection.results import write_coco_results, write_csv, write_json, write_yolo
from lineage.detection.shots import Shot
from lineage.detection.sources import Source
from lineage.evaluation.coco_ids import Numbering
from lineage.evaluation.result_files import read_coco

CLASSES = ("cat", "big, bad dog", "猫")


def found(file: str, name: str, rows, frame: int | None = None, size=(100, 200)) -> Found:
    """``rows``: (box, score, label)."""
    boxes, scores, labels = zip(*rows) if rows else ((), (), ())
    return Found(
        file, frame, PurePosixPath(name), size, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores), torch.tensor(labels, dtype=torch.int64),
    )  # fmt: skip


PICTURES = [
    found("in/a/x.jpg", "a/x.jpg", [([20.0, 10, 120, 60], 0.75, 3), ([0.5, 0, 200, 100], 0.5, 2)]),
    found("in/y.jpg", "y.jpg", []),
    found("clip.mp4", "clip.mp4/000030.jpg", [([1.0, 2, 3, 4], -0.25, 1)], frame=30),
]


def test_json(tmp_path):
    write_json(PICTURES, CLASSES, tmp_path / "new" / "r.json")
    assert json.loads((tmp_path / "new" / "r.json").read_text()) == [
        {
            "file": "in/a/x.jpg",
            "detections": [
                {"label": "猫", "score": 0.75, "box": [20.0, 10.0, 120.0, 60.0]},
                {"label": "big, bad dog", "score": 0.5, "box": [0.5, 0.0, 200.0, 100.0]},
            ],
        },
        {"file": "in/y.jpg", "detections": []},
        {
            "file": "clip.mp4",
            "frame": 30,
            "detections": [{"label": "cat", "score": -0.25, "box": [1.0, 2.0, 3.0, 4.0]}],
        },
    ]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["r.json"]


def test_csv(tmp_path):
    write_csv(PICTURES, CLASSES, tmp_path / "r.csv")
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["frame"], row["label"]) for row in rows] == [
        ("in/a/x.jpg", "", "猫"), ("in/a/x.jpg", "", "big, bad dog"), ("clip.mp4", "30", "cat"),
    ]  # fmt: skip
    assert [float(rows[1][name]) for name in ("score", "x1", "y1", "x2", "y2")] == [0.5, 0.5, 0, 200, 100]


def test_coco_is_read_back_and_its_ids_mean_something(tmp_path):
    write_coco_results(PICTURES, CLASSES, tmp_path / "r.json")
    numbering = Numbering("r_images.json", *read_numbers(tmp_path / "r_images.json"))
    ids = [str(found.name.with_suffix("")) for found in PICTURES]
    again = read_coco(tmp_path / "r.json", ids, CLASSES, numbering)
    for before, after in zip(PICTURES, again):
        assert torch.equal(before.boxes, after["boxes"]) and torch.equal(before.labels, after["labels"])
        assert torch.equal(before.scores, after["scores"])
    truth = json.loads((tmp_path / "r_images.json").read_text())
    assert truth["images"] == [
        {"id": 1, "file_name": "a/x.jpg", "height": 100, "width": 200},
        {"id": 2, "file_name": "y.jpg", "height": 100, "width": 200},
        {"id": 3, "file_name": "clip.mp4/000030.jpg", "height": 100, "width": 200},
    ]
    assert truth["categories"] == [{"id": label, "name": name} for label, name in enumerate(CLASSES, 1)]
    assert truth["annotations"] == []


def test_coco_is_read_by_pycocotools(tmp_path, capsys):
    pycocotools = pytest.importorskip("pycocotools.coco")
    write_coco_results(PICTURES, CLASSES, tmp_path / "r.json")
    results = pycocotools.COCO(str(tmp_path / "r_images.json")).loadRes(str(tmp_path / "r.json"))
    assert [one["bbox"] for one in results.imgToAnns[1]] == [[20, 10, 100, 50], [0.5, 0, 199.5, 100]]


def test_yolo(tmp_path):
    write_yolo(PICTURES, CLASSES, tmp_path)
    assert (tmp_path / "classes.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)
    lines = [line.split() for line in (tmp_path / "a" / "x.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == ["2", "1"]  # counted from 0
    assert [float(value) for value in lines[0][1:]] == pytest.approx([70 / 200, 35 / 100, 0.5, 0.5, 0.75])
    assert (tmp_path / "y.txt").read_text() == ""
    assert (tmp_path / "clip.mp4" / "000030.txt").is_file()


def test_a_file_name_that_is_no_text_costs_no_results(tmp_path):
    odd = [found(b"in/\xff.jpg".decode("utf-8", "surrogateescape"), "x.jpg", [([1.0, 2, 3, 4], 0.5, 1)])]
    write_json(odd, CLASSES, tmp_path / "r.json")
    write_csv(odd, CLASSES, tmp_path / "r.csv")
    assert json.loads((tmp_path / "r.json").read_text())[0]["file"] == odd[0].file
    assert b"in/\xff.jpg,,cat,0.5," in (tmp_path / "r.csv").read_bytes()


def test_what_scores_enough_and_is_of_a_wanted_class_is_kept():
    shot = Shot(Source(PurePosixPath("x.jpg"), PurePosixPath("x.jpg")), torch.zeros(3, 50, 70))
    everything = {
        "boxes": torch.arange(16.0).reshape(4, 4), "scores": torch.tensor([0.9, 0.5, 0.5, 0.4]),
        "labels": torch.tensor([1, 3, 2, 3]),
    }  # fmt: skip
    kept = found_in(shot, everything, least=0.5)
    assert kept.size == (50, 70) and kept.scores.tolist() == pytest.approx([0.9, 0.5, 0.5])
    kept = found_in(shot, everything, least=0.5, labels=[2, 3])
    assert kept.labels.tolist() == [3, 2] and kept.boxes.tolist() == everything["boxes"][1:3].tolist()
    assert kept.summary(CLASSES) == "1 big, bad dog, 1 猫"
    assert found_in(shot, everything, least=1.0).summary(CLASSES) == "nothing"


def test_classes_by_name():
    assert chosen_labels(("猫", "cat"), CLASSES) == [1, 3]
    assert chosen_labels(("big, bad dog",), CLASSES) == [2]
    with pytest.raises(ValueError, match="--classes: 'dog' is none of the model's classes: cat, "):
        chosen_labels(("cat", "dog"), CLASSES)
