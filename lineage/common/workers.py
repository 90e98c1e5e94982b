"""Work in several processes, which end with the one that started them, however that ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
LOOK_EVERY_SECONDS = 0.5


def in_processes(
    work: Callable[..., T], tasks: Iterable[tuple[Any, ...]], jobs: int | None = None, *, ordered: bool = True
) -> Iterator[T]:
    """``work(*task)`` of each task, by so many processes (None: one a core; 1: this one).

    Args:
        ordered: results come in the order of the tasks; else as they are done.
    """
    from joblib import Parallel, delayed

    parent, here = os.getpid(), os.getcwd()
    # What is handed over goes through pipes: files in /dev/shm would outlive a process that is killed.
    parallel = Parallel(
        n_jobs=jobs or os.cpu_count() or 1, return_as="generator" if ordered else "generator_unordered",
        max_nbytes=None, initializer=_end_with, initargs=(parent,),
    )  # fmt: skip
    return iter(parallel(delayed(_work_for)(parent, here, work, task) for task in tasks))


def _work_for(parent: int, folder: str, work: Callable[..., T], task: tuple[Any, ...]) -> T:
    """Processes are kept from one call to the next, and relative paths are meant from where the caller was at it."""
    if os.getpid() != parent:  # the caller's own folder is the caller's business
        os.chdir(folder)
    return work(*task)


def _end_with(parent: int) -> None:
    """In a new process: watch the one that it works for."""
    if os.getpid() != parent:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_SECONDS)
    os._exit(1)
