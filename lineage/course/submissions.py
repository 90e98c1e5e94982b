"""What has been handed in: notebooks in the layouts that nbgrader and learning-management systems use."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ALONE = "me"  # whose one notebook it is that somebody grades alone
VERSION = r"(?:-(\d+)| ?\((\d+)\))?"  # that Canvas or a browser adds to a name
# What stands behind a student's name belongs to the submission, and would make another student of the next one.
MOODLE = re.compile(r"^(.+?)_\d+_assignsubmission_\w*$")
CANVAS = re.compile(r"^(.+?)(?:_LATE)?_(\d+)_\d+$")  # the first number is the student's own

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submission:
    """One student's notebook for one assignment."""

    student: str
    assignment: str
    path: Path


def find_submissions(place: Path, assignments: Sequence[str]) -> list[Submission]:
    """The submissions below a folder, or the one that a file is; by student, then by assignment.

    Found are STUDENT/NAME/NAME.ipynb (nbgrader), STUDENT/NAME.ipynb (Moodle) and STUDENT_NAME.ipynb (Canvas). Of
    several versions, NAME-1.ipynb, NAME (2).ipynb, the last counts. Notebooks that are none of these are logged.

    Raises:
        ValueError: there is none.
    """
    if place.is_file():
        names = [name for name in assignments if re.fullmatch(rf".*{re.escape(name)}{VERSION}", place.stem)]
        if not names:
            raise _none(place, assignments)
        return [Submission(ALONE, name, place) for name in names]
    found: dict[tuple[str, str], tuple[int, Path]] = {}
    others = []
    for path in sorted(place.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts or path.name.startswith("._"):  # Jupyter's own, macOS's own
            continue
        student, name, version = _whose(path.relative_to(place), assignments)
        if student in ("", ".", "..") or not path.is_file():
            others.append(path)
        elif version >= found.get((student, name), (0, path))[0]:
            found[student, name] = version, path
    if not found:
        raise _none(place, assignments)
    if others:
        first = ", ".join(str(path.relative_to(place)) for path in others[:10])
        log.warning("not graded, since not named after an assignment: %s%s", first, " ..." if others[10:] else "")
    short = _short_names(found)
    listed = [Submission(short[student], name, path) for (student, name), (_, path) in found.items()]
    return sorted(listed, key=lambda one: (one.student, one.assignment))


def _none(place: Path, assignments: Sequence[str]) -> ValueError:
    expected = f"expected is STUDENT/NAME.ipynb, with a NAME out of {', '.join(assignments)}"
    return ValueError(f"{place}: no submission; {expected}")


def _whose(path: Path, assignments: Sequence[str]) -> tuple[str, str, int]:
    """The student, the assignment and the version of a notebook; "" for all if it is no submission."""
    folders = path.parts[:-1]
    for name in assignments:
        before = "" if folders else "(.+)_"
        match = re.fullmatch(rf"{before}{re.escape(name)}{VERSION}", path.stem)
        if match and len(folders) <= 2 and folders[1:] in ((), (name,)):
            *own, canvas, browser = match.groups()
            student = folders[0] if folders else CANVAS.sub(r"\1_\2", own[0])
            return student, name, int(canvas or browser or 0)
    return "", "", 0


def _short_names(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each student's name without what Moodle adds; with it where two of one assignment would have the same."""
    found = list(found)
    short = {student: MOODLE.sub(r"\1", student) for student, _ in found}
    taken = Counter((short[student], name) for student, name in found)
    twice = {own for (own, _), times in taken.items() if times > 1}
    names = {student: student if own in twice else own for student, own in short.items()}
    return {student: name.encode("utf-8", "backslashreplace").decode() for student, name in names.items()}
