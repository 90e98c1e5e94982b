"""The assignments' source notebooks, and a notebook's cells run without a kernel."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / "source"
PATHS = sorted(SOURCE.glob("*/*.ipynb"))
# Every assignment has its wrong answers (WRONG) and its other right ways (RIGHT) beside this file. SLOW are the cells
# of a capstone that train: what they need is measured, not tested here.
ANSWERS = {path.stem: importlib.import_module(f"wrong_answers_{path.stem.split('_')[0]}") for path in PATHS}
SOLUTION = re.compile(r"( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL)
STUB = r"\1raise NotImplementedError()"


def course(*arguments):
    """python -m lineage.course, with lines as long as they need to be."""
    return subprocess.run(
        [sys.executable, "-m", "lineage.course", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip


def code_cells(path):
    """(id, nbgrader's mark, code) of every code cell that is not slow."""
    slow = getattr(ANSWERS[path.stem], "SLOW", set())
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        (cell["metadata"]["nbgrader"]["grade_id"], cell["metadata"]["nbgrader"], "".join(cell["source"]))
        for cell in cells
        if cell["cell_type"] == "code" and cell["metadata"]["nbgrader"]["grade_id"] not in slow
    ]


def graded(path):
    return {name for name, mark, _ in code_cells(path) if mark["grade"]}


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
