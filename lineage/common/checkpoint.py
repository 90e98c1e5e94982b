"""Checkpoints: tensors as safetensors, facts as JSON. Never a pickle, never half a file, never another file's bytes.

What is saved carries a SHA-256 in its header, of every byte of the file, with zeros where the digest itself stands. It
is checked when the file is read. A file that has none, made before there were digests, is read as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lineage.common.values import shown


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()  # once: asking sets it, which no other thread may see


SIGNED = "lineage sha256"  # the header's one field: the digest, a space, the facts
UNSIGNED = "lineage"  # the same before there were digests: the facts alone
UNKNOWN = b"0" * 64  # stands for the digest while it is taken
DIGEST = re.compile(rb'\{"__metadata__":\{"lineage sha256":"([0-9a-f]{64}) ')
BLOCK = 2**20  # bytes that are read at once


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or was made for something else."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary)`` and move the result to ``path``: readers see the old file or the new one."""
    with replacing(path) as temporary:
        write(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to that takes the place of ``path`` at the end of the block, and vanishes if the block fails.

    What it holds is on the disk before it has the name, and the name before this returns: a power cut leaves the old
    file or the new one, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_UMASK)  # mkstemp's 0600 would make the result its owner's secret
        to_disk(Path(name))
        os.replace(name, path)
        to_disk(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    with suppress(OSError) if path.is_dir() else nullcontext():  # not every system lets a folder be opened
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_checkpoint(path: str | Path, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write PATH.safetensors (tensors) with ``facts`` (JSON) in the file's own header."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    metadata = {SIGNED: f"{UNKNOWN.decode()} {json.dumps(facts, sort_keys=True)}"}

    def write(temporary: Path) -> None:
        try:
            save_file(contiguous, temporary, metadata)
        except SafetensorError as error:  # a full disk, for one
            raise OSError(f"{path}: cannot be written: {error}") from None
        with temporary.open("r+b") as file:
            place, _, digest = _digests(file)
            file.seek(place)
            file.write(digest)

    write_atomically(Path(path), write)


def is_intact(path: Path) -> bool:
    """Whether a file that :func:`save_checkpoint` wrote is there, to the byte. One pass over it, in little memory."""
    try:
        with path.open("rb") as file:
            _, said, digest = _digests(file)
    except (OSError, ValueError):
        return False
    return said == digest


def _digests(file: BinaryIO) -> tuple[int, bytes, bytes]:
    """Where a file's digest stands, what it says, and what is true.

    Raises:
        ValueError: the header is cut off, or has none.
    """
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if length > os.fstat(file.fileno()).st_size:
        raise ValueError("its header is longer than the file")
    header = file.read(length)
    found = DIGEST.match(header)
    if not found:
        raise ValueError("its header has no digest")
    digest = hashlib.sha256(start + header[: found.start(1)] + UNKNOWN + header[found.end(1) :])
    while block := file.read(BLOCK):
        digest.update(block)
    return len(start) + found.start(1), found[1], digest.hexdigest().encode()


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
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path}: its header says {shown(facts)} where facts by name are expected")
    for field, wanted in (expect or {}).items():
        found = facts.get(field)
        if json.dumps(found, sort_keys=True) != json.dumps(wanted, sort_keys=True):
            raise CheckpointError(f"{path}: {field} is {found!r}, but {wanted!r} is wanted")
    return state, facts


def check_finite(state: dict[str, Tensor], file: str | Path) -> None:
    """Raise CheckpointError where a number is NaN or infinite: a network with such weights finds nothing, silently."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(f"{file}: {name} has numbers that are none (NaN or infinite)")


def _is_pickle(path: Path) -> bool:
    """By its first bytes: torch.save's zip archive, or the bare pickle of old versions."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", b"\x80"))


def _facts(path: Path) -> dict:
    """Of a file whose digest, if it has one, is right."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if SIGNED in metadata:
        if not is_intact(path):
            raise ValueError("its contents are not those that its digest was taken of")
        return json.loads(metadata[SIGNED].split(" ", 1)[1])
    if UNSIGNED in metadata:
        return json.loads(metadata[UNSIGNED])
    raise ValueError("safetensors of another program: its header has no facts of a detector")
