"""Grade a folder of submissions: in parallel, each in processes of its own that it cannot bring others down from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lineage.common.checkpoint import write_atomically
from lineage.common.progress import track
from lineage.course import worker
from lineage.course.gradebook import Graded, most_points, page_path, record_path, write_tables
from lineage.course.sandbox import KINDS, sandbox, showing, why_not
from lineage.course.submissions import Submission, find_submissions
from lineage.course.temporary import temporary_folder
from lineage.course.watch import kill, leash
from lineage.course.workplace import assignments, prepare

MOST_BYTES = 20_000_000  # of a notebook that is handed in
RUNS = 2  # of a submission at most: with the hidden tests, and without, for what its student sees
GRADING = 120  # seconds for nbgrader itself, on top of what a submission's code may take

log = logging.getLogger(__name__)


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
    unprotected: bool = False,
) -> list[Graded]:
    """Grade every submission, write a page of feedback for each below ``out``, and the tables of all graded there.

    What has been graded before, and has not changed since, is taken from ``out``: so an interrupted run goes on.

    Args:
        source: the instructor's assignments, with solutions and hidden tests.
        submitted: a folder of students' notebooks, or one notebook.
        jobs: submissions at once; None is one a core.
        show_hidden: the feedback has the code of hidden tests, too.
        unprotected: where no sandbox works, do without: whoever wrote a submission can do all that this user can.
    Raises:
        ValueError: no assignment or no submission, nbgrader refuses an assignment, no sandbox works here, or it would
            show one of these folders to submissions. Root never does without a sandbox.
    """
    _require_sandbox(unprotected)
    for path in (source, submitted, out):
        _require_hidden(path)
    handed_in = find_submissions(submitted, assignments(source))
    settings = {**asdict(limits or Limits()), "show_hidden": show_hidden}
    with temporary_folder() as root:
        _require_hidden(root)
        for name in sorted({one.assignment for one in handed_in}):
            (root / name).mkdir()
            prepare(root / name, source, name)
            own_limits(source / name / f"{name}.ipynb")
        run = _Run(root, out, settings)
        with ThreadPoolExecutor(jobs or _cores()) as pool:
            try:
                for _ in track(pool.map(run.grade, handed_in), "grade", len(handed_in)):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                run.stop()
                raise
    return write_tables(out)


def _require_sandbox(unprotected: bool) -> None:
    root = os.geteuid() == 0
    if sandbox() is not None or (unprotected and not root):
        return
    tried = "; ".join(f"{kind}: {why_not(kind)}" for kind in KINDS)
    way = "root does not grade without one" if root else "give --unprotected for work that you trust as your own"
    raise ValueError(f"no sandbox works here ({tried}): install bubblewrap, or grade in a virtual machine; {way}")


def _require_hidden(path: Path) -> None:
    if sandbox() is not None and (top := showing(path)) is not None:
        raise ValueError(f"{path}: submissions could read what is there, since Python needs {top}: move it elsewhere")


class _Run:
    """One run of grading: where things are, and the processes that are at work."""

    def __init__(self, prepared: Path, out: Path, settings: dict[str, Any]) -> None:
        self.prepared, self.out, self.settings = prepared, out, settings
        self.at_work: set[subprocess.Popen] = set()
        self.stopped = False

    def grade(self, one: Submission) -> None:
        """Leave a record of the submission, unless there is one of this very notebook."""
        settings = self._settings_for(one.assignment)
        try:
            content, facts = _content(one.path), None
        except ValueError as error:
            content, facts = b"", _nothing(str(error))
        digest = self._digest(one, settings, content)
        record = record_path(self.out, one.student, one.assignment)
        if record.is_file() and Graded.read(record).digest == digest:
            return
        page_path(self.out, one.student, one.assignment).unlink(missing_ok=True)
        try:
            facts = facts or self._facts(one, settings, content)
        except _Failed as error:  # not the submission's fault, perhaps: without a digest the next call tries again
            facts, digest = _nothing(f"could not be graded: {error}"), ""
            log.warning("%s, %s: could not be graded; the same command tries again", one.student, one.assignment)
        most = most_points(self._source(one.assignment))
        facts["points"] = {**dict.fromkeys(most, 0.0), **(given := facts["points"])}
        facts["failures"] |= {key: facts["remarks"][-1] for key in most if key not in given}
        graded = Graded(student=one.student, assignment=one.assignment, most=most, digest=digest, **facts)
        write_atomically(record, graded.write)

    def stop(self) -> None:
        """Kill what is at work; nothing of it is kept."""
        self.stopped = True
        for process in tuple(self.at_work):
            kill(process)

    def _source(self, assignment: str) -> Path:
        return self.prepared / assignment / "source" / assignment / f"{assignment}.ipynb"

    def _settings_for(self, assignment: str) -> dict[str, Any]:
        """The run's, but at least what the notebook's metadata ask for."""
        own = own_limits(self._source(assignment))
        return {**self.settings, **{key: max(value, self.settings[key]) for key, value in own.items()}}

    def _digest(self, one: Submission, settings: dict[str, Any], content: bytes) -> str:
        source = self._source(one.assignment).read_bytes()
        return hashlib.sha256(b"".join([json.dumps(settings).encode(), source, content])).hexdigest()

    def _facts(self, one: Submission, settings: dict[str, Any], content: bytes) -> dict[str, Any]:
        """Have a process of its own grade; its result.

        Raises:
            _Failed: it has left none.
        """
        with tempfile.TemporaryDirectory(dir=self.prepared) as temporary:
            folder = Path(temporary) / "course"
            shutil.copytree(self.prepared / one.assignment, folder)
            (folder / worker.HANDED_IN).write_bytes(content)
            job = {"assignment": one.assignment, "sandbox": sandbox(), **settings}
            (folder / worker.JOB).write_text(json.dumps(job), encoding="utf-8")
            self._run_worker(folder, RUNS * settings["seconds"] + GRADING)
            page = folder / "feedback" / worker.STUDENT / one.assignment / f"{one.assignment}.html"
            if page.is_file():
                kept = page_path(self.out, one.student, one.assignment)
                write_atomically(kept, lambda path: shutil.copyfile(page, path))
            return json.loads((folder / worker.RESULT).read_text(encoding="utf-8"))

    def _run_worker(self, folder: Path, seconds: float) -> None:
        """Start it and wait so long."""
        with leash() as end:
            process = subprocess.Popen(
                [sys.executable, "-m", "lineage.course.worker", str(folder)],
                stdin=end, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                env={**os.environ, "TMPDIR": str(folder)}, start_new_session=True,
            )  # fmt: skip
            self.at_work.add(process)
            try:
                if self.stopped:  # since this one was taken from the queue
                    raise InterruptedError("grading was stopped")
                said, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise _Failed(f"took longer than {seconds:g} s") from None
            finally:
                kill(process)
                self.at_work.discard(process)
        if self.stopped:
            raise InterruptedError("grading was stopped")
        if not (folder / worker.RESULT).is_file():
            last = (said.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
            raise _Failed(last.strip()[:300])


class _Failed(Exception):
    """A submission was not graded, for a reason that another time may not be there."""


def _content(path: Path) -> bytes:
    """What was handed in.

    Raises:
        ValueError: it is too large, a link to something else, or cannot be read.
    """
    try:
        if path.is_symlink():
            raise ValueError("a link to another file, not a notebook")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{size / 1e6:.0f} MB, more than the {MOST_BYTES / 1e6:.0f} that are read")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def own_limits(path: Path) -> dict[str, float]:
    """The limits that an assignment asks for in its notebook's metadata: ``{"lineage": {"seconds": 900}}``.

    Raises:
        ValueError: one that does not exist, or is not a number.
    """
    own = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("lineage", {})
    names = [one.name for one in fields(Limits)]
    for key, value in own.items():
        if key not in names or isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{path.name}: metadata lineage: {key}: {value!r}; expected numbers of {', '.join(names)}")
    return own


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _nothing(remark: str) -> dict[str, Any]:
    return {"points": {}, "failures": {}, "answers": {}, "remarks": [remark]}
