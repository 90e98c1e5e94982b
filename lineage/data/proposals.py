"""Region proposals on disk: computed once, in parallel, one file a picture, so that an interrupted run goes on."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lineage.common.checkpoint import write_atomically
from lineage.common.progress import track
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
    missing = [i for i, file in enumerate(files) if _read(file) is None]
    if missing:
        from joblib import Parallel, delayed

        # The first picture goes alone: it compiles, and the workers then find the compiled code on disk.
        first, *rest = [(pictures[i], files[i]) for i in missing]
        _compute([first], propose)
        chunks = [rest[start : start + CHUNK] for start in range(0, len(rest), CHUNK)]
        jobs = jobs or os.cpu_count() or 1
        work = _compute if jobs == 1 else _work  # one job runs in this very process, whose threads are not ours
        tasks = (delayed(work)(chunk, propose) for chunk in chunks)
        done = Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
        for _ in track(done, "selective search", len(chunks)):
            pass
    return [torch.from_numpy(np.load(file)) for file in files]


def _read(file: Path) -> np.ndarray | None:
    """The boxes in a cache file; None where it is missing or damaged, and so must be computed."""
    try:
        boxes = np.load(file, allow_pickle=False)
    except Exception:  # NumPy raises ValueError, EOFError, TokenError, BadZipFile... for damage
        return None
    return boxes if boxes.ndim == 2 and boxes.shape[1] == 4 else None


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
        write_atomically(file, functools.partial(np.save, arr=boxes))
