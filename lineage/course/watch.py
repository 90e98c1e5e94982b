"""Wait for a process, and see that it and all that it has started stay within limits of time, memory and number."""

from __future__ import annotations

import contextlib
import subprocess
import time

import psutil

INTERVAL = 0.25  # seconds between two looks
MOST_PROCESSES = 100


class BeyondLimits(Exception):
    """The message says which."""


def watch(process: subprocess.Popen, seconds: float, memory: int) -> None:
    """Return when the process has ended; whoever catches the exception kills it.

    Args:
        memory: bytes, not counting what may be shared with others, of all of them together.
    Raises:
        BeyondLimits: it takes longer, has more memory or has started more than :data:`MOST_PROCESSES`.
    """
    last = time.monotonic() + seconds
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(INTERVAL)
            return
        if time.monotonic() > last:
            raise BeyondLimits(f"took longer than {seconds:g} s")
        started = _family(process.pid)
        if len(started) > MOST_PROCESSES:
            raise BeyondLimits(f"started more than {MOST_PROCESSES} processes")
        if sum(map(_own_memory, started)) > memory:
            raise BeyondLimits(f"its processes together took more than {memory / 2**30:.3g} GB")


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _own_memory(process: psutil.Process) -> int:
    try:
        used = process.memory_info()
        return used.rss - getattr(used, "shared", 0)  # macOS has no such figure
    except psutil.Error:  # it has ended, or is about to
        return 0
