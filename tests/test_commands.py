"""python -m lineage.train, .evaluate and .detect, one after the other as a user would."""

from __future__ import annotations

import json

import cv2
import pytest
from typer.testing import CliRunner

from lineage import convert, detect, evaluate, train
from lineage.data.records import Object, Picture, Records
from lineage.data.shapes import write_shapes
from lineage.data.yolo import write_yolo


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    write_shapes(root, trainval=5, test=2, jobs=1)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(app, *arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(pictures, cache, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "new folder" / "fast.safetensors"
    result = run(
        train.app, "fast_rcnn", "--data", pictures, "-o", path, "--backbone", "resnet18", "--weights", "none",
        "--steps", 2, "--proposals", 40, "--cache", cache,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert {one.name for one in path.parent.iterdir()} == {path.name, "fast.curves.csv", "fast.curves.png"}
    return path


def test_a_trained_model_is_evaluated_class_by_class(model, pictures, cache):
    result = run(evaluate.app, model, "--data", pictures, "--cache", cache)
    assert result.exit_code == 0, result.output
    assert "AP 11-point" in result.output and "COCO: " in result.output and "mean" in result.output


def test_a_trained_model_draws_what_it_finds(model, pictures, cache, tmp_path):
    picture = next((pictures / "JPEGImages").glob("test_*.jpg"))
    out = tmp_path / "out.png"
    result = run(detect.app, "fast_rcnn", picture, "-o", out, "--model", model, "--score", 0, "--cache", cache)
    assert result.exit_code == 0, result.output
    assert "roi pool" in result.output and "written" in result.output
    assert cv2.imread(str(out)).shape[2] == 3


def refused(result, *words):
    assert result.exit_code == 1, result.output
    line = " ".join(result.output.split())
    assert "error: " in line and all(word in line for word in words), result.output


def test_a_wrong_argument_is_one_message_and_nothing_written(model, pictures, cache, tmp_path):
    picture, out = next((pictures / "JPEGImages").glob("*.jpg")), tmp_path / "out.png"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(picture.read_bytes()[:200])
    refused(run(detect.app, "fast_rcnn", broken, "-o", out, "--model", model), "broken.jpg")
    refused(run(detect.app, "fast_rcnn", tmp_path / "none.jpg", "-o", out, "--model", model), "none.jpg")
    refused(run(detect.app, "rcnn", picture, "-o", out, "--model", model), "fast.safetensors", "generation")
    refused(run(detect.app, "rcnn", picture, "-o", out, "--model", picture), picture.name)
    refused(run(detect.app, "yolo", picture, "-o", out, "--model", model), "GENERATION", "'yolo'")
    refused(run(evaluate.app, model, "--data", pictures, "--split", "nope", "--cache", cache), "nope")
    refused(run(evaluate.app, model, "--data", tmp_path / "empty", "--cache", cache), "empty")
    refused(run(train.app, "yolo", "--data", pictures), "GENERATION", "'yolo'")
    assert not out.exists()


def test_a_c_library_that_cannot_be_told_to_keep_memory_does_not_matter(monkeypatch, pictures, cache):
    monkeypatch.setattr("lineage.cli.ctypes.CDLL", lambda name: object())
    result = run(evaluate.app, pictures / "missing.safetensors", "--data", pictures, "--cache", cache)
    assert result.exit_code == 1 and "missing.safetensors" in result.output


def test_files_of_detections_are_evaluated_like_the_detector_that_wrote_them(pictures, model, cache, tmp_path):
    first = run(evaluate.app, model, "--data", pictures, "--cache", cache, "-o", tmp_path / "new" / "out")
    assert first.exit_code == 0, first.output
    out = tmp_path / "new" / "out"
    names = {path.name for path in out.iterdir()}
    assert {"coco_ground_truth.json", "coco_results.json", "errors.png"} < names
    assert sum(name.startswith("comp4_det_test_") for name in names) == 6
    assert "missed" in first.output and "Hoiem 2012" in first.output
    for files in (out, out / "coco_results.json"):
        again = run(evaluate.app, files, "--data", pictures, "--cache", cache)
        assert again.exit_code == 0, again.output
        table = first.output[first.output.index("mean") : first.output.index("written")]
        assert again.output[again.output.index("mean") :].split() == table.split()


def mean_of(result):
    assert result.exit_code == 0, result.output
    return next(line.split()[3] for line in result.output.splitlines() if "mean" in line)


def test_coco_results_are_placed_by_their_ground_truth(pictures, model, cache, tmp_path):
    options = ["--data", pictures, "--split", "trainval", "--cache", cache]
    assert run(evaluate.app, model, *options, "-o", tmp_path / "out").exit_code == 0
    written, beside = tmp_path / "out" / "coco_ground_truth.json", tmp_path / "out" / "mine.json"
    document = json.loads(written.read_text())
    entries = [{**one, "score": 0.5} for one in document["annotations"] if not one["iscrowd"]]
    beside.write_text(json.dumps(entries))
    assert mean_of(run(evaluate.app, beside, *options)) == "100.0", "the ground truth lies beside it"
    for one in entries:
        one["image_id"], one["category_id"] = 6 - one["image_id"], 7 - one["category_id"]  # 1..5 and 1..6 all the same
    results, truth = tmp_path / "results.json", tmp_path / "truth.json"
    results.write_text(json.dumps(entries))
    refused(run(evaluate.app, results, *options), "results.json: entry 0: image_id is", "--ground-truth")
    for one in document["images"] + document["categories"]:
        one["id"] = (6 if "file_name" in one else 7) - one["id"]
    truth.write_text(json.dumps(document))
    assert mean_of(run(evaluate.app, results, *options, "--ground-truth", truth)) == "100.0"
    assert mean_of(run(evaluate.app, beside, *options, "--ground-truth", truth)) != "100.0", "what is said counts"
    refused(
        run(evaluate.app, tmp_path / "out", *options, "--ground-truth", truth), "--ground-truth: is for COCO results"
    )
    other = ["--data", pictures, "--split", "test", "--cache", cache]
    refused(run(evaluate.app, results, *other, "--ground-truth", truth), "none of the split's pictures")


def test_coco_results_of_the_datas_own_json_need_no_other(pictures, cache, tmp_path):
    assert run(convert.app, pictures, tmp_path / "coco", "--to", "coco").exit_code == 0
    truth = json.loads((tmp_path / "coco" / "annotations" / "instances_test.json").read_text())
    entries = [{**one, "score": 0.5} for one in truth["annotations"] if not one["iscrowd"]]
    (tmp_path / "r.json").write_text(json.dumps(entries))
    result = run(evaluate.app, tmp_path / "r.json", "--data", tmp_path / "coco", "--cache", cache)
    assert mean_of(result) == "100.0"
    for one in entries:
        x, y, width, height = one["bbox"]
        one["bbox"] = [x, y, x + width, y + height]
    (tmp_path / "r.json").write_text(json.dumps(entries))
    result = run(evaluate.app, tmp_path / "r.json", "--data", tmp_path / "coco", "--cache", cache)
    assert result.exit_code == 0 and "none would if bbox were x1, y1, x2, y2" in " ".join(result.output.split())


def test_any_class_name_can_be_evaluated(pictures, cache, tmp_path):
    picture = next((pictures / "JPEGImages").glob("*.jpg"))
    names = ("w/o mask", "[/nut]", "螺栓: M6?")
    objects = tuple(Object(name, (10.0, 10.0, 60.0, 60.0 + i)) for i, name in enumerate(names))
    records = Records(names, {"cam1/p.v1": Picture(picture, 320, 240, objects)}, {"night": ("cam1/p.v1",)})
    (tmp_path / "yolo").mkdir()
    write_yolo(records, tmp_path / "yolo")
    box = "0.5 11 11 60 60\n"
    for file in ("w%2Fo mask", "[%2Fnut]", "螺栓%3A M6%3F"):
        (tmp_path / f"comp4_det_night_{file}.txt").write_text(f"cam1/p.v1 {box}", encoding="utf-8")
    result = run(evaluate.app, tmp_path, "--data", tmp_path / "yolo", "--split", "night", "--cache", cache)
    assert mean_of(result) == "100.0" and all(name in result.output for name in names)


def test_files_of_detections_for_other_pictures_are_refused(pictures, model, cache, tmp_path):
    run(evaluate.app, model, "--data", pictures, "--split", "trainval", "--cache", cache, "-o", tmp_path)
    result = run(evaluate.app, tmp_path, "--data", pictures, "--cache", cache)
    assert result.exit_code == 1 and "comp4_det_test_" in result.output


def test_your_own_classes_and_augmentation_are_kept_in_the_checkpoint(pictures, cache, tmp_path):
    from lineage.common.augment import Augmentation
    from lineage.experiments.checkpoints import load_detector

    options = ["--steps", 1, "--proposals", 40, "--cache", cache, "--backbone", "resnet18", "--weights", "none"]
    names = "ring,cross,disk,square,star,triangle,nothing"
    path = tmp_path / "m.safetensors"
    result = run(
        train.app, "fast_rcnn", "--data", pictures, "-o", path, *options, "--classes", names,
        "--colour-jitter", 0.2, "--scale-jitter", 1.2, "--vertical-flip",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    detector, facts = load_detector(path)
    assert ",".join(facts["classes"]) == names and detector.recipe.augmentation == Augmentation(0.2, 1.2, True)
    assert facts["preprocessing"]["mean"] == list(detector.backbone.mean)
    for wrong, message in (("wring", "no picture has an object of 'wring'"), ("ring,,cross", "has an empty name")):
        result = run(train.app, "fast_rcnn", "--data", pictures, "-o", path, *options, "--classes", wrong)
        assert result.exit_code == 1 and message in " ".join(result.output.split())
    result = run(train.app, "fast_rcnn", "--data", pictures, *options, "--scale-jitter", 9)
    assert result.exit_code == 1 and "scale 9 is not in 1..4" in result.output
