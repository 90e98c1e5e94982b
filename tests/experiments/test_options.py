"""Command-line words as experiments."""

from __future__ import annotations

import pytest

from lineage.experiments.experiment import changed
from lineage.experiments.generations import named_recipe
from lineage.experiments.options import changes_in, names_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, None),
        ("cat,dog", ("cat", "dog")),
        (" cat , dog", ("cat", "dog")),
        ('bolt,"nut, hex"', ("bolt", "nut, hex")),
        ("w/o mask,n/a", ("w/o mask", "n/a")),
        ("螺栓,hex nut M6", ("螺栓", "hex nut M6")),
    ],
)
def test_names(text, names):
    assert names_in("--classes", text) == names


@pytest.mark.parametrize("text", ["", "cat,", "cat,cat", ",", "cat,,dog"])
def test_names_that_are_none(text):
    with pytest.raises(ValueError, match=r"--classes: .*empty name, or one twice"):
        names_in("--classes", text)


def test_changes_of_a_recipe():
    texts = ["rpn.scales=4,8,16", "solver.learning_rate=3e-4", "procedure=joint", "shorter=300", "frozen=None",
             "rpn.sizes=(32,16),(5,7)"]  # fmt: skip
    recipe = changed(named_recipe("faster_rcnn", "paper"), changes_in(texts))
    assert recipe.rpn.scales == (4, 8, 16) and recipe.solver.learning_rate == 3e-4 and recipe.procedure == "joint"
    assert recipe.shorter == 300 and recipe.frozen is None and recipe.rpn.sizes == ((32, 16), (5, 7))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shorter", "expected FIELD=VALUE such as"),
        ("=3", "expected FIELD=VALUE"),
        ("colour=3", "Recipe has no 'colour'; it has shorter"),
        ("rpn.colour=3", "RPNSettings has no 'colour'; it has base_size"),
        ("longer=wide", "Recipe.longer: 'wide' is no int like 640"),
        ("flip=3", "Recipe.flip: 3 is no bool like True"),
        ("rpn.scales=4", "RPNSettings.scales: 4 is no tuple like"),
    ],
)
def test_changes_that_are_none(text, message):
    with pytest.raises(ValueError) as error:
        changed(named_recipe("faster_rcnn", "quick"), changes_in([text]))
    assert message in str(error.value)
