"""A course folder of nbgrader's, made for one release or one submission and thrown away."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Any

COURSE = "lineage"


def assignments(source: Path) -> list[str]:
    """The names of the assignments in a source folder: those of its subfolders with a notebook of the same name.

    Raises:
        ValueError: there is none.
    """
    names = sorted(path.name for path in source.glob("*") if (path / f"{path.name}.ipynb").is_file())
    if not names:
        raise ValueError(f"{source}: has no assignment, a folder NAME with NAME.ipynb in it")
    return names


def require_nbgrader() -> None:
    """Raise ValueError where nothing can be released or graded: nbgrader is missing, or this is Windows."""
    if os.name != "posix":
        raise ValueError("grading needs Linux or macOS; on Windows, use its subsystem for Linux")
    if importlib.util.find_spec("nbgrader") is None:
        raise ValueError('nbgrader is missing: python -m pip install -e ".[course]"')


def nbgrader(root: Path, **settings: dict[str, Any]) -> Any:
    """nbgrader's programming interface on a course folder; ``settings`` are its own, by class.

    Raises:
        ValueError: nbgrader is not installed.
    """
    require_nbgrader()
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    if shutil.which("alembic") is None:  # nbgrader calls it; it is beside Python where a venv is not activated
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    own = {"CourseDirectory": {"root": str(root), "course_id": COURSE}}
    return NbGraderAPI(config=Config({**own, **settings}))


def prepare(root: Path, source: Path, name: str) -> Any:
    """Copy an assignment's source into a course folder and let nbgrader make the release; its interface.

    Raises:
        ValueError: nbgrader refuses the source; the message has its words.
    """
    shutil.copytree(source / name, root / "source" / name)
    api = nbgrader(root)
    done = api.generate_assignment(name)
    if not done["success"]:
        raise ValueError(f"{source / name}: nbgrader cannot release it: {_last_lines(done)}")
    return api


def _last_lines(done: dict[str, Any]) -> str:
    return " ".join((done.get("error") or done.get("log") or "no reason given").strip().splitlines()[-3:])
