"""One process at a time does a piece of work that is kept for all: who comes second waits, and then finds it done.

A lock is the operating system's (``flock``), on an empty file in the folder ``.locks`` beside what is made: it ends
with the process that holds it, however that ends, so a dead owner's work is taken over at once. The empty file stays:
who deleted it could let two in.

Several machines on one cache: Linux's NFS hands the lock to the server, for all machines (version 4, or version 3 with
its lock daemon), and gives up that of a machine that died when its lease is over (NFSv4: 90 s as a rule). Mounted with
``nolock`` or ``local_lock`` it holds within one machine only: give each machine a cache of its own then.
"""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = ".locks"
LOOK_EVERY_SECONDS = 0.5
ELSEWHERE = "--cache or $LINEAGE_CACHE names another folder for what is kept"
log = logging.getLogger("lineage")


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Make the file or folder ``target`` with no other process making it at the same time.

    Waits, and says for whom, while another one holds it. Whether ``target`` is there is to be asked inside: the other
    one may just have made it. What an earlier owner was writing when it was killed is removed first.

    Raises:
        OSError: the folder cannot be written, or its file system has no locks.
    """
    folder = target.parent / FOLDER
    owner = folder / f"{target.name}.owner"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{target.name}.lock")
        _acquire(lock, target, owner)
    except NotImplementedError:
        raise OSError(
            f"{folder}: its file system has no locks; give --cache or $LINEAGE_CACHE another folder"
        ) from None
    except OSError as error:
        raise OSError(f"{target}: cannot be made: {error.strerror or error}; {ELSEWHERE}") from None
    try:
        _sweep(target)
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        owner.write_text(json.dumps(facts), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, target: Path, owner: Path) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("%s: waiting for %s, which works on it", target, _told(owner))
        lock.acquire(poll_interval=LOOK_EVERY_SECONDS)


def _told(owner: Path) -> str:
    """Who holds a lock, in words."""
    try:
        facts = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']} (since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has not said yet, or is just done
        return "another process"


def _sweep(target: Path) -> None:
    """Remove temporary files and folders of ``target``, and in it, that nobody is writing any more."""
    name = target.name.removesuffix(".safetensors")  # what lies beside a checkpoint has its name and another suffix
    for path in (*target.parent.glob(f".{glob.escape(name)}.*"), *target.glob(".*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
