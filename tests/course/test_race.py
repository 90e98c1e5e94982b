"""The benchmark on one's own functions."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from lineage.common.nms import nms_reference
from lineage.course.__main__ import app
from lineage.course.race import functions_in, race
from lineage.experiments.options import make_experiment

KEEP_ALL = """
def nms(boxes, scores, iou_threshold):
    return scores.argsort(descending=True)
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return make_experiment(
        data="shapes", backbone="tiny", weights="none", recipe="quick", device="cpu", procedure=None,
        cache=tmp_path_factory.mktemp("cache"), steps=40, pretraining_crops=320, limit_pictures=(12, 6),
    )  # fmt: skip


def test_the_right_functions_give_the_same_map_and_are_counted(experiment):
    rows = race({"nms": nms_reference}, ["fast_rcnn", "faster_rcnn"], experiment, lambda line: None).rows
    assert [row[:2] for row in rows] == [
        ("Fast R-CNN", "the package's"), ("Fast R-CNN", "yours"),
        ("Faster R-CNN", "the package's"), ("Faster R-CNN", "yours"),
    ]  # fmt: skip
    assert rows[0][2] == rows[1][2] and rows[2][2] == rows[3][2]
    assert rows[0][4] == "-" and int(rows[1][4].removeprefix("nms ").removesuffix("x")) > 0


def test_a_function_without_use_is_not_called(experiment):
    def never(*arguments):
        raise AssertionError

    (_, yours) = race({"rpn_loss": never}, ["fast_rcnn"], experiment, lambda line: None).rows
    assert yours[4] == "rpn_loss 0x"


def test_a_function_that_fails_or_does_not_fit_is_named_with_its_line(experiment):
    def fails(boxes, scores, iou_threshold):
        raise KeyError("x")

    with pytest.raises(ValueError, match=r"your nms failed: KeyError: 'x' \(test_race.py, line \d+\)"):
        race({"nms": fails}, ["fast_rcnn"], experiment, lambda line: None)
    with pytest.raises(ValueError, match=r"using: the package calls nms\(boxes, scores, iou_threshold\)"):
        race({"nms": lambda boxes: boxes}, ["fast_rcnn"], experiment, pytest.fail)


def test_a_notebook_is_told_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match=r"mine\.ipynb: a notebook; copy your functions"):
        functions_in(tmp_path / "mine.ipynb")


def test_a_file_gives_its_own_functions_and_not_what_it_imports(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from lineage.common.boxes import box_iou\nroi_pool = 3\n" + KEEP_ALL)
    ((name, function),) = functions_in(path).items()
    assert name == "nms" and function(None, torch.tensor([0.1, 0.7]), 0.5).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [("x = 1", "defines none of box_iou, "), ("1 / 0", "ZeroDivisionError"), (None, "FileNotFoundError")],
)
def test_a_file_that_cannot_be_used_is_one_clear_message(tmp_path, text, message):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    done = CliRunner().invoke(app, ["bench", str(path)])
    assert done.exit_code == 1 and message in done.output
