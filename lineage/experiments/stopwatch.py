"""Seconds of a piece of work that may be interrupted and gone on with."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lineage.common.checkpoint import write_atomically


@contextlib.contextmanager
def stopwatch(kept: Path) -> Iterator[Callable[[], float]]:
    """Seconds spent on a piece of work, those of interrupted runs included: ``kept`` has them until it is done."""
    before = float(kept.read_text()) if kept.exists() else 0.0
    start = time.perf_counter()

    def seconds_so_far() -> float:
        return before + time.perf_counter() - start

    try:
        yield seconds_so_far
    except BaseException:  # Ctrl-C too
        write_atomically(kept, lambda path: path.write_text(str(seconds_so_far())))
        raise
    kept.unlink(missing_ok=True)
