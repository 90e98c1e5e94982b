"""python -m lineage.train: what it writes beside the checkpoint, and its options."""

from __future__ import annotations

import csv
import shutil
import sys
import types
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import lineage.bench.__main__ as bench
from lineage import train
from lineage.common.checkpoint import load_checkpoint
from lineage.data.shapes import write_shapes
from lineage.experiments.curves import read_curves


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    write_shapes(root, trainval=5, test=1, jobs=1)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(*arguments, app=train.app):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def options(pictures, cache, out):
    return [
        "faster_rcnn", "--data", pictures, "-o", out, "--backbone", "resnet18", "--weights", "none", "--steps", 2,
        "--cache", cache,
    ]  # fmt: skip


def refused(result, *words):
    assert result.exit_code == 1, result.output
    line = " ".join(result.output.split())
    assert line.startswith("error: ") and all(word in line for word in words), result.output
    assert "Traceback" not in result.output


def test_curves_lie_beside_the_checkpoint_also_of_a_model_that_was_found(pictures, cache, tmp_path):
    first = run(*options(pictures, cache, tmp_path / "new" / "m.safetensors"), "--validate-every", 1)
    assert first.exit_code == 0, first.output
    assert (
        "learns from train alone, 4 pictures; measured on val, 1" in first.output
        and "whose weights are kept" in first.output
    )
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"m.safetensors", "m.curves.csv", "m.curves.png"}
    with (tmp_path / "new" / "m.curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2"] and all(float(row["validation_map"]) >= 0 for row in rows)
    assert {"objectness", "rpn_regression", "classification", "regression", "learning_rate"} < rows[0].keys()
    columns = read_curves(tmp_path / "new" / "m.curves.csv")["Faster R-CNN: joint"]
    _, facts = load_checkpoint(tmp_path / "new" / "m.safetensors")
    assert columns["objectness"] == pytest.approx(facts["curves"]["objectness"], rel=1e-5)
    assert facts["wait_seconds"] > 0
    with Image.open(tmp_path / "new" / "m.curves.png") as picture:
        assert picture.width > 600
    again = run(*options(pictures, cache, tmp_path / "again.safetensors"), "--validate-every", 1, "--workers", 2)
    assert again.exit_code == 0 and (tmp_path / "again.curves.png").is_file()
    assert "mAP on val" not in again.output, "trained again"


def test_a_picture_that_a_worker_cannot_read_is_one_sentence(pictures, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("lineage.data.check.why_unreadable", lambda path: None)  # it went bad after the check
    shutil.copytree(pictures, tmp_path / "data")
    for path in (tmp_path / "data" / "JPEGImages").iterdir():
        path.write_bytes(path.read_bytes()[:2000])  # the header is whole
    for workers in (0, 2):
        result = run(*options(tmp_path / "data", cache, tmp_path / "m.safetensors"), "--workers", workers)
        refused(result, ".jpg: cannot be read as a picture")
        assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "m.safetensors").exists()


def test_what_is_asked_for_in_vain_is_said_before_any_work(pictures, cache, tmp_path, monkeypatch):
    command = options(pictures, tmp_path / "untouched", tmp_path / "m.safetensors")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    refused(
        run(*command, "--tensorboard", tmp_path / "tb"), "--tensorboard", "not installed", "pip install tensorboard"
    )
    refused(run("rcnn", *command[1:], "--validate-every", 2), "R-CNN detects by SVMs")
    refused(run(*command, "--keep", "best"), "--keep", "--validate-every")
    refused(run(*command, "--amp", "fp16"), "--amp", "bf16")
    refused(run("--amp", "fp16", app=bench.app), "--amp", "bf16")
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_every_number(pictures, cache, tmp_path, monkeypatch):
    written: dict[str, list] = {}
    closed = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            self.values = written.setdefault(Path(folder).name, [])
            assert Path(folder).parent == tmp_path / "tb" and purge_step == 1

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.values.append((name, step, value))

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    out = tmp_path / "m.safetensors"
    result = run(*options(pictures, cache, out), "--procedure", "alternating", "--tensorboard", tmp_path / "tb")
    assert result.exit_code == 0, result.output
    assert list(written) == [f"Faster R-CNN {step} of 4, {part}" for step, part in
                             ((1, "RPN"), (2, "detector"), (3, "RPN"), (4, "detector"))]  # fmt: skip
    curves = read_curves(tmp_path / "m.curves.csv")["Faster R-CNN 4/4: detector"]
    told = [value for name, _, value in written["Faster R-CNN 4 of 4, detector"] if name == "classification"]
    assert told == pytest.approx(curves["classification"], rel=1e-5) and len(told) == 2
    assert closed == [True] * 4


def test_the_benchmark_takes_the_same_options(monkeypatch):
    seen = []
    monkeypatch.setattr("lineage.bench.race.run", lambda experiment, *rest: seen.append(experiment) or {})
    run("--accumulate", 3, "--amp", "bf16", "--workers", 2, app=bench.app)
    assert [(one.accumulate, one.amp, one.workers) for one in seen] == [(3, "bf16", 2)]
