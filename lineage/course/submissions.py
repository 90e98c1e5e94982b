"""What has been handed in: notebooks in the layouts that nbgrader and learning-management systems use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ALONE = "me"  # whose one notebook it is that somebody grades alone


@dataclass(frozen=True)
class Submission:
    """One student's notebook for one assignment."""

    student: str
    assignment: str
    path: Path


def find_submissions(place: Path, assignments: Sequence[str]) -> list[Submission]:
    """The submissions below a folder, or the one that a file is; by student, then by assignment.

    Found are STUDENT/NAME/NAME.ipynb (nbgrader), STUDENT/NAME.ipynb (Moodle) and STUDENT_NAME.ipynb (Canvas, which
    adds -1, -2, ... to later versions: the last counts). STUDENT is whatever stands there.

    Raises:
        ValueError: there is none.
    """
    if place.is_file():
        names = [name for name in assignments if re.fullmatch(rf".*{name}(-\d+)?", place.stem)]
        found = {(ALONE, name): place for name in names}
    else:
        found = _in_folder(place, assignments)
    if not found:
        choices = ", ".join(assignments)
        raise ValueError(f"{place}: no submission; expected is STUDENT/NAME.ipynb, with a NAME out of {choices}")
    return [Submission(student, name, path) for (student, name), path in sorted(found.items())]


def _in_folder(folder: Path, assignments: Sequence[str]) -> dict[tuple[str, str], Path]:
    found: dict[tuple[str, str], Path] = {}
    versions: dict[tuple[str, str], int] = {}
    for name in assignments:
        for path in [*folder.glob(f"*/{name}.ipynb"), *folder.glob(f"*/{name}/{name}.ipynb")]:
            found[path.relative_to(folder).parts[0], name] = path
        for path in folder.glob("*.ipynb"):
            if match := re.fullmatch(rf"(.+)_{name}(?:-(\d+))?", path.stem):
                key, version = (match[1], name), int(match[2] or 0)
                if version >= versions.get(key, 0):
                    found[key], versions[key] = path, version
    return found
