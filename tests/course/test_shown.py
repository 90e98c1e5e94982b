"""What a student sees of a graded notebook: none of a hidden test's text, whichever way an answer puts it there."""

from __future__ import annotations

import copy

import nbformat
import pytest

from lineage.course import worker
from lineage.course.execute import TOGETHER
from lineage.course.sandbox import sandbox
from lineage.course.shown import for_the_student

JOB = {"seconds": 120, "seconds_a_cell": 30, "memory": 2**32, "sandbox": sandbox()}
SECRET = "wanted = 31337"
TEST = f"""import math
### BEGIN HIDDEN TESTS
{SECRET}
assert add(1, 2) == 3, f"{{add(1, 2)}} is not {{wanted}}. " "Is it the sum?"
### END HIDDEN TESTS
"""
# Every one finds the code of the hidden test; Python keeps it for its tracebacks.
FIND = """
def code():
    import linecache
    return "".join("".join(lines) for _, _, lines, _ in linecache.cache.values() if lines)
"""
ANSWERS = {
    "prints it in the test": "def add(a, b):\n    print(code())\n    return 3",
    "raises it": "def add(a, b):\n    raise ValueError(code())",
    "raises it as a name": "def add(a, b):\n    raise type(code(), (Exception,), {})('no')",
    "raises it as an error of ours": (
        "class NotRun(Exception): pass\nclass TooLong(Exception): pass\n"
        "def add(a, b):\n    raise (NotRun if a else TooLong)(code())"
    ),
    "returns it": (
        "class Text:\n    def __repr__(self): return code()\n    def __format__(self, _): return code()\n"
        "def add(a, b): return Text()"
    ),
    "changes an older output": (
        "from IPython.display import display\nshown = display('nothing', display_id=True)\n"
        "def add(a, b):\n    shown.update(code())\n    return 3"
    ),
}


def mark(name, *tags):
    roles = {"grade": True, "solution": False, "locked": True, "points": 1}
    return {"nbgrader": {"grade_id": name, **roles, "schema_version": 3, "task": False}, "tags": [*tags]}


def cell(source, metadata=None, outputs=()):
    return nbformat.v4.new_code_cell(source, metadata=metadata or {}, outputs=[*outputs])


def error(name, value):
    return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=[value])


def shown(cells, run_again=lambda notebook: pytest.fail("was run again")):
    return for_the_student(nbformat.v4.new_notebook(cells=cells), run_again).cells


def test_a_hidden_test_is_never_shown():
    cells = [cell(FIND)]
    for number, answer in enumerate(ANSWERS.values()):
        cells += [cell(answer), cell(TEST, mark(f"hidden{number}", TOGETHER)), cell("print(code(), 'the end')")]
        cells += [cell("assert add(1, 2) == 4, code()", mark(f"visible{number}", TOGETHER))]
    notebook = nbformat.v4.new_notebook(cells=cells)
    worker.run_apart(notebook, JOB)
    for number, words in enumerate(ANSWERS):  # each did get at it
        place = 4 * number + (1 if words == "changes an older output" else 2)
        assert SECRET in str(notebook.cells[place].outputs), words
    kept = copy.deepcopy(notebook)
    seen = for_the_student(notebook, lambda again: worker.run_apart(again, JOB))
    assert SECRET not in str(seen)
    assert all("the end" in str(one.outputs) for one in seen.cells[3::4])
    assert all(one.outputs for one in seen.cells[4::4])
    assert notebook == kept


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (("AssertionError", "4 is not 3. Is it the sum?"), "AssertionError: Is it the sum?"),
        (("AssertionError", TEST), "AssertionError: a hidden test failed"),
        (("AttributeError", "'int' object has no attribute 'b'"), "AttributeError: a hidden test failed"),
        (("Own", SECRET), "Exception: a hidden test failed"),
        (("print", SECRET), "Exception: a hidden test failed"),
        (("TooLong", "took longer than 31337 s"), "TooLong: took too long"),
    ],
)
def test_of_a_hidden_test_its_own_message_is_shown(found, expected):
    (seen,) = shown([cell(TEST, mark("hidden"), [error(*found)])])
    assert seen.source == "import math\n# hidden tests\n"
    (one,) = seen.outputs
    assert one.traceback == [expected] == [f"{one.ename}: {one.evalue}"]


def test_a_hidden_test_may_have_more_in_it_than_python():
    source = "%matplotlib inline\n### BEGIN HIDDEN TESTS\nassert x, 'x is nothing.'\n### END HIDDEN TESTS"
    (seen,) = shown([cell(source, mark("hidden"), [error("AssertionError", "x is nothing.")])])
    assert seen.outputs[0].evalue == "x is nothing"


def test_a_visible_test_that_fails_only_beside_hidden_ones_is_not_shown_as_passed():
    test = cell("assert add(1, 2) == 3", mark("visible"), [error("AssertionError", SECRET)])
    seen = shown([cell(TEST, mark("hidden")), test], run_again=lambda again: None)
    assert [one.evalue for one in seen[1].outputs] == ["failed in the run with hidden tests"]


def test_nothing_is_run_again_where_nothing_is_shown():
    seen = shown([cell("x = 1"), cell(TEST, mark("hidden"))])
    assert SECRET not in str(seen)


def test_where_nothing_is_hidden_all_is_shown():
    cells = [cell("assert False, 'why'", mark("visible"), [error("AssertionError", "why")])]
    assert shown(cells) == cells
