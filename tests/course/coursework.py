"""The assignments' source notebooks, and a notebook's cells run without a kernel."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from lineage.course.exchange import serve
from lineage.course.execute import TOGETHER
from lineage.course.tester import Tester, report
from lineage.course.values import send

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


def apart(path):
    """The ids of the tests that run in a process of their own."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tags = {cell["metadata"]["nbgrader"]["grade_id"]: cell["metadata"].get("tags", ()) for cell in cells}
    return {name for name, mark, _ in code_cells(path) if mark["grade"] and TOGETHER not in tags[name]}


def failed_apart(path, answers=None, *, stubs=False):
    """The same of the tests that run apart, with the answers in a process of their own: id and report of each."""
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["lineage.course.exchange", "lineage.course.execute"])
    here, there = start.Pipe()
    process = start.Process(target=_answer, args=(there, path, answers, stubs))
    process.start()
    there.close()
    codes = {name: code for name, _, code in code_cells(path) if name in apart(path)}
    tools = next(code for name, _, code in code_cells(path) if name == "tools")
    tester = Tester(tools, [*codes.values()])
    found = {}
    for name, code in codes.items():
        found[name] = report(tester, name, code, here)
        send(here, [name, "enough"], {})
    process.join()
    return {name: done["error"] for name, done in found.items() if done["error"] is not None}


def _answer(there: Connection, path, answers, stubs):
    names = {"__name__": "__main__"}
    tests = apart(path)
    for name, mark, code in code_cells(path):
        if name in tests:
            serve(there.fileno(), name, names)
        elif not mark["grade"]:
            if mark["solution"] and name in (answers or {}):
                code = answers[name]
            elif stubs:
                code = SOLUTION.sub(STUB, code)
            exec(code, names)
