"""A submission as it is graded: the student's answers between the instructor's own tests."""

from __future__ import annotations

import copy
import itertools
import re
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

DELETED = "# This cell was missing from what was handed in."
ATTACHED = re.compile(r"\(attachment:([^)\s]*)")


def restored(original: NotebookNode, released: NotebookNode, submitted: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The submitted notebook with every locked cell as in the original, and a remark for whatever was missing.

    Cells are known by nbgrader's id, or by other signs where a program has dropped it. What a student added stays where
    it is; so does a copy of a cell, but it is not graded.

    Args:
        original: the instructor's notebook, with solutions and hidden tests. released: what the student was given.
    """
    names = [_name(cell) or cell.get("id") or f"cell {index}" for index, cell in enumerate(original.cells)]
    originals, stubs = (dict(zip(names, notebook.cells)) for notebook in (original, released))
    known = _Known(names, original, released)
    cells: list[NotebookNode] = []
    place: dict[str, int] = {}  # where a known cell stands
    exact = [known.by_mark(cell) for cell in submitted.cells]
    for cell, name in zip(submitted.cells, exact):
        if name is None and (likely := known.by_text(cell)) not in exact:
            name = likely
        if name is None or name not in originals or name in place:
            cells.append(_as_own(cell))
            continue
        place[name] = len(cells)
        cells.append(_filled(originals[name], cell))
    missing = [name for name in names if name not in place]
    # Each behind the one that it follows in the original, from the last to the first, so that places stay right.
    for name in reversed(missing):
        before = [place[other] for other in names[: names.index(name)] if other in place]
        kept = stubs[name] if stubs[name].cell_type == "markdown" else new_code_cell(DELETED)
        cells.insert(max(before, default=-1) + 1, _filled(originals[name], kept))
    whole = copy.deepcopy(original)
    whole.cells = _with_answers_below(cells, {stub.source for stub in released.cells})
    remark = f"missing cells, put back: {', '.join(missing)}"
    return whole, [remark] if missing else []


class _Known:
    """By what a cell of the original is known again."""

    def __init__(self, names: list[str], *notebooks: NotebookNode) -> None:
        self.by_id = {cell.get("id"): name for notebook in notebooks for name, cell in zip(names, notebook.cells)}
        self.by_source: dict[str, str] = {}
        self.by_definition: dict[frozenset[str], str] = {}
        for name, cell in zip(names, notebooks[-1].cells):
            self.by_source.setdefault(cell.source.strip(), name)
            if mark(cell).get("solution") and (defined := _defined(cell.source)):
                self.by_definition[defined] = name

    def by_mark(self, cell: NotebookNode) -> str | None:
        """By nbgrader's id, or the notebook's own."""
        return _name(cell) or self.by_id.get(cell.get("id", ""))

    def by_text(self, cell: NotebookNode) -> str | None:
        """By what it says or defines, where a program has dropped the ids."""
        source = _source(cell)
        return self.by_source.get(source.strip()) or self.by_definition.get(_defined(source))


def _defined(source: str) -> frozenset[str]:
    """The functions and classes on a cell's outermost level."""
    return frozenset(re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE))


def _with_answers_below(cells: list[NotebookNode], stubs: set[str]) -> list[NotebookNode]:
    """The cells; a written answer left empty has what the student wrote into new cells right behind it."""
    for index, cell in enumerate(cells):
        if cell.cell_type == "markdown" and mark(cell).get("solution") and cell.source in stubs:
            below = itertools.takewhile(lambda one: one.cell_type == "markdown" and not mark(one), cells[index + 1 :])
            cell.source = "\n\n".join(one.source for one in below) or cell.source
    return cells


def mark(cell: NotebookNode) -> dict[str, Any]:
    """nbgrader's; empty for a cell that has none, or a damaged one."""
    found: Any = cell.metadata.get("nbgrader")
    return found if isinstance(found, dict) else {}


def _name(cell: NotebookNode) -> str | None:
    name = mark(cell).get("grade_id")
    return name if isinstance(name, str) else None


def _filled(original: NotebookNode, written: NotebookNode) -> NotebookNode:
    """The original cell; with the student's text if it is one to write in."""
    cell = copy.deepcopy(original)
    if not mark(cell).get("locked", True):
        cell.source = _source(written)
        _attach(cell, written)
    return cell


def _as_own(cell: NotebookNode) -> NotebookNode:
    """A cell that the student has added: of it only what was typed in counts."""
    if cell.get("cell_type") == "code":
        return new_code_cell(_source(cell))
    own = new_markdown_cell(_source(cell))
    _attach(own, cell)
    return own


def _attach(cell: NotebookNode, written: NotebookNode) -> None:
    """Pictures that were pasted in, without which a text that shows them cannot be converted."""
    if cell.cell_type != "markdown":
        return
    attached = written.get("attachments")
    pictures = attached.items() if isinstance(attached, dict) else ()
    kept = {name: data for name, data in pictures if isinstance(data, dict)}
    cell.source = ATTACHED.sub(lambda match: match[0] if match[1] in kept else "(missing:", cell.source)
    if kept:
        cell.attachments = kept


def _source(cell: NotebookNode) -> str:
    """What a cell says, whatever stands in the file."""
    source = cell.get("source")
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else ""
