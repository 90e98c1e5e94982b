"""The assignments' tests are good: solutions pass them all, stubs none, typical mistakes fail the right one."""

from __future__ import annotations

import json
import os
import re

import pytest
from coursework import ANSWERS, PATHS, SOURCE, apart, failed_apart, failed_tests, graded


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_solutions_score_everything_and_stubs_nothing(path):
    assert failed_tests(path) == set()
    assert failed_tests(path, stubs=True) == graded(path)


def some(by_exercise):
    """Of every third exercise; with $LINEAGE_WHOLE of all: minutes, as two processes start for each."""
    return list(by_exercise.values())[:: 1 if os.environ.get("LINEAGE_WHOLE") else 3]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_is_the_same_where_tests_and_answers_are_two_processes(path):
    assert failed_apart(path) == {}
    assert set(failed_apart(path, stubs=True)) == apart(path)
    for exercise, _, code, _ in some({case[0]: case for case in ANSWERS[path.stem].WRONG}):  # one an exercise
        alone = failed_tests(path, {exercise: code}) & apart(path)
        assert set(failed_apart(path, {exercise: code})) == alone, exercise
    for exercise, way, code in some({case[0]: case for case in ANSWERS[path.stem].RIGHT}):
        assert failed_apart(path, {exercise: code}) == {}, way


def test_all_tests_but_those_that_take_a_network_apart_run_apart():
    assert sum(len(apart(path)) for path in PATHS) == 98
    (capstone,) = [path for path in PATHS if path.stem == "A7_faster_rcnn"]
    assert {name.split("-")[0] for name in graded(capstone) - apart(capstone)} == {"rpn", "head", "train"}


def cases(kind):
    return [
        pytest.param(stem, *case, id=f"{stem}: {case[0]}: {case[1]}")
        for stem, module in ANSWERS.items()
        for case in getattr(module, kind)
    ]


@pytest.mark.parametrize(("stem", "exercise", "mistake", "code", "expected"), cases("WRONG"))
def test_a_typical_mistake_fails_the_test_it_should(stem, exercise, mistake, code, expected):
    failed = failed_tests(SOURCE / stem / f"{stem}.ipynb", {exercise: code})
    assert expected <= failed, mistake
    assert failed, mistake


@pytest.mark.parametrize(("stem", "exercise", "way", "code"), cases("RIGHT"))
def test_another_right_way_is_not_punished(stem, exercise, way, code):
    assert failed_tests(SOURCE / stem / f"{stem}.ipynb", {exercise: code}) == set(), way


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_marks_add_up_and_say_what_they_are(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    marks = [cell["metadata"]["nbgrader"] for cell in cells]
    assert len({mark["grade_id"] for mark in marks}) == len(marks)
    stated = re.search(r"\*\*Points\.\*\* (\d+)", "".join(cells[0]["source"]))
    assert sum(mark.get("points", 0) for mark in marks) == int(stated[1])
    for cell, mark in zip(cells, marks):
        text = "".join(cell["source"])
        assert ("### BEGIN HIDDEN TESTS" in text) <= mark["grade"]
        assert not cell.get("outputs") and ("### BEGIN SOLUTION" in text) <= mark["solution"]
        if mark["grade"] and mark["locked"]:
            assert mark["points"] > 0 and mark["grade_id"].split("-")[0] in {m["grade_id"] for m in marks}
    for word in ("Goal.", "Reading.", "Time."):
        assert f"**{word}**" in "".join(cells[0]["source"])
