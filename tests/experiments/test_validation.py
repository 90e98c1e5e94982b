"""Measuring while learning: on what, what is kept, what it must not change, and who has nothing to measure."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from lineage.common import optimise
from lineage.common.checkpoint import load_checkpoint
from lineage.experiments import validation
from lineage.experiments.checkpoints import load_detector
from lineage.experiments.curves import curves_file
from lineage.experiments.detections import evaluate_detector
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import GENERATIONS
from lineage.experiments.options import make_experiment, usual_workers
from lineage.experiments.training import model_key, region_proposals, train_alone
from lineage.experiments.validation import HeldOut

STEPS = 5


def small(cache: Path, **fields) -> Experiment:
    known = {
        "data": "shapes", "backbone": "tiny", "weights": None, "recipe": "quick", "cache": cache,
        "device": torch.device("cpu"), "steps": STEPS, "pretraining": False, "limit_pictures": (10, 2), "proposals": 40,
    }  # fmt: skip
    return Experiment(**{**known, **fields})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def scores(monkeypatch):
    """What is measured, one after the other, instead of a mAP that means nothing after five steps."""
    waiting: list[float] = []
    real = validation.evaluate_detector

    def told(*arguments):
        result, detections = real(*arguments)
        return dataclasses.replace(result, map=waiting.pop(0)), detections

    monkeypatch.setattr(validation, "evaluate_detector", told)
    return waiting


def learn(experiment, generation="fast_rcnn", said=None):
    path = train_alone(experiment, generation, 0, said.append if said is not None else lambda line: None)
    return path, *load_checkpoint(path)


def test_the_best_weights_are_kept_and_all_is_told(cache, scores):
    scores[:] = [0.25, 0.75, 0.5]  # after 2, 4 and 5 steps
    said = []
    path, state, facts = learn(small(cache, validate_every=2), said=said)
    assert facts["validation"]["map"] == [[2, 0.25], [4, 0.75], [5, 0.5]]
    assert (facts["validation"]["kept_step"], facts["validation"]["kept_map"]) == (4, 0.75)
    assert (
        "train alone, 8 pictures; measured on val, 2" in said[0]
        and "mAP on val 0.750 after step 4, whose weights are kept" in said[1]
    )
    scores[:] = [0.25, 0.5, 0.75]
    last_path, last, facts = learn(small(cache, validate_every=2, keep="last"))
    assert facts["validation"]["kept_step"] == STEPS and last_path != path
    assert not torch.equal(state["head.cls_score.weight"], last["head.cls_score.weight"])
    with curves_file(path).open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["procedure", "step", "learning_rate", "classification", "regression", "validation_map"]
    assert [(row["step"], row["validation_map"]) for row in rows] == [
        ("1", ""), ("2", "0.25"), ("3", ""), ("4", "0.75"), ("5", "0.5"),
    ]  # fmt: skip
    assert [float(row["classification"]) for row in rows] == pytest.approx(facts["curves"]["classification"], rel=1e-5)


@pytest.mark.parametrize("generation", ["fast_rcnn", "faster_rcnn"])
def test_measuring_changes_no_number(tmp_path, generation):
    """The same weights as of a training on "train" that nobody looked at; what is told is the mAP that they have."""
    experiment = small(tmp_path / "seen", validate_every=2, keep="last")
    path, state, facts = learn(experiment, generation)
    alone, unseen, _ = learn(small(tmp_path / "alone", validate=True), generation)
    assert path.name == alone.name, "whoever looks on changes no key"
    assert all(torch.equal(tensor, unseen[name]) for name, tensor in state.items())
    said = []
    learn(small(tmp_path / "alone", validate_every=2, keep="last"), generation, said)
    assert "with nobody measuring" in said[-1]
    val = experiment.validation_set(tuple(facts["classes"]))
    given = None if generation == "faster_rcnn" else region_proposals(experiment, val)
    again, _ = evaluate_detector(load_detector(path)[0], val, given, "again")
    assert facts["validation"]["map"][-1] == [STEPS, again.map]


def test_an_interrupted_training_keeps_the_same_best(cache, tmp_path, scores, monkeypatch):
    every = [0.25, 0.5, 0.75, 0.5, 0.25]
    scores[:] = list(every)
    _, whole, expected = learn(small(tmp_path / "whole", validate_every=1))
    step, seen = optimise._step, []

    def interrupted(*arguments):
        seen.append(1)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(optimise, "_step", interrupted)
    scores[:] = list(every)
    with pytest.raises(KeyboardInterrupt):
        learn(small(tmp_path, validate_every=1))
    _, state, facts = learn(small(tmp_path, validate_every=1))
    assert facts["validation"]["map"] == expected["validation"]["map"] and facts["validation"]["kept_step"] == 3
    assert all(torch.equal(tensor, whole[name]) for name, tensor in state.items())


def test_of_the_four_steps_the_last_is_measured(cache, scores):
    scores[:] = [0.5, 0.25, 0.125]
    path, _, facts = learn(small(cache, validate_every=2, procedure="alternating"), "faster_rcnn")
    assert scores == [] and facts["validation"]["kept_step"] == 2
    with curves_file(path).open() as file:
        measured = [row["procedure"] for row in csv.DictReader(file) if row["validation_map"]]
    assert measured == ["Faster R-CNN 4/4: detector"] * 3


def test_every_module_is_in_the_mode_that_it_was_in():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.Dropout()))
    model.train()
    model[1].eval()
    with pytest.raises(KeyboardInterrupt), validation._evaluating(model):
        assert not any(module.training for module in model.modules())
        raise KeyboardInterrupt
    assert [module.training for module in model.modules()] == [True, True, False, False]


@pytest.mark.parametrize("generation", ["rcnn", "sppnet"])
def test_who_detects_by_svms_has_nothing_to_measure(generation, tmp_path):
    with pytest.raises(ValueError, match=r"--validate-every: .*detects by SVMs, which are fitted after"):
        learn(small(tmp_path, validate_every=2), generation)
    with pytest.raises(ValueError, match="--validate-every: an RPN alone"):
        learn(small(tmp_path, validate_every=2, procedure="rpn"), "faster_rcnn")
    assert list(tmp_path.iterdir()) == [], "said before any work"


def test_data_without_val_is_one_sentence(cache, tmp_path):
    shutil.copytree(small(cache).training_set().root, tmp_path / "data")
    (tmp_path / "data" / "ImageSets" / "Main" / "val.txt").unlink()
    with pytest.raises(
        ValueError, match=r"--validate-every learns from the split train and measures on val: .*val\.txt"
    ):
        learn(small(tmp_path, data=str(tmp_path / "data"), validate_every=2))


def test_the_best_weights_are_not_chosen_on_the_pictures_of_the_test(cache):
    with pytest.raises(ValueError, match="voc2012 is tested on val"):
        learn(small(cache, data="voc2012", validate_every=2))


def test_a_split_on_which_nothing_counts_is_one_sentence(cache, tmp_path):
    shutil.copytree(small(cache).training_set().root, tmp_path / "data")
    for name in (tmp_path / "data" / "ImageSets" / "Main" / "val.txt").read_text().split():
        path = tmp_path / "data" / "Annotations" / f"{name}.xml"
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    with pytest.raises(ValueError, match=r"--validate-every: .*data: no object of the split val counts"):
        learn(small(tmp_path, data=str(tmp_path / "data"), validate_every=2), "faster_rcnn")


def test_the_key_knows_what_changes_numbers_and_nothing_else(cache):
    plain = small(cache, validate_every=2)
    train = plain.training_set()
    held_out = HeldOut(plain.validation_set(train.classes), None)

    def key(**changes):
        experiment = dataclasses.replace(plain, **changes)
        return model_key(experiment, "faster_rcnn", 0, train, None, changes.get("held_out", held_out))

    def key_of(other: HeldOut | None, **changes):
        return model_key(dataclasses.replace(plain, **changes), "faster_rcnn", 0, train, None, other)

    assert key(workers=3) == key()
    unseen = key_of(None, validate_every=None)
    assert key(keep="last") == key(keep="last", validate_every=3) == unseen
    fewer = HeldOut(plain.validation_set(train.classes), None)
    fewer.dataset.ids = fewer.dataset.ids[:1]
    with_boxes = held_out._replace(proposals=[torch.ones(1, 4)] * 2)
    assert len({
        key(), unseen, key(validate_every=3), key(accumulate=2), key(amp="bf16"), key_of(fewer), key_of(with_boxes),
    }) == 7  # fmt: skip


@pytest.mark.parametrize("generation", GENERATIONS)
def test_accumulation_and_precision_reach_every_solver(cache, generation):
    recipe = small(cache, accumulate=3, amp="bf16").recipe_of(generation)
    solvers = [getattr(recipe, name) for name in ("finetune", "solver", "rpn_solver", "head_solver")
               if hasattr(recipe, name)]  # fmt: skip
    assert solvers and all((solver.accumulate, solver.amp) == (3, "bf16") for solver in solvers)
    plain = small(cache).recipe_of(generation)
    assert all(solver == dataclasses.replace(getattr(plain, name), accumulate=3, amp="bf16")
               for name, solver in zip([n for n in ("finetune", "solver", "rpn_solver", "head_solver")
                                        if hasattr(recipe, n)], solvers))  # fmt: skip


def test_workers_are_chosen_by_the_device(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert usual_workers(torch.device("cpu")) == 0 and usual_workers(torch.device("cuda")) == 8
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert usual_workers(torch.device("cuda")) == 3
    common = {
        "data": "shapes", "backbone": "tiny", "weights": "none", "recipe": "quick", "device": "cpu", "procedure": None,
        "cache": None,
    }  # fmt: skip
    assert make_experiment(**common).workers == 0 and make_experiment(**common, workers=2).workers == 2
    for wrong, message in (
        ({"amp": "fp16"}, "--amp: 'fp16' is none of bf16"),
        ({"keep": "worst", "validate_every": 3}, "--keep: 'worst' is none of best, last"),
        ({"keep": "best"}, "--keep: best of which weights"),
    ):
        with pytest.raises(ValueError, match=message):
            make_experiment(**common, **wrong)
