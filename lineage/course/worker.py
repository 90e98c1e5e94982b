"""python -m lineage.course.worker FOLDER: grade the one submission that FOLDER/job.json describes.

A process of its own, since a strange notebook can bring nbgrader down; :mod:`lineage.course.grade` starts it and may
kill it. The student's code runs in yet another, with nothing of this one in its reach.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import site
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from lineage.course import execute
from lineage.course.restore import mark, restored
from lineage.course.sandbox import sandboxed
from lineage.course.shown import for_the_student
from lineage.course.tampering import imported, reached_for
from lineage.course.watch import BeyondLimits, end_with, kill, leash, watch
from lineage.course.workplace import nbgrader

JOB, HANDED_IN, RESULT = "job.json", "handed_in.ipynb", "result.json"
STUDENT = "student"  # nbgrader's folders hold one submission, whoever's
TAG = re.compile(r"<(?=[A-Za-z/!?])")
READY_MADE = re.compile(r"\b(?:lineage|torchvision)\b")  # have what is asked for; no penalty, but a person may look
ENDING = 30  # seconds that a process has to end by itself after its time is over
TOGETHER = 2  # times one process's memory is what all processes of a submission may have


def main(folder: Path) -> None:
    """Grade, and leave the result in FOLDER/result.json and the page in nbgrader's own feedback folder.

    The result has ``points`` (by cell; null where a person has to read), ``failures`` (a cell's error), ``answers``
    (what was written) and ``remarks``. Cells of which it says nothing have no points.

    Raises:
        RuntimeError: grading failed, which need not be the submission's fault.
    """
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    name = job["assignment"]
    original, released = (_read(folder / stage / name / f"{name}.ipynb") for stage in ("source", "release"))
    try:
        notebook, remarks = restored(original, released, _read(folder / HANDED_IN))
    except Exception as error:  # whatever a damaged file makes nbformat raise
        _leave(folder, remarks=[f"cannot be read as a notebook: {' '.join(str(error).split())[:200]}"])
        return
    try:
        run_apart(notebook, job)
    except Unfinished as error:
        _leave(folder, remarks=[*remarks, str(error)], **_written(notebook, released))
        return
    seen = notebook if job["show_hidden"] else for_the_student(notebook, lambda again: _run_if_it_ends(again, job))
    remarks += _remarks(seen)
    if stopped := notebook.metadata.pop("stopped", None):
        remarks.append(stopped)
    result = _scores(folder, name, notebook, seen)
    _leave(folder, **{**result, "remarks": remarks + result["remarks"]})


class Unfinished(Exception):
    """A submission's code was not run to its end, and would not be another time."""


def run_apart(notebook: NotebookNode, job: dict[str, Any]) -> None:
    """Run the notebook's cells in a sandbox and fill in what they put out.

    Raises:
        Unfinished: the process went beyond its limits, or came back with something else than this notebook.
        RuntimeError: it ended without a result.
    """
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        with (
            tempfile.TemporaryFile("w+") as order,
            tempfile.TemporaryFile() as said,
            tempfile.TemporaryFile() as result,
            leash() as end,
        ):
            json.dump({**job, "notebook": nbformat.writes(notebook)}, order)
            order.seek(0)
            command = [sys.executable, "-m", "lineage.course.execute", str(result.fileno()), str(end)]
            process = subprocess.Popen(
                sandboxed(command, home, job["sandbox"]), cwd=home, env=_environment(home),
                stdin=order, stdout=said, stderr=subprocess.STDOUT, pass_fds=[result.fileno(), end],
            )  # fmt: skip
            try:
                watch(process, job["seconds"] + ENDING, TOGETHER * job["memory"])
            except BeyondLimits as error:
                raise Unfinished(str(error)) from None
            finally:
                kill(process)
            if process.returncode != 0:
                said.seek(max(0, said.seek(0, os.SEEK_END) - 2000))
                last = said.read().decode(errors="replace").strip().splitlines()[-1:]
                raise RuntimeError(f"exit status {process.returncode}: {' '.join(last)}")
            result.seek(0)
            executed = nbformat.reads(result.read().decode(), as_version=4)
    if [cell.source for cell in executed.cells] != [cell.source for cell in notebook.cells]:
        raise Unfinished("came back changed")
    for cell, run in zip(notebook.cells, executed.cells):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [_as_stdout(out) for out in run.outputs], run.execution_count
    notebook.metadata["stopped"] = executed.metadata.get("stopped")


def _run_if_it_ends(notebook: NotebookNode, job: dict[str, Any]) -> None:
    """The same, but a page shows nothing of what went beyond its limits."""
    with contextlib.suppress(Unfinished):
        run_apart(notebook, job)


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the instructor's own, keys and tokens least of all."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV") if key in os.environ}
    packages = {"PYTHONUSERBASE": site.getuserbase()}  # which would be looked for in the home
    own = {"HOME": str(home), "TMPDIR": str(home), "LOGNAME": STUDENT}  # the system may know no name for this user
    return {**kept, **packages, **own, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def _as_stdout(output: NotebookNode) -> NotebookNode:
    """A warning is no failure, but nbgrader takes whatever stands on stderr for one."""
    if output.output_type == "stream":
        output.name = "stdout"
    return output


def _scores(folder: Path, name: str, notebook: NotebookNode, seen: NotebookNode) -> dict[str, Any]:
    """Let nbgrader score the notebook that was run, and write a page of what the student shall see of it."""
    handed_in = folder / "submitted" / STUDENT / name
    handed_in.mkdir(parents=True)
    nbformat.write(notebook, handed_in / f"{name}.ipynb")
    # It has been run: what would clear its outputs, and what would run it, are left out.
    own = {"sanitize_preprocessors": ["DeduplicateIds", "OverwriteKernelspec", "OverwriteCells", "CheckCellMetadata"],
           "autograde_preprocessors": ["LimitOutput", "SaveAutoGrades", "CheckCellMetadata"]}  # fmt: skip
    api = nbgrader(
        folder,
        Autograde={key: [f"nbgrader.preprocessors.{pp}" for pp in value] for key, value in own.items()},
        HTMLExporter={"sanitize_html": True},
    )
    if not (done := api.autograde(name, STUDENT))["success"]:
        raise RuntimeError(done.get("error") or done.get("log"))
    scored = folder / "autograded" / STUDENT / name / f"{name}.ipynb"
    page = without_markup(_read(scored))
    for cell, shown in zip(page.cells, seen.cells):
        if cell.cell_type == "code":
            cell.source, cell.outputs = shown.source, shown.outputs
    nbformat.write(page, scored)
    no_page = [] if api.generate_feedback(name, STUDENT)["success"] else ["the feedback page could not be made"]
    with api.gradebook as gradebook:
        (book,) = gradebook.find_submission(name, STUDENT).notebooks
        points = {grade.name: None if grade.needs_manual_grade else grade.auto_score for grade in book.grades}
    graded = {cell.metadata.nbgrader.grade_id: cell for cell in seen.cells if mark(cell).get("grade")}
    return {
        "points": points,
        "failures": {key: _why(cell) for key, cell in graded.items() if points[key] == 0},
        "answers": {key: cell.source for key, cell in graded.items() if cell.cell_type == "markdown"},
        "remarks": no_page,
    }


def _written(notebook: NotebookNode, released: NotebookNode) -> dict[str, Any]:
    """The answers to read of a notebook that nbgrader has not seen; one left as it was given out has no points."""
    stubs = [cell.source for cell in released.cells]
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown" and mark(cell).get("grade")]
    answers = {mark(cell)["grade_id"]: cell.source for cell in cells}
    return {"answers": answers, "points": {key: None for key, text in answers.items() if text not in stubs}}


def without_markup(notebook: NotebookNode) -> NotebookNode:
    """The notebook with HTML in a student's text as text: the page would run its scripts. (nbgrader cleans outputs.)"""
    for cell in notebook.cells:
        if cell.cell_type != "code" and not mark(cell).get("locked"):
            cell.source = TAG.sub("&lt;", cell.source)
    return notebook


def _remarks(notebook: NotebookNode) -> list[str]:
    """What an instructor should know of the answers themselves, before any test."""
    remarks = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    modules = imported(cell.source for cell in code)
    for cell in code:
        if mark(cell).get("locked"):
            continue
        name = mark(cell).get("grade_id", "a cell added")
        if found := reached_for(cell.source, modules):
            remarks.append(f"{name}: reaches for {', '.join(found)}")
        if mark(cell).get("solution") and (found := sorted(set(READY_MADE.findall(cell.source)))):
            remarks.append(f"{name}: uses {', '.join(found)}")
        if mark(cell) and (own := [error for error in _errors(cell) if error.ename != execute.NOT_RUN]):
            remarks.append(f"{name}: {_line(own[-1])}")
    return remarks


def _why(cell: NotebookNode) -> str:
    """Why a graded cell has no points."""
    errors = _errors(cell)
    return _line(errors[-1]) if errors else "no answer"


def _errors(cell: NotebookNode) -> list[NotebookNode]:
    return [out for out in cell.get("outputs", []) if out.output_type == "error"]


def _line(error: NotebookNode) -> str:
    return f"{error.ename}: {' '.join(error.evalue.split())}"[:500]


def _clean(text: str) -> str:
    """Without what a terminal would take for a command."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def _leave(folder: Path, **result: Any) -> None:
    whole = {"points": {}, "failures": {}, "answers": {}, **result}
    whole["remarks"] = [_clean(remark) for remark in whole["remarks"]]
    for texts in ("failures", "answers"):
        whole[texts] = {key: _clean(text) for key, text in whole[texts].items()}
    (folder / RESULT).write_text(json.dumps(whole), encoding="utf-8")


if __name__ == "__main__":
    end_with(sys.stdin.fileno())
    main(Path(sys.argv[1]))
