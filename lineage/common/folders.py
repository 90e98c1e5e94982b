"""A folder that is there completely, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from lineage.common.checkpoint import to_disk


def write_folder(target: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary)`` and move the folder to ``target``, which must not exist or be empty.

    Interrupted or failed, nothing of it stays. Who comes second while another process writes the same leaves the
    first one's folder as it is.

    Raises:
        OSError: ``target`` cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        write(temporary)
        temporary.chmod(0o755)  # mkdtemp's 0700 would make the result its owner's secret
        tree_to_disk(temporary)
        _move(temporary, target)
        to_disk(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def tree_to_disk(folder: Path) -> None:
    """Wait until all that a folder holds is on the disk: after a power cut no file of it is empty."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            to_disk(path)


def _move(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except OSError:
        if not is_filled(target):
            raise


def is_filled(folder: Path) -> bool:
    """Whether something lies in it."""
    return folder.is_dir() and any(folder.iterdir())
