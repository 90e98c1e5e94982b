"""Several processes at one piece of work, as torchrun starts them; or this one alone, which is the same with one.

Each has a rank, from 0. The first alone writes files that all of them read, and speaks: so they share a file system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lineage.common.linear import CHOICE, onednn_is_quicker

T = TypeVar("T")
PATIENCE = timedelta(days=1)  # the first may fit or time something for hours while the others wait

START = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))  # as torchrun says it

_apart = 0  # how many times this process was told to work for itself


class Parted(OSError):
    """Another process of the job has ended."""


@contextmanager
def together() -> Iterator[None]:
    """Join the job that torchrun has started this process for; without torchrun there is none to join."""
    if START[1] == 1 or dist.is_initialized():
        yield
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    os.environ.setdefault(CHOICE, as_the_first(lambda: str(int(onednn_is_quicker()))))  # one rounding for all
    try:
        yield
        barrier()  # the first may have more to do, and a process that leaves ends the connections of all
    finally:
        dist.destroy_process_group()


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() and not _apart else 1


def rank() -> int:
    return dist.get_rank() if world() > 1 else 0


def is_alone() -> bool:
    """Whether nobody shares the work."""
    return world() == 1


def is_first() -> bool:
    return rank() == 0


@contextmanager
def apart() -> Iterator[None]:
    """Inside, this process works for itself, whatever the others do."""
    global _apart
    _apart += 1
    try:
        yield
    finally:
        _apart -= 1


def started_first() -> bool:
    """Whether this process speaks for its job, as far as is known before it has joined it."""
    return START[0] == 0


def own_cores() -> int:
    """Of this machine's cores, those that fall to this process."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def own_share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of some work: neighbours stay together, and sizes differ by one at most."""
    start, end = (len(items) * (rank() + i) // world() for i in (0, 1))
    return items[start:end]


def barrier() -> None:
    """Wait for all."""
    gathered(None)


def gathered(value: T) -> list[T]:
    """What each process has, in the order of their ranks. Any object that can be pickled."""
    if world() == 1:
        return [value]
    found: list[Any] = [None] * world()
    with _partings():
        dist.all_gather_object(found, value)
    return found


def as_the_first(decide: Callable[[], T]) -> T:
    """What the first finds when it looks: files may change between two looks."""
    return gathered(decide() if is_first() else None)[0]  # type: ignore[return-value]


def made_by_first(make: Callable[[], object]) -> None:
    """Let the first make what all will read; the others wait for it."""
    if is_first():
        with apart():
            make()
    barrier()


def summed(tensors: Sequence[Tensor]) -> None:
    """Replace each by its sum over the processes, in place; as one message."""
    if world() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with _partings():
        dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(part.view(tensor.shape))


@contextmanager
def _partings() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Parted(f"another process of this job has ended ({str(error).splitlines()[0]})") from None
