"""A checkpoint in the cache: found, or made by one process and only once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lineage.common.checkpoint import is_intact
from lineage.common.locks import alone
from lineage.common.resume import kept


def find_or_make(path: Path, make: Callable[[Path], None]) -> None:
    """Call ``make(work_dir)``, which writes ``path``, unless an earlier run or another process has written it.

    ``work_dir`` holds what a killed run goes on from. It is removed when ``path`` is safe.
    """
    work_dir = path.with_suffix(".work")
    if kept(path) is None:
        with alone(path):
            if not is_intact(path):  # another process may have made it meanwhile
                for half in work_dir.rglob(".*.safetensors"):  # a killed run was writing it
                    half.unlink()
                make(work_dir)
    shutil.rmtree(work_dir, ignore_errors=True)  # a run may have been killed after it wrote the one, before the other
