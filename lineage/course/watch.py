"""Wait for a process, and see that it and all that it has started stay within limits of time, memory and number."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator

import psutil

INTERVAL = 0.5  # seconds between two looks
MOST_PROCESSES, MOST_THREADS = 100, 1000


class BeyondLimits(Exception):
    """The message says which."""


def watch(process: subprocess.Popen, seconds: float, memory: int) -> None:
    """Return when the process has ended; whoever catches the exception should :func:`kill` it.

    Args:
        memory: bytes, of all of them together.
    Raises:
        BeyondLimits: it takes longer, has more memory or has started more processes or threads than are allowed.
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
        if sum(map(_threads, started)) > MOST_THREADS:
            raise BeyondLimits(f"started more than {MOST_THREADS} threads")
        if sum(map(_memory, started)) > memory:
            raise BeyondLimits(f"its processes together took more than {memory / 2**30:.3g} GB")


def kill(process: subprocess.Popen) -> None:
    """The process and all that it has started."""
    for one in _family(process.pid) if process.poll() is None else []:
        with contextlib.suppress(psutil.Error):
            one.kill()
    process.wait()


@contextlib.contextmanager
def leash() -> Iterator[int]:
    """The end of a pipe, for a process that shall :func:`end_with` this one: nobody but this one has the other."""
    end, held = os.pipe()
    try:
        yield end
    finally:
        os.close(end)
        os.close(held)


def end_with(end: int) -> None:
    """From now on, end when the process that holds the :func:`leash` has ended, however that was.

    A signal for a parent's death would not reach who has become another user since.
    """

    def wait() -> None:
        os.read(end, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    """What it has to itself, and its part of what it shares with others."""
    try:
        try:
            used = process.memory_full_info()
        except psutil.AccessDenied:  # it keeps that to itself, but not its size
            used = process.memory_info()
        return getattr(used, "pss", used.rss)  # macOS has no such figure
    except psutil.Error:  # it has ended, is about to, or is none of ours
        return 0


def _threads(process: psutil.Process) -> int:
    try:
        return process.num_threads()
    except psutil.Error:
        return 0
