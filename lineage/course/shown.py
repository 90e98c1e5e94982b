"""What a student gets to see of a run that had hidden tests in it: nothing that could hold their text.

An answer that runs in one process with a hidden test can find its code, and print it or put it into an error's words;
one that does not still sees what it is called with. So of what came out of that run only this is shown: of a hidden
test the message that stands in the test itself, and which of Python's errors it was. What other cells show comes from a
second run, without hidden tests.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
from collections.abc import Callable

from nbformat import NotebookNode
from nbformat.v4 import new_output

from lineage.course.execute import NOT_RUN, TOO_LONG
from lineage.course.restore import mark
from lineage.course.tampering import parsed

HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", re.DOTALL)
SHORTEST = 8  # characters of a text in a test that is taken for a message


def for_the_student(notebook: NotebookNode, run_again: Callable[[NotebookNode], None]) -> NotebookNode:
    """A copy of a notebook that was run, without hidden tests' code or whatever else could have it.

    Args:
        run_again: runs a notebook's cells in place; it is called if there is something to show that a run without the
            hidden tests must have put out.
    """
    seen = copy.deepcopy(notebook)
    hidden = [index for index, cell in enumerate(seen.cells) if _is_hidden(cell)]
    for index in hidden:
        cell = seen.cells[index]
        stopped = seen.metadata.get("stopped")
        cell.outputs = [_in_its_own_words(error, cell.source, stopped) for error in _errors(cell)[-1:]]
        cell.source = HIDDEN.sub("# hidden tests", cell.source)
    to_show = [index for index, cell in enumerate(seen.cells) if index not in hidden and cell.get("outputs")]
    if hidden and to_show:  # also what came out before: an output can be changed later
        again = copy.deepcopy(seen)
        for cell in again.cells:
            if cell.cell_type == "code":
                cell.outputs = []
        run_again(again)
        for index in to_show:
            cell, found = seen.cells[index], again.cells[index].outputs
            if not _errors(cell):
                found = [out for out in found if out.output_type != "error"]
            elif not _errors(again.cells[index]):
                found = [*found, _error("Exception", "failed in the run with hidden tests")]
            cell.outputs = found
    return seen


def _is_hidden(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code" and mark(cell).get("locked") and HIDDEN.search(cell.source))


def _in_its_own_words(error: NotebookNode, source: str, stopped: str | None) -> NotebookNode:
    """The error with nothing of its message but what the test itself says."""
    found = getattr(builtins, error.ename, None)
    known = error.ename in (NOT_RUN, TOO_LONG) or (isinstance(found, type) and issubclass(found, BaseException))
    name = error.ename if known else "Exception"
    texts = [node.value for node in ast.walk(parsed(source)) if isinstance(node, ast.Constant)]
    words = [text.strip(" .,:;") for text in texts if isinstance(text, str) and text in error.evalue]
    message = max(words, key=len, default="")  # one: who has put in all that the test says shall not see it
    said = {NOT_RUN: stopped, TOO_LONG: "took too long"}.get(name, message if len(message) >= SHORTEST else "")
    return _error(name, said or "a hidden test failed")


def _errors(cell: NotebookNode) -> list[NotebookNode]:
    return [out for out in cell.outputs if out.output_type == "error"]


def _error(name: str, value: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=value, traceback=[f"{name}: {value}"])
