"""A folder that is there for a while, with solutions and hidden tests in it: nobody else's, and never for good."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "lineage-course-"
HOLDING = 60  # seconds in which who has made a folder surely holds it


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of this process's. Those that a killed one of the same user has left are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _held(left):
            if time.time() - left.stat().st_mtime > HOLDING:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, _held(Path(name)):
        yield Path(name)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """With a lock on the folder, which ends with this process at the latest.

    Raises:
        OSError: somebody else has it, or it is no folder of this user's.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(opened).st_uid != os.geteuid():
            raise PermissionError(f"{folder}: another user's")
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)
