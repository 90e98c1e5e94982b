"""From the instructor's source to what students get: no solutions, no hidden tests, no outputs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lineage.course.workplace import assignments, prepare


def release(source: Path, out: Path) -> list[Path]:
    """Write the students' version of every assignment below ``out``; the notebooks written.

    A folder that is there already is replaced as a whole: nobody edits a release.

    Raises:
        ValueError: ``source`` has no assignment, or nbgrader refuses one.
    """
    written = []
    for name in assignments(source):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            prepare(root, source, name)
            shutil.rmtree(out / name, ignore_errors=True)
            out.mkdir(parents=True, exist_ok=True)
            shutil.copytree(root / "release" / name, out / name)
        written.append(out / name / f"{name}.ipynb")
    return written
