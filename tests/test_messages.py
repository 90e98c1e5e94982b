"""What people do wrong, or their machines, ends in one sentence and not in a traceback."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_models import save_tiny
from typer.testing import CliRunner

from lineage import check, convert, detect, evaluate, train
from lineage.bench.__main__ import app as bench
from lineage.common.checkpoint import load_checkpoint, save_checkpoint
from lineage.experiments.options import default_cache

ODD = "[/x] :cat: 猫"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run(app, *arguments, code: int = 0) -> str:
    """The output, with its lines joined."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def voc(root: Path, name: str) -> Path:
    """A data set of two pictures with an object of the class each."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for picture in ("a", "b"):
        cv2.imwrite(str(root / "JPEGImages" / f"{picture}.png"), np.zeros((60, 90, 3), np.uint8))
        box = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>50</xmax><ymax>50</ymax></bndbox>"
        (root / "Annotations" / f"{picture}.xml").write_text(
            f"<annotation><object><name>{name}</name>{box}</object></annotation>", encoding="utf-8"
        )
        (root / "ImageSets" / "Main" / f"{'trainval' if picture == 'a' else 'test'}.txt").write_text(f"{picture}\n")
    return root


def test_names_are_printed_as_they_are(here):
    """Neither as rich's markup nor as its pictures."""
    data = voc(here / ODD, ODD)
    model = save_tiny(here / f"{ODD}.safetensors", classes=(ODD,))
    assert ODD in run(check.app, data)
    assert ODD in run(evaluate.app, model, "--data", data, "-o", here / "out")
    assert ODD in run(convert.app, data, here / f"{ODD} coco", "--to", "coco")
    assert ODD in run(detect.app, "faster_rcnn", data / "JPEGImages", "--model", model, "--json", here / f"{ODD}.json")
    assert ODD in run(train.app, "fast_rcnn", "--recipe", ODD, code=1)


@pytest.mark.parametrize(
    "module", ["train", "detect", "evaluate", "check", "convert", "bench", "course", "course grade"]
)
def test_a_terminal_without_an_alphabet_gets_escapes(module):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", *f"lineage.{module}".split(), "--help"]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0 and b"Usage" in done.stdout and not done.stderr
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    ("app", "arguments"),
    [
        (bench, ("--seeds", 10**9)), (bench, ("--steps", 10**12)), (train.app, ("fast_rcnn", "--seed", 10**30)),
        (train.app, ("fast_rcnn", "--steps", 10**12)), (train.app, ("rcnn", "--proposals", 10**12)),
        (train.app, ("fast_rcnn", "--workers", 10**6)), (train.app, ("fast_rcnn", "--accumulate", 10**9)),
    ],
)  # fmt: skip
def test_numbers_that_no_machine_can_serve_are_refused(app, arguments):
    assert f"Invalid value for '{arguments[-2]}'" in run(app, *arguments, code=2)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"images": [{"id": ' + "9" * 5000 + "}]}", "{", "", "\0", "\ud800"])
def test_json_of_any_kind_is_refused_by_name(here, text):
    (here / "set").mkdir()
    (here / "set" / "_annotations.coco.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    said = run(check.app, here / "set", code=1)
    assert "_annotations.coco.json" in said and "Traceback" not in said


def test_whoever_has_no_home_is_told_what_to_give(here, monkeypatch):
    monkeypatch.delenv("LINEAGE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)

    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ValueError, match=r"no home folder.*--cache or \$LINEAGE_CACHE"):
        default_cache()
    assert "give --cache or $LINEAGE_CACHE a folder" in run(train.app, "fast_rcnn", code=1)


FULL = """
import resource, torch
from pathlib import Path
from lineage.common.checkpoint import save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    save_checkpoint(Path("model.safetensors"), {"x": torch.zeros(100_000)}, {})
except OSError as error:
    print(error)
"""


def test_a_disk_without_room_is_said_and_nothing_half_written_stays(here):
    save_checkpoint(here / "model.safetensors", {"x": torch.ones(3)}, {})
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True)
    assert done.stderr == "" and "model.safetensors: cannot be written: " in done.stdout, done
    assert [path.name for path in here.iterdir()] == ["model.safetensors"]
    assert torch.equal(load_checkpoint(here / "model.safetensors")[0]["x"], torch.ones(3))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("classes", 3, "classes is 3, not a list"),
        ("classes", ["cat", 3, "cow"], r"classes[1] is 3, not a text"),
        ("generation", "yolo", "'yolo'"),
        ("backbone", ["tiny"], "backbone is ['tiny'], not a text"),
        ("preprocessing", {"mean": [0, 0], "std": [1, 1, 1]}, "preprocessing.mean is [0, 0], not 3 values"),
        ("recipe", [1], "recipe is [1], not an object"),
        ("recipe", {"nms_iou": "a lot"}, "recipe.nms_iou is 'a lot', not a number"),
        ("recipe", {"max_detections": 2.5}, "recipe.max_detections is 2.5, not a whole number"),
        ("recipe", {"max_detections": 0}, "recipe: max_detections 0 is not in 1"),
        ("recipe", {"shorter": -600}, "recipe: shorter -600 is not in 1"),
        ("recipe", {"flop": True}, "recipe.flop is no field"),
        ("recipe", {"rpn": {"dilation": 0}}, "recipe: dilation 0 is not in 1"),
    ],
)
def test_a_checkpoint_that_says_nonsense_of_itself_is_refused_on_loading(here, field, value, message):
    path = save_tiny(here / "model.safetensors")
    state, facts = load_checkpoint(path)
    merged = {**facts[field], **value} if field == "recipe" and isinstance(value, dict) else value
    save_checkpoint(path, state, json.loads(json.dumps({**facts, field: merged})))
    cv2.imwrite("x.png", np.zeros((60, 90, 3), np.uint8))
    said = run(detect.app, "faster_rcnn", "x.png", "--model", path, code=1)
    assert "model.safetensors: " in said and message in said


@pytest.mark.parametrize("facts", [3, [1], "x", None])
def test_facts_that_are_no_facts_are_refused(here, facts):
    save_checkpoint("model.safetensors", {"x": torch.zeros(3)}, facts)
    said = run(evaluate.app, "model.safetensors", code=1)
    assert f"model.safetensors: its header says {facts!r} where facts by name are expected" in said
