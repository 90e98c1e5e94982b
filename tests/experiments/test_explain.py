"""The recipes explain themselves: every value, and the source that stands beside it in the file."""

from __future__ import annotations

import dataclasses

import pytest
from typer.testing import CliRunner

from lineage import train
from lineage.experiments.explain import explain
from lineage.experiments.generations import GENERATIONS, RECIPES, named_recipe


def leaves(settings, prefix=""):
    for name, value in ((f.name, getattr(settings, f.name)) for f in dataclasses.fields(settings)):
        yield from leaves(value, f"{prefix}{name}.") if dataclasses.is_dataclass(value) else [(prefix + name, value)]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_value_is_explained_once(generation, recipe):
    rows = explain(generation, recipe)
    assert [(row.name, row.value) for row in rows] == list(leaves(named_recipe(generation, recipe)))
    assert not any("fmt:" in row.source or "#" in row.source for row in rows)


@pytest.mark.parametrize(
    ("generation", "name", "source"),
    [
        ("rcnn", "context", "p, measured in the warped frame (appendix A)"),
        ("rcnn", "finetune.steps", "max_iter 70000"),  # beside the preset's last line
        ("sppnet", "svm.C", "R-CNN: svm_C"),  # inherited, and so another's
        ("fast_rcnn", "solver.steps", "section 2.3"),
        ("faster_rcnn", "shorter", "Fast R-CNN: section 5.2: s = 600"),
        ("faster_rcnn", "rpn.ratios", "1:2, 1:1, 2:1"),
        ("faster_rcnn", "solver.steps", "faster_rcnn_end2end: 70k"),  # beside the field's first line
    ],
)
def test_sources_are_those_of_the_recipes_file(generation, name, source):
    (row,) = [row for row in explain(generation, "paper") if row.name == name]
    assert source in row.source


def test_the_command_prints_the_table_and_trains_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(train.app, ["faster_rcnn", "--recipe", "paper", "--explain"])
    assert result.exit_code == 0, result.output
    assert "rpn.scales" in result.output and "128^2, 256^2, 512^2" in result.output
    assert list(tmp_path.iterdir()) == []
    wrong = CliRunner().invoke(train.app, ["faster_rcnn", "--recipe", "slow", "--explain"])
    assert wrong.exit_code == 1 and "--recipe: 'slow' is none of" in wrong.output
