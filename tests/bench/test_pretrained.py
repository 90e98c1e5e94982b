"""``bench --pretrained`` and ``detect``'s default: the detectors of models/."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny
from typer.testing import CliRunner

import lineage.bench.__main__ as bench
from lineage import detect
from lineage.bench import race
from lineage.common.checkpoint import load_checkpoint
from lineage.data.figures import CLASSES as SHAPE_CLASSES
from lineage.data.shapes import write_shapes
from lineage.experiments import pretrained

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from export_model import in_half

FACTS = {
    "seed": 0, "data": "VOC2007 trainval", "train_pictures": 5008, "recipe_name": "evening", "train_seconds": 60.0,
    "steps": 10, "pictures": 40, "procedure": "joint", "pretraining": {}, "cache_bytes": 0,
}  # fmt: skip


@pytest.fixture
def models(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    for name in ("fast_rcnn", "faster_rcnn"):
        save_tiny(folder / f"voc2007-{name}.safetensors", name, classes=SHAPE_CLASSES, **FACTS)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    write_shapes(root, trainval=3, test=3, jobs=1)
    return root


def run(app, *arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_models_that_there_are_race_without_training(models, pictures, tmp_path):
    said = run(bench.app, "--pretrained", "--data", pictures, "--cache", tmp_path / "cache", "--out", tmp_path / "out")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["generations"]) == ["fast_rcnn", "faster_rcnn"]
    assert (results["backbone"], results["recipe"], results["seeds"]) == ("tiny", "evening", [0])
    assert results["dataset"]["train_pictures"] == 5008 and results["dataset"]["test_pictures"] == 3
    row = results["generations"]["faster_rcnn"]
    assert row["train_seconds"] == 60.0 and row["ms_per_image"] > 0
    low, high = row["map_interval"]
    assert low <= row["map_mean"] <= high
    assert set(row["coco"]) == {"AP", "AP50", "AP75"} and set(row["errors"]) == set(SHAPE_CLASSES)
    (pair,) = results["differences"]
    assert pair["between"] == ["fast_rcnn", "faster_rcnn"]
    assert not (tmp_path / "cache" / "models").exists()
    assert "5008 training and 3 test pictures" in said and "How sure, and what goes wrong" in said


def test_a_quicker_look(models, pictures, tmp_path):
    options = ("--generations", "faster_rcnn", "--test-every", 2, "--cache", tmp_path / "cache", "--out", tmp_path)
    run(bench.app, "--pretrained", "--data", pictures, *options)
    assert json.loads((tmp_path / "results.json").read_text())["dataset"]["test_pictures"] == 2


def test_no_selective_search_for_who_proposes_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(race, "region_proposals", None)
    run(
        bench.app, "--quick-check", "--generations", "faster_rcnn", "--device", "cpu", "--test-every", 4,
        "--cache", tmp_path / "cache", "--out", tmp_path,
    )  # fmt: skip
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["generations"]) == ["faster_rcnn"] and results["dataset"]["test_pictures"] == 2


def test_what_cannot_be_asked_of_them_is_refused(models, pictures, tmp_path):
    assert "no trained R-CNN comes with" in run(
        bench.app, "--pretrained", "--data", pictures, "--generations", "rcnn", "--cache", tmp_path, code=1
    )
    assert "name a folder of pictures" in run(bench.app, "--pretrained", "--cache", tmp_path, code=1)
    assert "trains nothing" in run(bench.app, "--pretrained", "--data", pictures, "--seeds", 2, code=1)
    save_tiny(models / "voc2007-fast_rcnn.safetensors", "fast_rcnn", classes=("a", "b"), **FACTS)
    assert "do not know the same classes" in run(
        bench.app, "--pretrained", "--data", pictures, "--cache", tmp_path, code=1
    )


def test_detect_takes_the_model_that_comes_with_the_project(models, pictures, tmp_path):
    picture = next((pictures / "JPEGImages").iterdir())
    drawn = tmp_path / "x.png"
    said = run(detect.app, "faster_rcnn", picture, "-o", drawn, "--score", 0, "--device", "cpu")
    assert drawn.is_file()
    assert "drawn shapes" not in said and "training" not in said
    assert "VOC2007 trainval" in said


def test_half_precision_is_what_is_kept(tmp_path):
    state, _ = load_checkpoint(save_tiny(tmp_path / "m.safetensors", "faster_rcnn", data="pets"))
    half = in_half(state)
    assert set(half) == set(state)
    assert all(tensor.dtype == torch.float16 for tensor in half.values() if tensor.is_floating_point())
    with pytest.raises(ValueError, match="beyond half"):
        in_half({"w": torch.tensor([1e6])})
