"""A submission as it is graded: the student's answers between the instructor's own tests."""

from __future__ import annotations

import copy
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

DELETED = "# This cell was missing from what was handed in."


def restored(original: NotebookNode, released: NotebookNode, submitted: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The submitted notebook with every locked cell as in the original, and a remark for whatever was missing.

    Cells are known by nbgrader's id, or by the notebook's own where a program has dropped nbgrader's. What a student
    added stays where it is; so does a copy of a cell, but it is not graded.

    Args:
        original: the instructor's notebook, with solutions and hidden tests. released: what the student was given.
    """
    names = [cell.metadata.nbgrader.grade_id for cell in original.cells]
    originals, stubs = (dict(zip(names, notebook.cells)) for notebook in (original, released))
    by_cell_id = {cell.id: name for notebook in (original, released) for name, cell in zip(names, notebook.cells)}
    cells: list[NotebookNode] = []
    place: dict[str, int] = {}  # where a known cell stands
    for cell in submitted.cells:
        name = _name(cell) or by_cell_id.get(cell.get("id", ""))
        if name is None or name not in originals or name in place:
            cells.append(_as_own(cell))
            continue
        place[name] = len(cells)
        cells.append(_filled(originals[name], cell.source))
    missing = [name for name in names if name not in place]
    # Each behind the one that it follows in the original, from the last to the first, so that places stay right.
    for name in reversed(missing):
        before = [place[other] for other in names[: names.index(name)] if other in place]
        kept = stubs[name].source if stubs[name].cell_type == "markdown" else DELETED
        cells.insert(max(before, default=-1) + 1, _filled(originals[name], kept))
    whole = copy.deepcopy(original)
    whole.cells = cells
    remark = f"missing cells, put back: {', '.join(missing)}"
    return whole, [remark] if missing else []


def _name(cell: NotebookNode) -> str | None:
    mark: Any = cell.metadata.get("nbgrader")
    name = mark.get("grade_id") if isinstance(mark, dict) else None
    return name if isinstance(name, str) else None


def _filled(original: NotebookNode, source: str) -> NotebookNode:
    """The original cell; with the student's text if it is one to write in."""
    cell = copy.deepcopy(original)
    if not cell.metadata.nbgrader["locked"]:
        cell.source = source
    return cell


def _as_own(cell: NotebookNode) -> NotebookNode:
    """A cell that the student has added: of it only the code counts."""
    return new_code_cell(cell.source) if cell.cell_type == "code" else new_markdown_cell(cell.source)
