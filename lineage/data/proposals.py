"""Region proposals on disk: computed once, in parallel, one file a picture, so that an interrupted run goes on.

A file is NumPy's, and behind it a SHA-256 of it, which NumPy does not read. One without, made before there were
digests, is read as it is.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lineage.common.checkpoint import write_atomically
from lineage.common.locks import alone
from lineage.common.progress import track
from lineage.common.together import as_the_first, barrier, is_first, own_cores, own_share
from lineage.common.workers import in_processes
from lineage.data.pictures import contents_digest, read_image
from lineage.data.voc import VOCDataset

Propose = Callable[[np.ndarray], np.ndarray]  # (H, W, 3) uint8 RGB -> (R, 4) float32
CHUNK = 8  # pictures a task: enough to hide the cost of handing one out


class ProposalError(RuntimeError):
    """A picture's proposals could not be computed; the message names it."""


def cached_proposals(
    dataset: VOCDataset, propose: Propose, key: str, cache_dir: Path, *, jobs: int | None = None
) -> list[Tensor]:
    """The proposals (R, 4) of every picture of ``dataset``.

    Args:
        propose: picklable, so that other processes can run it. key: names the method and all its settings.
        jobs: processes; None is one a core.
    Raises:
        ProposalError: naming the picture for which ``propose`` failed or returned nonsense.
    """
    folder = Path(cache_dir) / hashlib.sha256(key.encode()).hexdigest()[:16]
    pictures = [dataset.image_path(i) for i in range(len(dataset))]
    files = [folder / f"{path.stem}-{contents_digest(path)}.npy" for path in pictures]
    found = [_read(file) for file in files]
    if as_the_first(lambda: any(boxes is None for boxes in found)):
        with alone(folder) if is_first() else nullcontext():
            missing = as_the_first(lambda: _missing(files, found))
            own = [(pictures[i], files[i]) for i in own_share(missing)]
            _compute_all(own, propose, jobs or own_cores())
            barrier()
    again = [_read(file) if boxes is None else boxes for file, boxes in zip(files, found)]
    lost = [file for file, boxes in zip(files, again) if boxes is None]
    if lost:
        raise ProposalError(f"{lost[0]}: was written, and cannot be read")
    return [torch.from_numpy(boxes) for boxes in again]


def _missing(files: list[Path], found: list[np.ndarray | None]) -> list[int]:
    """Numbers of the pictures whose boxes no other run has made since they were looked for."""
    missing = [i for i, boxes in enumerate(found) if boxes is None and _read(files[i]) is None]
    for i in missing:
        if files[i].exists():
            warnings.warn(f"{files[i]}: damaged; it is computed again", stacklevel=3)
    return missing


def _compute_all(pairs: list[tuple[Path, Path]], propose: Propose, jobs: int) -> None:
    if not pairs:
        return
    # The first picture goes alone: it compiles, and the workers then find the compiled code on disk.
    first, *rest = pairs
    _compute([first], propose)
    chunks = [rest[start : start + CHUNK] for start in range(0, len(rest), CHUNK)]
    work = _compute if jobs == 1 else _work  # one job runs in this very process, whose threads are not ours
    done = in_processes(work, ((chunk, propose) for chunk in chunks), jobs, ordered=False)
    for _ in track(done, "selective search", len(chunks)):
        pass


def _read(file: Path) -> np.ndarray | None:
    """The boxes in a cache file; None where it is missing or damaged, and so must be computed."""
    try:
        content = io.BytesIO(file.read_bytes())
        boxes = np.load(content, allow_pickle=False)
    except Exception:  # NumPy raises ValueError, EOFError, TokenError, BadZipFile... for damage
        return None
    said = content.getvalue()[content.tell() :]
    if said and said != hashlib.sha256(content.getvalue()[: content.tell()]).digest():
        return None
    return boxes if boxes.ndim == 2 and boxes.shape[1] == 4 else None


def _write(file: Path, boxes: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, boxes)
    signed = content.getvalue() + hashlib.sha256(content.getvalue()).digest()
    write_atomically(file, lambda temporary: temporary.write_bytes(signed))


def _work(pairs: list[tuple[Path, Path]], propose: Propose) -> None:
    """A worker process's task. One process a core: more threads would only get in each other's way."""
    torch.set_num_threads(1)
    _compute(pairs, propose)


def _compute(pairs: list[tuple[Path, Path]], propose: Propose) -> None:
    for picture, file in pairs:
        pixels = (read_image(picture).permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        try:
            boxes = np.ascontiguousarray(propose(pixels), dtype=np.float32)
        except Exception as error:
            raise ProposalError(f"{picture}: no proposals: {error}") from error
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
            raise ProposalError(f"{picture}: proposals must be finite (R, 4), got {boxes.shape}")
        _write(file, boxes)
