"""Seconds of a piece of work that may be interrupted and gone on with."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lineage.common.checkpoint import write_atomically
from lineage.common.together import is_first


@contextlib.contextmanager
def stopwatch(kept: Path) -> Iterator[Callable[[], float]]:
    """Seconds spent on a piece of work, those of interrupted runs included; ``kept`` has them.

    A run that was killed counts up to when it last wrote a file into the folder of ``kept``, as it does once a minute.
    The file stays: it goes with the folder when the work is safe.
    """
    before = _spent(kept)
    start = time.perf_counter()

    def seconds_so_far() -> float:
        return before + time.perf_counter() - start

    def keep(since: float | None) -> None:
        if not is_first():
            return
        text = json.dumps({"seconds": seconds_so_far(), "since": since})
        write_atomically(kept, lambda path: path.write_text(text, encoding="utf-8"))

    keep(time.time())
    try:
        yield seconds_so_far
    finally:
        keep(None)


def _spent(kept: Path) -> float:
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        seconds, since = float(found["seconds"]), found["since"]
        if since is None:
            return seconds
        written = max(path.stat().st_mtime for path in kept.parent.rglob("*"))
        return seconds + max(0.0, written - since)
    except (OSError, ValueError, TypeError, KeyError):  # not there, or damaged: counted from now
        return 0.0
