"""A detector is a short list of named stages; a trace is what happened in each.

    class RCNN(nn.Module):
        @stage("warp", phase="features")
        def warp(self, image, boxes): ...

    with trace(detector) as t:
        detector([image])
    print(t)

Without a trace a stage is an ordinary method call and costs nothing to speak of.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

PHASES = ("propose", "features", "classify", "refine", "suppress")  # the rows of every table

Method = TypeVar("Method", bound=Callable[..., Any])
_active: ContextVar[Trace | None] = ContextVar("lineage_trace", default=None)


@dataclass
class StageRecord:
    """One call of one stage."""

    name: str
    phase: str
    inputs: tuple[Any, ...]
    outputs: Any
    seconds: float
    flops: int | None  # None when the trace did not count
    peak_memory_bytes: int | None  # of its inputs and of all it made, alive at once; None when not counted


@dataclass
class Trace:
    """All stage calls of one detector, in order."""

    detector: Any
    count: bool
    keep_tensors: bool
    records: list[StageRecord] = field(default_factory=list)

    def __getitem__(self, name: str) -> StageRecord:
        """The last call of the stage called ``name``."""
        for record in reversed(self.records):
            if record.name == name:
                return record
        raise KeyError(f"no stage {name!r} in this trace; it has {', '.join(dict.fromkeys(self.names))}")

    @property
    def names(self) -> list[str]:
        """Stage names in the order of their calls."""
        return [record.name for record in self.records]

    def total(self, what: str, by: str = "phase") -> dict[str, float]:
        """Sum of ``what`` ("seconds" or "flops") by "phase" or by "name"."""
        sums: dict[str, float] = {}
        for record in self.records:
            key = getattr(record, by)
            sums[key] = sums.get(key, 0) + (getattr(record, what) or 0)
        return sums

    @property
    def peak_memory_bytes(self) -> int:
        """The largest peak of any stage."""
        return max((record.peak_memory_bytes or 0 for record in self.records), default=0)

    def __str__(self) -> str:
        lines = [f"{'stage':<18}{'phase':<10}{'calls':>6}  {'output':<28}{'ms':>10}{'GFLOPs':>10}"]
        for name in dict.fromkeys(self.names):
            calls = [record for record in self.records if record.name == name]
            shape = describe(calls[-1].outputs)
            flops = f"{sum(r.flops or 0 for r in calls) / 1e9:10.3f}" if self.count else f"{'-':>10}"
            seconds = sum(r.seconds for r in calls)
            lines.append(f"{name:<18}{calls[0].phase:<10}{len(calls):>6}  {shape:<28}{seconds * 1e3:>10.2f}{flops}")
        return "\n".join(lines)


def stage(name: str, phase: str) -> Callable[[Method], Method]:
    """Mark a method as the stage ``name`` of ``phase`` (one of :data:`PHASES`).

    Raises:
        ValueError: at class creation, for an unknown phase.
    """
    if phase not in PHASES:
        raise ValueError(f"stage {name!r}: phase {phase!r} is none of {', '.join(PHASES)}")

    def mark(method: Method) -> Method:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            active = _active.get()
            if active is None or active.detector is not self:
                return method(self, *args, **kwargs)
            return _record(active, name, phase, method, self, args, kwargs)

        call.stage = (name, phase)  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return mark


@contextmanager
def trace(detector: Any, *, count: bool = True, keep_tensors: bool = True) -> Iterator[Trace]:
    """Record every stage call of ``detector``.

    Args:
        count: also count FLOPs and memory. Counting looks at every operator and slows small ones down,
            so trust ``seconds`` for fine comparisons only with ``count=False``.
        keep_tensors: keep inputs and outputs (a notebook wants them); False keeps their shapes only.
    """
    result = Trace(detector, count, keep_tensors)
    token = _active.set(result)
    try:
        yield result
    finally:
        _active.reset(token)


def _record(active: Trace, name: str, phase: str, method: Callable, self: Any, args: tuple, kwargs: dict) -> Any:
    device = _device_of(self)
    flop_counter, memory = FlopCounterMode(display=False), _MemoryCounter()
    with ExitStack() as stack:
        if active.count:
            stack.enter_context(flop_counter)
            stack.enter_context(memory)  # the inner one, and so the first to see an operator
            memory.include((args, kwargs))
        _synchronise(device)
        start = time.perf_counter()
        outputs = method(self, *args, **kwargs)
        _synchronise(device)
        seconds = time.perf_counter() - start
    memory.include(outputs)  # arrays of OpenCV's and numpy's became tensors without an operator
    inputs = (*args, *kwargs.values())
    if not active.keep_tensors:
        inputs, kept = tuple(describe(value) for value in inputs), describe(outputs)
    else:
        kept = outputs
    flops = flop_counter.get_total_flops() if active.count else None
    peak = memory.peak if active.count else None
    active.records.append(StageRecord(name, phase, inputs, kept, seconds, flops, peak))
    return outputs


class _MemoryCounter(TorchDispatchMode):
    """Live bytes of the tensors that operators return while it is on, and of those included, on any device."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is not torch.ops.prim.device.default:
            # In inference mode conv2d and linear come whole, and before 2.5 torch's counter knows their parts only.
            with self:
                result = func.decompose(*args, **(kwargs or {}))
            if result is not NotImplemented:
                return result
        inputs = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        result = func(*args, **(kwargs or {}))
        self.include(result, known=inputs)
        return result

    def include(self, values: Any, known: frozenset[int] | set[int] = frozenset()) -> None:
        """Count the tensors in ``values``, each storage once, but not those ``known`` to be somebody else's."""
        for tensor in tree_leaves(values):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in known:
                self._add(tensor.untyped_storage())

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def describe(value: Any) -> str:
    """A shape for a tensor, several for a container: ``(300, 4)`` or ``(300, 4) (300, 21)``."""
    if isinstance(value, str):
        return value
    tensors = [leaf for leaf in tree_leaves(value) if hasattr(leaf, "shape")]
    return " ".join(str(tuple(tensor.shape)) for tensor in tensors) or type(value).__name__


def _device_of(module: Any) -> torch.device:
    parameters = getattr(module, "parameters", None)
    parameter = next(iter(parameters()), None) if callable(parameters) else None
    return torch.device("cpu") if parameter is None else parameter.device


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
