"""Checkpoints: tensors as safetensors, facts as JSON. Never a pickle, never half a file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()  # once: asking sets it, which no other thread may see


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or was made for something else."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary)`` and move the result to ``path``: readers see the old file or the new one."""
    with replacing(path) as temporary:
        write(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to that takes the place of ``path`` at the end of the block, and vanishes if the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_UMASK)  # mkstemp's 0600 would make the result its owner's secret
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def save_checkpoint(path: str | Path, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write PATH.safetensors (tensors) with ``facts`` (JSON) in the file's own header."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    metadata = {"lineage": json.dumps(facts, sort_keys=True)}
    write_atomically(Path(path), lambda temporary: save_file(contiguous, temporary, metadata))


def load_checkpoint(path: str | Path, expect: dict[str, Any] | None = None) -> tuple[dict[str, Tensor], dict]:
    """Read (state, facts).

    Raises:
        CheckpointError: no such file, damaged, another program's, or a fact differs from ``expect`` (one sentence
            that names the file, the field and both values), for example another class list.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        facts = _facts(path)
        state = load_file(path)
    except Exception as error:  # safetensors raises its own Rust error types
        if _is_pickle(path):
            raise CheckpointError(
                f"{path}: not a lineage checkpoint but a pickle, as torch.save writes: it does not say which detector "
                "it is (and could run code); python -m lineage.train makes checkpoints"
            ) from None
        raise CheckpointError(f"{path}: damaged or not a lineage checkpoint ({error})") from None
    for field, wanted in (expect or {}).items():
        found = facts.get(field)
        if json.dumps(found, sort_keys=True) != json.dumps(wanted, sort_keys=True):
            raise CheckpointError(f"{path}: {field} is {found!r}, but {wanted!r} is wanted")
    return state, facts


def _is_pickle(path: Path) -> bool:
    """By its first bytes: torch.save's zip archive, or the bare pickle of old versions."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", b"\x80"))


def _facts(path: Path) -> dict:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if "lineage" not in metadata:
        raise ValueError("safetensors of another program: its header has no facts of a detector")
    return json.loads(metadata["lineage"])
