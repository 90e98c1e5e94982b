"""The assignments' tests are good: solutions pass them all, stubs none, typical mistakes fail the right one."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / "source"
PATHS = sorted(SOURCE.glob("*/*.ipynb"))
# every assignment has its wrong answers (WRONG) and its other right ways (RIGHT) beside this file
ANSWERS = {path.stem: importlib.import_module(f"wrong_answers_{path.stem.split('_')[0]}") for path in PATHS}
SOLUTION = re.compile(r"( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL)
STUB = r"\1raise NotImplementedError()"


def code_cells(path):
    """(id, what it is for, code) of every code cell."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        (cell["metadata"]["nbgrader"]["grade_id"], cell["metadata"]["nbgrader"], "".join(cell["source"]))
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def failed_tests(path, answers=None, *, stubs=False):
    """Run a notebook with some answers in place of the solutions; the ids of the tests that fail."""
    names = {"__name__": "__main__"}
    failed = set()
    for name, mark, code in code_cells(path):
        if mark["grade"]:
            try:
                exec(code, names)
            except Exception:
                failed.add(name)
            continue
        if mark["solution"] and name in (answers or {}):
            code = answers[name]
        elif stubs:
            code = SOLUTION.sub(STUB, code)
        exec(code, names)
    return failed


def graded(path):
    return {name for name, mark, _ in code_cells(path) if mark["grade"]}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_solutions_score_everything_and_stubs_nothing(path):
    assert failed_tests(path) == set()
    assert failed_tests(path, stubs=True) == graded(path)


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
