"""tiny's start: trained here, kept, or what comes with the project."""

from __future__ import annotations

import shutil

import pytest
import torch

from lineage.experiments import pretraining
from lineage.experiments.experiment import Experiment
from lineage.experiments.pretraining import pretrained_backbone, pretraining_key
from lineage.notebook import experiment as default_experiment


def small(cache, **fields) -> Experiment:
    known = {
        "data": "shapes", "backbone": "tiny", "weights": None, "recipe": "quick", "cache": cache,
        "device": torch.device("cpu"), "steps": 2, "pretraining_crops": 40,
    }  # fmt: skip
    return Experiment(**{**known, **fields})


@pytest.fixture
def supplied(tmp_path, monkeypatch):
    """A project whose ``models/`` has seed 0's weights, made as the real ones are."""
    models = tmp_path / "models_of_the_project"
    models.mkdir()
    monkeypatch.setattr("lineage.experiments.pretrained.FOLDER", models)
    made, facts = pretrained_backbone(small(tmp_path / "a"), 0, lambda line: None)
    assert not facts["supplied"]
    (kept,) = (tmp_path / "a" / "models").glob("tiny-*.safetensors")
    shutil.copyfile(kept, models / "tiny-0.safetensors")
    return made.state_dict()


def never(*_, **__):
    raise AssertionError("trained, though the weights were there")


def test_the_project_s_weights_spare_a_training(supplied, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "pretrain", never)
    backbone, facts = pretrained_backbone(small(tmp_path / "b"), 0, lambda line: None)
    assert facts["supplied"] and facts["seconds"] > 0 and 0 <= facts["accuracy"] <= 1
    assert all(torch.equal(tensor, supplied[name]) for name, tensor in backbone.state_dict().items())


@pytest.mark.parametrize("fields", [{"steps": 3}, {"pretraining_crops": 41}, {"pretrain_here": True}])
def test_what_they_are_not_the_result_of_is_trained(supplied, tmp_path, fields):
    backbone, facts = pretrained_backbone(small(tmp_path / "b", **fields), 0, lambda line: None)
    assert not facts["supplied"]
    same = torch.equal(backbone.conv[0].weight, supplied["conv.0.weight"])
    assert same == ("pretrain_here" in fields)  # by the same settings it comes out the same


def test_another_seed_is_trained_and_a_detector_s_key_says_which_it_was(supplied, tmp_path, monkeypatch):
    assert not pretrained_backbone(small(tmp_path / "b"), 1, lambda line: None)[1]["supplied"]
    experiment = small(tmp_path / "b")
    keys = {
        pretraining_key(experiment, 0), pretraining_key(experiment, 1),
        pretraining_key(small(tmp_path / "b", pretrain_here=True), 0),
        pretraining_key(small(tmp_path / "b", pretraining=False), 0),
    }  # fmt: skip
    assert len(keys) == 4


def test_what_lies_in_models_is_what_the_default_run_starts_from(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "pretrain", never)
    _, facts = pretrained_backbone(default_experiment(cache=tmp_path), 0, lambda line: None)
    assert facts["supplied"] and facts["accuracy"] > 0.9
