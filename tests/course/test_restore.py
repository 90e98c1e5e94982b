"""A submission is graded with the instructor's tests, whatever became of them in the student's hands."""

from __future__ import annotations

import copy
import os

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lineage.course.restore import DELETED, restored
from lineage.course.submissions import Submission, find_submissions


def cell(name, source, *, grade=False, solution=False, locked=False, new=new_code_cell):
    one = new(source)
    one.metadata["nbgrader"] = {"grade_id": name, "grade": grade, "solution": solution, "locked": locked}
    one.id = f"id-{name}"
    return one


def notebook(*cells):
    return new_notebook(cells=list(copy.deepcopy(cells)))


TOOLS = cell("tools", "import torch", locked=True)
ANSWER = cell("iou", "def iou(): return 1", solution=True)
HIDDEN = "assert iou()\n### BEGIN HIDDEN TESTS\nassert iou() == 1\n### END HIDDEN TESTS"
TEST = cell("iou-shown", HIDDEN, grade=True, locked=True)
WRITTEN = cell("why", "because", grade=True, solution=True, new=new_markdown_cell)
ORIGINAL = notebook(TOOLS, ANSWER, TEST, WRITTEN)
RELEASED = notebook(
    TOOLS,
    cell("iou", "def iou(): ...", solution=True),
    cell("iou-shown", "assert iou()", grade=True, locked=True),
    cell("why", "YOUR ANSWER", grade=True, solution=True, new=new_markdown_cell),
)
MINE = cell("iou", "def iou(): return 2", solution=True)


def sources(found):
    return [(one.metadata.get("nbgrader", {}).get("grade_id"), one.source) for one in found.cells]


def test_answers_are_the_students_and_locked_cells_the_instructors():
    edited = cell("iou-shown", "pass", grade=True, locked=False)
    found, remarks = restored(ORIGINAL, RELEASED, notebook(cell("tools", "hack"), MINE, edited, WRITTEN))
    assert sources(found) == [
        ("tools", TOOLS.source), ("iou", MINE.source), ("iou-shown", TEST.source), ("why", "because"),
    ]  # fmt: skip
    assert found.cells[2].metadata == TEST.metadata and remarks == []


@pytest.mark.parametrize(
    "gone", [("tools",), ("iou",), ("iou-shown",), ("why",), ("tools", "iou-shown"), ("iou", "why")]
)
def test_missing_cells_come_back_in_their_places_and_are_named(gone):
    kept = [one for one in (TOOLS, MINE, TEST, WRITTEN) if one.metadata["nbgrader"]["grade_id"] not in gone]
    found, remarks = restored(ORIGINAL, RELEASED, notebook(*kept))
    given = {"tools": TOOLS.source, "iou": MINE.source, "iou-shown": TEST.source, "why": "because"}
    stubs = {"iou": DELETED, "why": "YOUR ANSWER"}  # nothing to give points for
    assert sources(found) == [(name, stubs.get(name, text) if name in gone else text) for name, text in given.items()]
    assert remarks == [f"missing cells, put back: {', '.join(gone)}"]


def test_an_empty_notebook_is_the_released_one_with_tests():
    found, _ = restored(ORIGINAL, RELEASED, notebook())
    assert [name for name, _ in sources(found)] == ["tools", "iou", "iou-shown", "why"]


def test_what_a_student_added_stays_in_place_and_is_not_graded():
    own, copied = new_code_cell("helper = 1"), cell("iou", "def iou(): return 3", solution=True)
    unknown = cell("bonus", "pass", grade=True)
    found, _ = restored(ORIGINAL, RELEASED, notebook(TOOLS, own, MINE, copied, unknown, TEST, WRITTEN))
    assert sources(found)[1] == (None, "helper = 1")
    assert sources(found)[2:5] == [("iou", MINE.source), (None, copied.source), (None, "pass")]


def test_a_program_that_drops_nbgraders_metadata_costs_nothing():
    plain = notebook(TOOLS, MINE, TEST, WRITTEN)
    for one in plain.cells:
        del one.metadata["nbgrader"]
    found, remarks = restored(ORIGINAL, RELEASED, plain)
    assert sources(found)[1:3] == [("iou", MINE.source), ("iou-shown", TEST.source)] and remarks == []


def test_without_any_ids_cells_are_known_by_what_they_say_or_define():
    plain = [new_code_cell(one.source) for one in (TOOLS, MINE)] + [new_code_cell("assert iou()")]
    found, remarks = restored(ORIGINAL, RELEASED, notebook(*plain, new_markdown_cell("because")))
    assert sources(found)[:4] == [
        ("tools", TOOLS.source), ("iou", MINE.source), ("iou-shown", TEST.source), ("why", "because"),
    ]  # fmt: skip
    assert remarks == ["missing cells, put back: why"]


def test_another_definition_is_not_taken_for_the_answer_that_is_there():
    other = new_code_cell("def iou(): return 9")
    found, _ = restored(ORIGINAL, RELEASED, notebook(TOOLS, other, MINE, TEST, WRITTEN))
    assert sources(found)[1:3] == [(None, other.source), ("iou", MINE.source)]


def test_a_written_answer_in_a_new_cell_below_counts_and_others_do_not():
    stub = RELEASED.cells[3]
    below = notebook(TOOLS, MINE, TEST, stub, new_markdown_cell("First."), new_markdown_cell("Second."))
    assert sources(restored(ORIGINAL, RELEASED, below)[0])[3] == ("why", "First.\n\nSecond.")
    done = notebook(TOOLS, MINE, TEST, WRITTEN, new_markdown_cell("A note."))
    assert sources(restored(ORIGINAL, RELEASED, done)[0])[3] == ("why", "because")


def test_pasted_pictures_stay_and_missing_ones_are_no_reason_to_fail():
    answer = copy.deepcopy(WRITTEN)
    answer.source = "![a](attachment:a.png) ![b](attachment:b.png)"
    submitted = notebook(TOOLS, MINE, TEST, answer)
    submitted.cells[3].attachments = {"a.png": {"image/png": "iVBORw0KGgo="}, "c": "damaged"}
    found = restored(ORIGINAL, RELEASED, submitted)[0].cells[3]
    assert found.attachments == {"a.png": {"image/png": "iVBORw0KGgo="}}
    assert found.source == "![a](attachment:a.png) ![b](missing:)"


@pytest.mark.parametrize("mark", ["text", 3, {}, {"grade_id": None}, {"grade_id": ["iou"]}])
def test_damaged_metadata_are_a_students_own_cell(mark):
    broken = new_code_cell("x = 1")
    broken.metadata["nbgrader"] = mark
    found, _ = restored(ORIGINAL, RELEASED, notebook(broken, TOOLS, MINE, TEST, WRITTEN))
    assert sources(found)[0] == (None, "x = 1")


# ---- where submissions lie ---------------------------------------------------------------------------


def make(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("{}")


def found_in(folder, *paths):
    make(folder, *paths)
    return {(one.student, one.assignment): str(one.path.relative_to(folder)) for one in find_submissions(folder, NAMES)}


NAMES = ["A1_boxes", "A6_rpn"]


def test_submissions_are_found_in_the_layouts_of_nbgrader_moodle_and_canvas(tmp_path):
    found = found_in(
        tmp_path,
        "ada/A1_boxes/A1_boxes.ipynb",
        "ada/A6_rpn.ipynb",
        "Bo Li_12_assignsubmission_file_/A1_boxes.ipynb",
        "Bo Li_77_assignsubmission_file/A6_rpn.ipynb",
        "cy_5_77_A1_boxes.ipynb",
        "cy_LATE_5_90_A6_rpn.ipynb",
    )
    assert found == {
        ("Bo Li", "A1_boxes"): "Bo Li_12_assignsubmission_file_/A1_boxes.ipynb",
        ("Bo Li", "A6_rpn"): "Bo Li_77_assignsubmission_file/A6_rpn.ipynb",
        ("ada", "A1_boxes"): "ada/A1_boxes/A1_boxes.ipynb",
        ("ada", "A6_rpn"): "ada/A6_rpn.ipynb",
        ("cy_5", "A1_boxes"): "cy_5_77_A1_boxes.ipynb",
        ("cy_5", "A6_rpn"): "cy_LATE_5_90_A6_rpn.ipynb",
    }


def test_of_several_versions_the_last_counts(tmp_path):
    canvas = ("cy_5_77_A1_boxes.ipynb", "cy_5_78_A1_boxes-2.ipynb", "cy_5_79_A1_boxes-10.ipynb")
    browser = ("ada/A1_boxes (2).ipynb", "ada/A1_boxes.ipynb", "bo/A1_boxes(1).ipynb")
    assert found_in(tmp_path, *canvas, *browser) == {
        ("ada", "A1_boxes"): "ada/A1_boxes (2).ipynb",
        ("bo", "A1_boxes"): "bo/A1_boxes(1).ipynb",
        ("cy_5", "A1_boxes"): "cy_5_79_A1_boxes-10.ipynb",
    }


def test_two_students_of_one_name_stay_two(tmp_path):
    both = ("Bo Li_12_assignsubmission_file_", "Bo Li_13_assignsubmission_file_")
    found = found_in(tmp_path, *(f"{name}/A1_boxes.ipynb" for name in both))
    assert found.keys() == {(name, "A1_boxes") for name in both}


def test_what_is_no_submission_is_named(tmp_path, caplog):
    others = ("ada/A6_rpn_mine.ipynb", "x/A9/A9.ipynb", "deep/er/A1_boxes/A1_boxes.ipynb", "A1_boxes.ipynb")
    (tmp_path / "folder" / "A1_boxes.ipynb").mkdir(parents=True)
    found = found_in(tmp_path, "ada/A1_boxes.ipynb", "ada/.ipynb_checkpoints/A1_boxes-checkpoint.ipynb", *others)
    assert found.keys() == {("ada", "A1_boxes")}
    (message,) = caplog.messages
    assert all(name in message for name in (*others, "folder/A1_boxes.ipynb")) and "checkpoint" not in message


def test_a_name_that_is_no_text_is_written_as_one(tmp_path):
    folder = tmp_path / os.fsdecode(b"M\xfcller")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has names in Unicode only")
    assert [student for student, _ in found_in(tmp_path, f"{folder.name}/A1_boxes.ipynb")] == ["M\\udcfcller"]


def test_one_notebook_alone(tmp_path):
    make(tmp_path, "A1_boxes.ipynb", "other.ipynb")
    assert find_submissions(tmp_path / "A1_boxes.ipynb", ["A1_boxes"]) == [
        Submission("me", "A1_boxes", tmp_path / "A1_boxes.ipynb")
    ]
    for place in (tmp_path / "other.ipynb", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"no submission; expected .* a NAME out of A1_boxes"):
            find_submissions(place, ["A1_boxes"])
