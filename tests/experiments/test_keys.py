"""A trained model's key covers what its own training imports: no more, and no less."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lineage.experiments import keys

PACKAGE = Path(keys.__file__).parents[1]


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """A copy of the package that may be edited: ``edit(file, old, new)``."""
    shutil.copytree(PACKAGE, tmp_path / "lineage", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(keys, "ROOT", tmp_path)
    keys.code_digest.cache_clear()

    def change(file: str, old: str, new: str) -> None:
        path = tmp_path / "lineage" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        keys.code_digest.cache_clear()

    yield change
    keys.code_digest.cache_clear()


def digest(generation: str, backbone: str = "small") -> str:
    return keys.code_digest(
        f"lineage.{generation}.detector", f"lineage.{generation}.train", f"lineage.backbones.{backbone}"
    )


def test_an_edited_loss_is_another_model(edit):
    before = {name: digest(name) for name in ("rcnn", "sppnet", "fast_rcnn", "faster_rcnn")}
    edit("fast_rcnn/loss.py", "regression_weight * regression", "regression_weight * 2 * regression")
    after = {name: digest(name) for name in before}
    assert {name for name in before if before[name] != after[name]} == {"fast_rcnn", "faster_rcnn"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("fast_rcnn/loss.py", "L = -log p_u", "The loss"),  # a docstring
        ("fast_rcnn/recipe.py", "# section 2.3", "# see section 2.3"),
        ("fast_rcnn/loss.py", "    foreground = ", "\n    foreground = "),
        ("rcnn/svm.py", "settings.evict_below", "settings.evict_below - 1"),
        ("faster_rcnn/loss.py", 'reduction="sum"', 'reduction="mean"'),
        ("bench/report.py", "WIDTH", "WIDTH + 0"),
        ("course/grade.py", "import", "import sys\nimport"),
        ("viz/boxes.py", "import", "import sys\nimport"),
        ("experiments/making.py", "shutil.rmtree(", "shutil. rmtree("),
        ("evaluation/voc.py", "import math", "import math, sys"),
        ("backbones/efficientnet.py", "STEM, HEAD = 32, 1280", "STEM, HEAD = 33, 1281"),
        ("common/stages.py", "import", "import sys\nimport"),
        ("common/checkpoint.py", "damaged or not a lineage", "damaged, or not a lineage"),
        ("common/progress.py", "bar_width=24", "bar_width=25"),
        ("data/annotation.py", "a click, not a drag?", "a click?"),
    ],
)
def test_what_a_training_does_not_read_costs_no_model(edit, file, old, new):
    before = digest("fast_rcnn")
    edit(file, old, new)
    assert digest("fast_rcnn") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("common/optimise.py", "0.5 * (1 + math.cos", "0.4 * (1 + math.cos"),
        ("common/augment.py", "_draw(generator) < 0.5", "_draw(generator) < 0.6"),
        ("data/pictures.py", "(values * 255).round()", "(values * 254).round()"),
        ("selective_search/grouping.py", "import", "import sys\nimport"),  # imported when it is first called
        ("backbones/small.py", "import", "import sys\nimport"),
    ],
)
def test_what_it_does_read_makes_another(edit, file, old, new):
    before = digest("fast_rcnn")
    edit(file, old, new)
    assert digest("fast_rcnn") != before


def test_a_new_system_costs_no_trained_model(edit, tmp_path):
    before = {name: digest(name) for name in ("rcnn", "faster_rcnn")}
    (tmp_path / "lineage" / "after" / "ssd").mkdir(parents=True)
    (tmp_path / "lineage" / "after" / "ssd" / "loss.py").write_text("from lineage.common.nms import nms\n")
    edit("experiments/generations.py", "TABLE = {", "TABLE = {  # and another")
    assert {name: digest(name) for name in before} == before
