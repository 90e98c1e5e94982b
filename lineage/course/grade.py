"""Grade a folder of submissions: in parallel, each in processes of its own that it cannot bring others down from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lineage.common.checkpoint import write_atomically
from lineage.common.progress import track
from lineage.course import worker
from lineage.course.gradebook import Graded, most_points, page_path, record_path, write_tables
from lineage.course.submissions import Submission, find_submissions
from lineage.course.workplace import assignments, prepare

MOST_BYTES = 20_000_000  # of a notebook that is handed in
GRACE = 120  # seconds for nbgrader itself, on top of what a submission's code may take


@dataclass(frozen=True)
class Limits:
    """What one submission may use. An assignment that needs more time says so in its notebook's metadata."""

    seconds: float = 300
    seconds_a_cell: float = 60
    memory: int = 4 * 2**30  # bytes of data, in each of its processes; together at most twice that


def grade(
    source: Path,
    submitted: Path,
    out: Path,
    *,
    jobs: int | None = None,
    limits: Limits | None = None,
    show_hidden: bool = False,
) -> list[Graded]:
    """Grade every submission, write a page of feedback for each below ``out``, and the tables of all graded there.

    What has been graded before, and has not changed since, is taken from ``out``: so an interrupted run goes on.

    Args:
        source: the instructor's assignments, with solutions and hidden tests.
        submitted: a folder of students' notebooks, or one notebook.
        jobs: submissions at once; None is one a core.
        show_hidden: the feedback has the code of hidden tests, too.
    Raises:
        ValueError: no assignment or no submission, or nbgrader refuses an assignment.
    """
    handed_in = find_submissions(submitted, assignments(source))
    settings = {**asdict(limits or Limits()), "show_hidden": show_hidden}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name in sorted({one.assignment for one in handed_in}):
            (root / name).mkdir()
            prepare(root / name, source, name)
        out.mkdir(parents=True, exist_ok=True)  # there before anybody could look into it
        run = _Run(root, out, settings, [source, submitted if submitted.is_dir() else submitted.parent, out, root])
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
            try:
                for _ in track(pool.map(run.grade, handed_in), "grade", len(handed_in)):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                run.stop()
                raise
    return write_tables(out)


class _Run:
    """One run of grading: where things are, and the processes that are at work."""

    def __init__(self, prepared: Path, out: Path, settings: dict[str, Any], hidden: Sequence[Path]) -> None:
        self.prepared, self.out, self.settings = prepared, out, settings
        self.hidden = [str(path.resolve()) for path in hidden if _may_hide(path)]
        self.at_work: set[subprocess.Popen] = set()
        self.stopped = False

    def grade(self, one: Submission) -> None:
        """Leave a record of the submission, unless there is one of this very notebook."""
        settings = self._settings_for(one.assignment)
        digest = self._digest(one, settings)
        record = record_path(self.out, one.student, one.assignment)
        if record.is_file() and Graded.read(record).digest == digest:
            return
        page_path(self.out, one.student, one.assignment).unlink(missing_ok=True)
        facts = self._facts(one, settings)
        most = most_points(self._source(one.assignment))
        if not facts["points"]:
            facts |= {"points": dict.fromkeys(most, 0.0), "failures": dict.fromkeys(most, facts["remarks"][-1])}
        graded = Graded(student=one.student, assignment=one.assignment, most=most, digest=digest, **facts)
        write_atomically(record, graded.write)

    def stop(self) -> None:
        """Kill what is at work; nothing of it is kept."""
        self.stopped = True
        for process in tuple(self.at_work):
            _kill(process)

    def _source(self, assignment: str) -> Path:
        return self.prepared / assignment / "source" / assignment / f"{assignment}.ipynb"

    def _settings_for(self, assignment: str) -> dict[str, Any]:
        """The run's; with more time where the notebook's metadata ask for it: ``{"lineage": {"seconds": ...}}``."""
        own = json.loads(self._source(assignment).read_text(encoding="utf-8"))["metadata"].get("lineage", {})
        return {**self.settings, **{key: max(value, self.settings[key]) for key, value in own.items()}}

    def _digest(self, one: Submission, settings: dict[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(settings).encode())
        for path in (self._source(one.assignment), one.path):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _facts(self, one: Submission, settings: dict[str, Any]) -> dict[str, Any]:
        """Have a process of its own grade; its result, or one that says why there is none."""
        if (size := one.path.stat().st_size) > MOST_BYTES:
            return _nothing(f"{size / 1e6:.0f} MB, more than the {MOST_BYTES / 1e6:.0f} that are read")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "course"
            shutil.copytree(self.prepared / one.assignment, folder)
            hidden = [*self.hidden, str(folder)]
            job = {"assignment": one.assignment, "path": str(one.path.resolve()), "hidden": hidden, **settings}
            (folder / worker.JOB).write_text(json.dumps(job), encoding="utf-8")
            if said := self._run_worker(folder, settings["seconds"] + GRACE):
                return _nothing(said)
            page = folder / "feedback" / worker.STUDENT / one.assignment / f"{one.assignment}.html"
            if page.is_file():
                kept = page_path(self.out, one.student, one.assignment)
                write_atomically(kept, lambda path: shutil.copyfile(page, path))
            return json.loads((folder / worker.RESULT).read_text(encoding="utf-8"))

    def _run_worker(self, folder: Path, seconds: float) -> str | None:
        """Start it and wait so long; why it has left no result, if so."""
        process = subprocess.Popen(
            [sys.executable, "-m", "lineage.course.worker", str(folder)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self.at_work.add(process)
        try:
            if self.stopped:  # since this one was taken from the queue
                raise InterruptedError("grading was stopped")
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"grading took longer than {seconds:g} s"
        finally:
            _kill(process)
            self.at_work.discard(process)
        if self.stopped:
            raise InterruptedError("grading was stopped")
        if (folder / worker.RESULT).is_file():
            return None
        last = (said.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        return f"could not be graded: {last.strip()[:300]}"


def _kill(process: subprocess.Popen) -> None:
    """The process and whatever is left of what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _may_hide(path: Path) -> bool:
    """Not what does not exist yet, nor where Python, this package and temporary folders are."""
    needed = [Path(place).resolve() for place in (sys.prefix, sys.base_prefix, __file__, tempfile.gettempdir())]
    return path.is_dir() and not any(path.resolve() in (place, *place.parents) for place in needed)


def _nothing(remark: str) -> dict[str, Any]:
    return {"points": {}, "failures": {}, "answers": {}, "remarks": [remark]}
