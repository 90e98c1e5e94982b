"""From the instructor's source to what students get: no solutions, no hidden tests, no outputs."""

from __future__ import annotations

import shutil
from pathlib import Path

from lineage.course.temporary import temporary_folder
from lineage.course.workplace import assignments, prepare


def release(source: Path, out: Path) -> list[Path]:
    """Write the students' version of every assignment below ``out``; the notebooks written.

    A folder that is there already is replaced as a whole: nobody edits a release.

    Raises:
        ValueError: ``source`` has no assignment, a release would take its source's place, or nbgrader refuses one.
    """
    names = assignments(source)
    for name in names:
        target, own = (out / name).resolve(), (source / name).resolve()
        if own in (target, *target.parents) or target in own.parents:
            raise ValueError(f"{out}: a release there would take the place of its own source, {own}")
    written = []
    for name in names:
        with temporary_folder() as root:
            prepare(root, source, name)
            shutil.rmtree(out / name, ignore_errors=True)
            out.mkdir(parents=True, exist_ok=True)
            shutil.copytree(root / "release" / name, out / name)
        written.append(out / name / f"{name}.ipynb")
    return written
