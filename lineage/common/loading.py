"""The minibatches of the next steps, loaded and augmented by worker processes while the network learns from this one.

What a minibatch sees depends on (seed, step, its number) only, so it does not matter which process loads it, or how far
ahead: the numbers are the same to the bit for any number of workers. Its generator goes along with it, and the losses
draw on where loading stopped. Loading runs on one thread wherever it runs, because torch's resizing and its means
differ in the last bit with the number of threads.
"""

from __future__ import annotations

import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lineage.common.sampling import seeded_generator

SENT_AS_BYTES = 8192  # tensors up to this size; a larger one lies in shared memory, and costs a file handle
STEPS_AHEAD = 2  # a worker

Anything = TypeVar("Anything")


class WorkerDied(RuntimeError):
    """A process that loads pictures was killed, by the system for lack of memory for example."""


class Load(Protocol):
    """Reads pictures of these numbers and does with them what needs no network: tensors on the CPU, in lists and dicts.

    Every draw comes from the generator. Picklable where processes cannot be forked: a ``functools.partial`` of a
    module's function is.
    """

    def __call__(self, *, indices: list[int], generator: torch.Generator) -> Any: ...


def only_indices(*, indices: list[int], generator: torch.Generator) -> list[int]:
    """The load of a training whose pictures are in memory."""
    return indices


class Loaded(NamedTuple):
    """What this process learns from in one step."""

    minibatches: list[Any]  # as ``load`` made them
    generators: list[torch.Generator]  # of each: the losses draw on from here


@dataclass(frozen=True)
class Steps:
    """Which pictures each step of a training sees.

    Attributes:
        images: pictures of the training set. images_per_minibatch, minibatches: what a step takes, of all processes.
        own: the numbers of the minibatches that this process loads; None: all.
    """

    load: Load
    images: int
    images_per_minibatch: int
    minibatches: int
    seed: int
    own: range | None = None

    def __getitem__(self, step: int) -> Loaded:
        size = self.images_per_minibatch
        chosen = images_of_step(self.images, size * self.minibatches, self.seed, step)
        own = range(self.minibatches) if self.own is None else self.own
        generators = [seeded_generator(self.seed, 1, step, *([number] if number else [])) for number in own]
        with _one_thread():
            parts = [
                self.load(indices=chosen[number * size : (number + 1) * size], generator=generator)
                for number, generator in zip(own, generators)
            ]
        return Loaded(parts, generators)


def images_of_step(num_images: int, images_per_step: int, seed: int, step: int) -> list[int]:
    """Which pictures step ``step`` sees: shuffled epochs laid end to end, computed from the step alone."""
    order: dict[int, list[int]] = {}
    chosen = []
    for position in range(step * images_per_step, (step + 1) * images_per_step):
        epoch, place = divmod(position, num_images)
        if epoch not in order:
            order[epoch] = torch.randperm(num_images, generator=seeded_generator(seed, 0, epoch)).tolist()
        chosen.append(order[epoch][place])
    return chosen


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def loaded_ahead(
    steps: Steps,
    wanted: range,
    workers: int,
    *,
    prepare_worker: Callable[[], None] | None = None,
    pin: bool = False,
    context: str | None = None,
) -> Iterator[Iterator[Loaded]]:
    """Yield an iterator over the wanted steps; 0 workers: each is loaded here, when it is asked for.

    Args:
        prepare_worker: called in each worker before it begins.
        pin: into page-locked memory, which a GPU reads by itself.
        context: how processes start; None forks where that is safe.
    Raises:
        WorkerDied: while the iterator is in use. What fails in a worker otherwise comes out as it would here.
    """
    if workers == 0 or len(wanted) == 0:
        yield (steps[step] for step in wanted)
        return
    loader: DataLoader = DataLoader(
        _Sent(steps),
        batch_size=None,
        sampler=wanted,
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # of an item, where nothing is batched
        num_workers=workers,
        prefetch_factor=STEPS_AHEAD,
        pin_memory=pin,
        worker_init_fn=partial(_start_worker, prepare_worker),
        multiprocessing_context=context or ("fork" if sys.platform == "linux" else None),
        generator=torch.Generator(),  # or it would draw from the one that everybody else's numbers come from
    )
    parcels: Any = iter(loader)
    try:
        yield _opened(parcels)
    except RuntimeError as error:  # torch raises it wherever the main thread happens to be
        if "DataLoader worker" not in str(error):
            raise
        raise WorkerDied(
            f"a process that loads pictures died ({str(error).splitlines()[0].strip()}); "
            "with --workers 0 they are loaded without any"
        ) from error
    finally:
        parcels._shutdown_workers()  # an exception's traceback may hold the iterator, and so the processes, for long


class _Parcel(NamedTuple):
    """A step on its way from a worker."""

    minibatches: list[Any]
    states: list[np.ndarray]  # of the generators
    warned: list[tuple[Any, type[Warning], str, int]]
    error: Exception | None
    trace: str

    def pin_memory(self) -> _Parcel:
        return self._replace(minibatches=_changed(self.minibatches, Tensor, Tensor.pin_memory))


class _Sent(Dataset):
    """What a worker runs: item ``step`` is what that step learns from, or what went wrong."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __getitem__(self, step: int) -> _Parcel:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")  # who is told, and how often, the process that asked decides
            try:
                loaded = self.steps[step]
                states = [generator.get_state().numpy() for generator in loaded.generators]
                found = _Parcel(_changed(loaded.minibatches, Tensor, _packed), states, [], None, "")
            except Exception as error:
                found = _Parcel([], [], [], _picklable(error), traceback.format_exc())
        warned = [(str(one.message), one.category, one.filename, one.lineno) for one in caught]
        return found._replace(warned=warned)


def _opened(parcels: Iterator[_Parcel]) -> Iterator[Loaded]:
    shown: dict[Any, Any] = {}  # warnings that were given before
    for parcel in parcels:
        for message, category, file, line in parcel.warned:
            warnings.warn_explicit(message, category, file, line, registry=shown)
        if parcel.error is not None:
            raise parcel.error from RuntimeError(f"in a process that loads pictures:\n{parcel.trace}")
        generators = [_generator_at(state) for state in parcel.states]
        yield Loaded(_changed(parcel.minibatches, np.ndarray, torch.from_numpy), generators)


def _generator_at(state: np.ndarray) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(torch.from_numpy(state))
    return generator


def _start_worker(prepare: Callable[[], None] | None, _: int) -> None:
    """torch has limited itself to one thread. A terminal's Ctrl-C reaches all processes: the parent ends the others."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)  # none but this one; of a forked process's other threads there is only the memory
    if prepare is not None:
        prepare()


def _as_it_is(parcel: _Parcel) -> _Parcel:
    return parcel


def _packed(tensor: Tensor) -> Tensor | np.ndarray:
    """A tensor in shared memory; as an array, whose bytes are sent, where it is small or there is no such memory left.

    (Left to the queue, a tensor for which there is none is lost, and waited for without end.)
    """
    if tensor.nbytes > SENT_AS_BYTES:
        try:
            return tensor.share_memory_()
        except RuntimeError:
            warnings.warn("no shared memory is left (docker run --shm-size): pictures go the slow way", stacklevel=2)
    return tensor.numpy()


def _changed(batch: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Lists, tuples and dicts with everything in them that is a ``kind`` changed."""
    if isinstance(batch, kind):
        return change(batch)
    if isinstance(batch, dict):
        return {name: _changed(value, kind, change) for name, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        parts = [_changed(value, kind, change) for value in batch]
        return parts if isinstance(batch, list) else type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    return batch


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
