"""From a data set's name to trained detectors: what is cached, what is resumed, and what is counted."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time

import pytest
import torch
from typer.testing import CliRunner

import lineage.bench.__main__ as bench
from lineage.common import optimise
from lineage.common.checkpoint import load_checkpoint
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import GENERATIONS
from lineage.experiments.stopwatch import stopwatch
from lineage.experiments.training import model_key, train_alone

STEPS, INTERRUPTED_AT = 6, 4


def small(cache, **fields) -> Experiment:
    known = {
        "data": "shapes", "backbone": "tiny", "weights": None, "recipe": "quick", "cache": cache,
        "device": torch.device("cpu"), "steps": STEPS, "pretraining_crops": 96, "limit_pictures": (6, 3),
    }  # fmt: skip
    return Experiment(**{**known, **fields})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Shared where a test only adds to it: pictures and proposals are the same for all."""
    return tmp_path_factory.mktemp("cache")


def train(experiment: Experiment, generation: str, said: list[str] | None = None, seed: int = 0):
    return train_alone(experiment, generation, seed, said.append if said is not None else lambda line: None)


BOXES = [torch.tensor([[1.0, 2, 30, 40]]) for _ in range(6)]


def test_everything_that_changes_a_model_changes_its_key(cache):
    experiment = small(cache)
    dataset = experiment.training_set()
    changes = {
        "procedure": "alternating", "pretraining": False, "steps": 7, "pretraining_crops": 97, "recipe": "paper",
        "backbone": "alexnet", "changes": (("flip", False),),
    }  # fmt: skip
    others = [dataclasses.replace(experiment, **{name: value}) for name, value in changes.items()]
    others += [dataclasses.replace(others[-2], **{name: value})  # of published networks only
               for name, value in {"weights": "imagenet", "preprocessing": "caffe"}.items()]  # fmt: skip
    keys = {model_key(other, "faster_rcnn", 0, dataset, None) for other in (experiment, *others)}
    assert len(keys) == 1 + len(others)
    assert model_key(experiment, "faster_rcnn", 1, dataset, None) not in keys
    assert model_key(experiment, "fast_rcnn", 0, dataset, BOXES) not in keys
    elsewhere = dataclasses.replace(experiment, cache=cache / "other")
    assert model_key(elsewhere, "faster_rcnn", 0, dataset, None) == model_key(
        experiment, "faster_rcnn", 0, dataset, None
    )


def test_proposals_belong_to_the_key_of_those_who_take_them(cache):
    experiment = small(cache)
    dataset = experiment.training_set()
    moved = [boxes + 1 for boxes in BOXES]
    for generation in GENERATIONS:
        keys = {model_key(experiment, generation, 0, dataset, boxes) for boxes in (BOXES, moved)}
        assert len(keys) == (1 if generation == "faster_rcnn" else 2)


def test_a_copy_of_the_data_has_the_same_key_until_something_changes(cache, tmp_path):
    shapes = small(cache).training_set()
    shutil.copytree(shapes.root, tmp_path / "copy")
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"one")
    kind = {"backbone": "alexnet", "weights": str(weights)}
    first, second = (small(cache, data=str(root), **kind) for root in (shapes.root, tmp_path / "copy"))
    known = model_key(first, "rcnn", 0, first.training_set(), BOXES)

    def key() -> str:
        return model_key(second, "rcnn", 0, second.training_set(), BOXES)

    assert key() == known
    weights.write_bytes(b"two")
    assert key() != known
    weights.write_bytes(b"one")
    annotation = tmp_path / "copy" / "Annotations" / f"{shapes.ids[0]}.xml"
    text = annotation.read_text()
    annotation.write_text(text.replace("<difficult>0", "<pose>Left</pose><difficult>0") + "<!-- looked at again -->")
    assert key() == known, "what no target is made of"
    annotation.write_text(text.replace("<difficult>0", "<difficult>1"))
    assert key() != known
    annotation.write_text(text)
    assert key() == known
    copied = second.training_set()
    shutil.copyfile(copied.image_path(1), copied.image_path(0))
    assert key() != known


def test_corrected_annotations_make_a_new_model(cache, tmp_path):
    """The same pictures under other labels: the old model must not come back."""
    shutil.copytree(small(cache).training_set().root, tmp_path / "data")
    experiment = small(tmp_path / "cache", data=str(tmp_path / "data"))
    first = train(experiment, "fast_rcnn")
    for path in (tmp_path / "data" / "Annotations").glob("*.xml"):
        path.write_text(path.read_text().replace("<name>disk<", "<name>?<").replace("<name>square<", "<name>disk<")
                        .replace("<name>?<", "<name>square<"))  # fmt: skip
    second = train(experiment, "fast_rcnn")
    assert second != first
    before, after = (load_checkpoint(path)[0]["head.cls_score.weight"] for path in (first, second))
    assert not torch.equal(before, after)


def test_a_trained_model_is_found_again_and_its_pre_training_shared(cache):
    said: list[str] = []
    first = train(small(cache), "fast_rcnn", said)
    assert [line.split(",")[0] for line in said] == ["pre-train tiny", "Fast R-CNN"]
    written = first.stat().st_mtime_ns
    assert train(small(cache), "fast_rcnn", said) == first and first.stat().st_mtime_ns == written
    train(small(cache), "faster_rcnn", said)
    assert [line.split(",")[0] for line in said] == ["pre-train tiny", "Fast R-CNN", "Faster R-CNN"]
    assert not list((cache / "models").glob("*.work")) and not list((cache / "models").glob("*resume*"))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_interrupted_training_goes_on_and_ends_as_an_uninterrupted_one(generation, cache, tmp_path, monkeypatch):
    whole, _ = load_checkpoint(train(small(cache), generation))
    step, seen = optimise._step, []

    def interrupted(*args):
        seen.append(args)
        if len(seen) == STEPS + INTERRUPTED_AT:  # the pre-training's steps come first
            raise KeyboardInterrupt
        return step(*args)

    experiment = small(tmp_path)
    monkeypatch.setattr(optimise, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, generation)
    assert list((tmp_path / "models").glob(f"{generation}-*.work")), "what was done is gone"
    assert not list((tmp_path / "models").glob(f"{generation}-*.safetensors")), "half a model"
    seen.clear()
    path = train(experiment, generation)
    assert len(seen) == STEPS - INTERRUPTED_AT + 1  # and the pre-training is not repeated
    resumed, facts = load_checkpoint(path)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert facts["steps"] == STEPS


def test_seconds_of_interrupted_runs_are_added_up(tmp_path):
    kept = tmp_path / "work" / "seconds"
    with pytest.raises(KeyboardInterrupt), stopwatch(kept):
        time.sleep(0.05)
        raise KeyboardInterrupt
    with stopwatch(kept) as seconds_so_far:
        assert seconds_so_far() >= 0.05
    assert not [path for path in kept.parent.iterdir() if path != kept]


@pytest.mark.parametrize("content", ["", "12", "{", '{"seconds": "x"}', '{"seconds": 5.0}'])
def test_seconds_that_were_damaged_count_from_now(tmp_path, content):
    (tmp_path / "seconds").write_text(content)
    with stopwatch(tmp_path / "seconds") as seconds_so_far:
        assert 0 <= seconds_so_far() < 5


def test_the_seconds_of_a_run_that_was_killed_count_up_to_what_it_last_wrote(tmp_path):
    (tmp_path / "seconds").write_text(json.dumps({"seconds": 5.0, "since": 1e9}))
    os.utime(tmp_path / "seconds", (1e9, 1e9))
    (tmp_path / "state").touch()
    os.utime(tmp_path / "state", (1e9 + 60, 1e9 + 60))
    with stopwatch(tmp_path / "seconds") as seconds_so_far:
        assert 65 <= seconds_so_far() < 75


def test_a_run_writes_every_number_and_a_second_one_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "QUICK_CHECK", {"steps": 2, "pretraining_crops": 96, "limit_pictures": (4, 2)})
    command = ["--quick-check", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--seeds", "2"]
    first = CliRunner().invoke(bench.app, command)
    assert first.exit_code == 0, first.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "report.md", "lineage.png"}
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["generations"]) == list(GENERATIONS) and results["seeds"] == [0, 1]
    for row in results["generations"].values():
        assert len(row["map_values"]) == 2 and row["train_steps"] == 2 and row["train_pictures"] == 8
        assert row["ms_per_image"] > row["ms_per_image_without_proposals"] > 0
        assert row["flops_by_phase"]["features"] > 0 and row["heavy_flops_per_second"] > 0
    assert results["generations"]["rcnn"]["speedup_with_proposals"] == 1
    assert results["generations"]["rcnn"]["cache_bytes"] > 0 == results["generations"]["fast_rcnn"]["cache_bytes"]
    monkeypatch.setattr(optimise, "_step", lambda *args: pytest.fail("trained again"))
    second = CliRunner().invoke(bench.app, command)
    assert second.exit_code == 0, second.output
    again = json.loads((tmp_path / "out" / "results.json").read_text())
    for name, row in again["generations"].items():
        assert row["map_values"] == results["generations"][name]["map_values"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--generations", "rcnn,yolo"], "--generations: yolo is none of rcnn"),
        (["--generations", ","], "--generations: nothing is none of"),
        (["--backbone", "vgg17"], "--backbone: 'vgg17' is none of tiny"),
        (["--recipe", "slow"], "--recipe: 'slow' is none of"),
        (["--procedure", "5-step"], "--procedure: '5-step' is none of joint"),
        (["--device", "tpu"], "--device: 'tpu' is none of"),
        (["--data", "no/such/folder"], "no/such/folder"),
    ],
)
def test_a_wrong_option_is_one_line_and_a_non_zero_exit(options, message, tmp_path):
    result = CliRunner().invoke(bench.app, [*options, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")])
    assert result.exit_code == 1
    assert result.output.startswith("error: ") and len(result.output.strip().splitlines()) == 1, result.output
    assert message in result.output
    assert not (tmp_path / "out").exists()
