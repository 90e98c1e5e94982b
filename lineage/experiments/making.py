"""A checkpoint in the cache: found, or made by one process and only once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from lineage.common.checkpoint import is_intact
from lineage.common.locks import alone
from lineage.common.resume import kept
from lineage.common.together import as_the_first, barrier, is_first


def find_or_make(path: Path, make: Callable[[Path], None]) -> None:
    """Call ``make(work_dir)``, which writes ``path``, unless an earlier run or another one has written it.

    The processes of one job make it together, for which the first holds the lock. ``work_dir`` holds what a killed run
    goes on from. It is removed when ``path`` is safe.
    """
    work_dir = path.with_suffix(".work")
    if as_the_first(lambda: kept(path) is None):
        with alone(path) if is_first() else nullcontext():
            if as_the_first(lambda: not is_intact(path)):  # another run may have made it meanwhile
                if is_first():
                    for half in work_dir.rglob(".*.safetensors"):  # a killed run was writing it
                        half.unlink()
                make(work_dir)
    if is_first():  # a run may have been killed after it wrote the one, before the other
        shutil.rmtree(work_dir, ignore_errors=True)
    barrier()
