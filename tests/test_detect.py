"""python -m lineage.detect, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import CLASSES, save_tiny, tiny_detector
from typer.testing import CliRunner

from lineage import detect
from lineage.experiments.generations import GENERATIONS


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: save_tiny(folder / f"{name}.safetensors", name, data="pets") for name in GENERATIONS}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path: Path, height: int = 60, width: int = 90, **options) -> Path:
    """Two blocks on a noisy ground."""
    pixels = np.random.default_rng(0).integers(0, 60, (height, width, 3), dtype=np.uint8)
    pixels[height // 5 : height // 2, width // 8 : width // 2, 0] += 180
    pixels[height // 2 :, width // 2 : width * 7 // 8, 1] += 180
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def run(*arguments, code: int = 0) -> str:
    """The output, with its lines joined."""
    result = CliRunner().invoke(detect.app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def refused(*arguments, words: tuple[str, ...]) -> None:
    output = " ".join(run(*arguments, code=1).split())
    assert "error: " in output and all(word in output for word in words), output


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_detects_in_a_folder_of_usual_and_unusual_pictures(generation, models, here):
    picture(here / "in" / "a" / "x.png")
    picture(here / "in" / "one.png", 1, 1)
    picture(here / "in" / "line.png", 300, 1)
    Image.new("RGB", (200, 150), "grey").save(here / "in" / "uniform.bmp")
    (here / "in" / "zero.jpg").touch()
    output = run(
        generation, "in", "-o", "out", "--model", models[generation], "--score", -5, "--json", "r.json", code=1
    )
    assert "error: 1 of 5 files could not be read: in/zero.jpg" in output
    entries = {entry["file"]: entry["detections"] for entry in json.loads(Path("r.json").read_text())}
    assert entries.keys() == {"in/a/x.png", "in/line.png", "in/one.png", "in/uniform.bmp"}
    (expected,) = tiny_detector(generation)(
        [torch.from_numpy(np.asarray(Image.open("in/a/x.png"))).permute(2, 0, 1) / 255]
    )
    assert len(expected["boxes"]) > 5
    found = entries["in/a/x.png"]
    assert [one["label"] for one in found] == [CLASSES[label - 1] for label in expected["labels"].tolist()]
    assert torch.allclose(torch.tensor([one["box"] for one in found]), expected["boxes"], atol=1e-3)
    assert np.asarray(Image.open("out/a/x.png")).shape == (60, 90, 3)
    assert np.asarray(Image.open("out/one.png")).shape == (1, 1, 3)


def test_one_picture_shows_its_stages_and_its_boxes_in_the_pictures_pixels(models, here):
    picture(here / "x.jpg")
    output = run(
        "faster_rcnn", "x.jpg", "-o", "out.jpg", "--model", models["faster_rcnn"], "--score", 0.3, "--csv", "r.csv"
    )
    assert "roi pool" in output and "written: out.jpg, r.csv" in output
    rows = [line.split(",") for line in Path("r.csv").read_text().splitlines()[1:]]
    assert len(rows) > 1
    for _, _, label, score, *box in rows:
        assert f"{label:<14} {float(score):6.3f}  {' '.join(f'{float(value):.0f}' for value in box)}" in output


def test_boxes_are_those_of_the_upright_picture(models, here):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    upright = picture(here / "upright.png")
    Image.open(upright).transpose(Image.Transpose.ROTATE_90).save("lying.png", exif=exif)
    assert Image.open("lying.png").size == (60, 90)
    options = ["--model", models["faster_rcnn"], "--score", 0.2, "-o", "out", "--json", "r.json"]
    run("faster_rcnn", "upright.png", "lying.png", *options)
    first, second = json.loads(Path("r.json").read_text())
    assert first["detections"] and first["detections"] == second["detections"]
    assert Image.open("out/lying.png").size == Image.open("out/upright.png").size == (90, 60)


def test_only_the_classes_asked_for(models, here):
    picture(here / "x.jpg")
    options = ["--model", models["faster_rcnn"], "--score", 0, "--json", "r.json"]
    run("faster_rcnn", "x.jpg", *options)
    everything = json.loads(Path("r.json").read_text())[0]["detections"]
    output = run("faster_rcnn", "x.jpg", *options, "--classes", "dog, cow")
    found = json.loads(Path("r.json").read_text())[0]["detections"]
    assert found == [one for one in everything if one["label"] in ("dog", "cow")] and 0 < len(found) < len(everything)
    assert "are of the classes asked for" in output and not Path("detections.png").exists()
    refused("faster_rcnn", "x.jpg", *options, "--classes", "horse", words=("--classes: 'horse'", "cat, dog, cow"))


def test_the_default_least_score_is_a_half_and_for_margins_zero(models, here):
    picture(here / "x.jpg")
    for generation, least in (("rcnn", 0.0), ("faster_rcnn", 0.5)):
        run(generation, "x.jpg", "--model", models[generation], "--json", "default.json")
        run(generation, "x.jpg", "--model", models[generation], "--json", "said.json", "--score", least)
        assert Path("default.json").read_text() == Path("said.json").read_text()
        assert all(one["score"] >= least for one in json.loads(Path("said.json").read_text())[0]["detections"])


def test_a_model_says_what_it_is_and_one_of_drawings_that_photographs_are_not_for_it(models, here):
    picture(here / "x.jpg")
    output = run("faster_rcnn", "x.jpg", "--model", models["faster_rcnn"], "--json", "r.json")
    assert "faster_rcnn.safetensors: Faster R-CNN on tiny, trained on pets; knows cat, dog, cow" in output
    assert "photographs" not in output
    drawn = save_tiny(here / "drawn.safetensors", classes=("disk", "star"), data="shapes")
    output = run("faster_rcnn", "x.jpg", "--model", drawn, "--json", "r.json")
    told = "this model was trained on drawn shapes and knows disk, star: on photographs its boxes mean nothing"
    assert told in output and output.index(told) < output.index("stage ")
    assert detect.introduction({"data": "shapes", "classes": ["disk"]}, None) == [
        "this model was trained on drawn shapes and knows disk: on photographs its boxes mean nothing; train your own "
        "(python -m lineage.train) or give --model"
    ]
    (line,) = detect.introduction(
        {"classes": [f"c{i}" for i in range(30)], "generation": "rcnn", "backbone": "zf"}, drawn
    )
    assert "trained on data that it does not name" in line and line.endswith("c19 ... and 10 more")


def test_without_a_model_the_quick_one_is_taken(here, monkeypatch):
    picture(here / "x.jpg")
    quick = save_tiny(here / "quick.safetensors", data="shapes")
    asked = []
    monkeypatch.setattr("lineage.experiments.training.train_alone", lambda *rest: asked.append(rest[1:3]) or quick)
    monkeypatch.setattr("lineage.experiments.pretrained.FOLDER", here / "none")
    assert "or give --model" in run("faster_rcnn", "x.jpg", "--json", "r.json", "--cache", here)
    assert asked == [("faster_rcnn", 0)]


def test_the_model_that_comes_with_the_project_is_taken_unless_the_quick_one_is_asked_for(here, monkeypatch):
    picture(here / "x.jpg")
    quick = save_tiny(here / "quick.safetensors", data="shapes")
    monkeypatch.setattr("lineage.experiments.training.train_alone", lambda *rest: quick)
    monkeypatch.setattr("lineage.experiments.pretrained.FOLDER", here)
    save_tiny(here / "voc2007-faster_rcnn.safetensors", classes=("cat", "dog"), data="VOC2007 trainval")
    said = run("faster_rcnn", "x.jpg", "--json", "r.json")
    assert said.startswith("voc2007-faster_rcnn.safetensors: ")
    assert "trained on VOC2007 trainval; knows cat, dog" in said
    assert "drawn shapes" in run("faster_rcnn", "x.jpg", "--json", "r.json", "--model", "shapes", "--cache", here)


def test_a_wrong_argument_is_one_sentence_and_nothing_is_written(models, here, monkeypatch):
    monkeypatch.setenv("LINEAGE_MAX_MEGAPIXELS", "100")  # and back, where --max-megapixels changes it
    x, model = picture(here / "x.jpg"), models["faster_rcnn"]
    torch.save({"x": torch.zeros(3)}, "other.pth")
    before = sorted(path.name for path in here.iterdir())
    for arguments, words in (
        (["faster_rcnn", "none.jpg"], ("none.jpg: no such picture",)),
        (["faster_rcnn", x, "x.jpg", "-o", "x.jpg"], ("written over what is read",)),
        (["faster_rcnn", x, "--model", "other.pth"], ("other.pth: not a lineage checkpoint but a pickle",)),
        (["faster_rcnn", x, "--model", x], ("x.jpg: damaged or not a lineage checkpoint",)),
        (["rcnn", x, "--model", model], ("generation is 'faster_rcnn', but 'rcnn' is wanted",)),
        (["yolo", x], ("GENERATION", "'yolo'")),
        (["faster_rcnn", x, "--device", "tpu"], ("--device: 'tpu' is none of auto, cpu, cuda",)),
        (["faster_rcnn", x, "--frames", 3], ("--frames is for videos and cameras",)),
        (["faster_rcnn"], ("give pictures, folders, patterns or videos, or else --camera",)),
        (["faster_rcnn", x, "--model", model, "--max-megapixels", 0.001], ("x.jpg: 90 x 60", "--max-megapixels")),
    ):
        refused(*arguments, words=words)
    assert sorted(path.name for path in here.iterdir()) == before


def test_a_name_that_the_terminal_cannot_print_stops_nothing(here, models):
    picture(here / "x.jpg")
    path = save_tiny(here / "m.safetensors", classes=("猫", "dog", "cow"))
    command = [sys.executable, "-m", "lineage.detect", "faster_rcnn", "x.jpg", "--model", str(path), "--json", "r.json"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"knows \\u732b, dog, cow" in done.stdout
