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
import math
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


@dataclass(frozen=True)
class Work:
    """What a stage asks of the machine. Code of OpenCV's and numba's is not seen, but for what it returns."""

    flops: int
    convolution_flops: int  # of them
    operators: int  # that touch memory: views are free
    bytes_moved: int  # if each operator read its inputs from memory and wrote its outputs there
    peak_memory_bytes: int


@dataclass
class StageRecord:
    """One call of one stage."""

    name: str
    phase: str
    inputs: tuple[Any, ...]
    outputs: Any
    seconds: float
    work: Work | None  # None when the trace did not count

    @property
    def flops(self) -> int | None:
        """Floating-point operations, a multiply-add being two; None when the trace did not count."""
        return None if self.work is None else self.work.flops

    @property
    def peak_memory_bytes(self) -> int | None:
        """Of its inputs and of all it made, alive at once; None when the trace did not count."""
        return None if self.work is None else self.work.peak_memory_bytes


@dataclass
class Trace:
    """All stage calls of one detector, in order."""

    detector: Any
    count: bool
    keep_tensors: bool
    records: list[StageRecord] = field(default_factory=list)
    clocks: list[Clock] = field(default_factory=list, repr=False)  # one a record

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
        """Sum of ``what`` ("seconds", "flops" or another field of :class:`Work`) by "phase" or by "name"."""
        sums: dict[str, float] = {}
        for record in self.records:
            key = getattr(record, by)
            value = record.seconds if what == "seconds" else getattr(record.work, what, 0)
            sums[key] = sums.get(key, 0) + value
        return sums

    @property
    def peak_memory_bytes(self) -> int:
        """The largest peak of any stage."""
        return max((record.peak_memory_bytes or 0 for record in self.records), default=0)

    def __str__(self) -> str:
        names = list(dict.fromkeys(self.names))
        calls = {name: [record for record in self.records if record.name == name] for name in names}
        shapes = {name: describe(calls[name][-1].outputs) for name in names}
        width = max([len("output"), *map(len, shapes.values())])
        lines = [f"{'stage':<18}{'phase':<10}{'calls':>6}  {'output':<{width}}{'ms':>10}{'GFLOPs':>10}"]
        for name in names:
            flops = f"{sum(r.flops or 0 for r in calls[name]) / 1e9:10.3f}" if self.count else f"{'-':>10}"
            ms = f"{sum(r.seconds for r in calls[name]) * 1e3:>10.2f}"
            phase = calls[name][0].phase
            lines.append(f"{name:<18}{phase:<10}{len(calls[name]):>6}  {shapes[name]:<{width}}{ms}{flops}")
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
    """Record every stage call of ``detector``; on a GPU the seconds are there when the trace has ended.

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
        for record, clock in zip(result.records, result.clocks):
            record.seconds = clock.read()


def _record(active: Trace, name: str, phase: str, method: Callable, self: Any, args: tuple, kwargs: dict) -> Any:
    flop_counter, operators = FlopCounterMode(display=False), _OperatorCounter()
    with ExitStack() as stack:
        if active.count:
            stack.enter_context(flop_counter)
            stack.enter_context(operators)  # the inner one, and so the first to see an operator
            operators.include((args, kwargs))
        clock = Clock(_device_of(self))
        outputs = method(self, *args, **kwargs)
        clock.stop()
    operators.include(outputs)  # arrays of OpenCV's and numpy's became tensors without an operator
    inputs = (*args, *kwargs.values())
    if not active.keep_tensors:
        inputs, kept = tuple(describe(value) for value in inputs), describe(outputs)
    else:
        kept = outputs
    work = _work(flop_counter, operators) if active.count else None
    active.records.append(StageRecord(name, phase, inputs, kept, clock.seconds, work))
    active.clocks.append(clock)
    return outputs


def _work(flop_counter: FlopCounterMode, operators: _OperatorCounter) -> Work:
    by_operator = flop_counter.get_flop_counts().get("Global", {})
    convolutions = sum(flops for operator, flops in by_operator.items() if "convolution" in str(operator))
    total = flop_counter.get_total_flops()
    return Work(total, convolutions, operators.count, operators.moved, operators.peak)


class Clock:
    """Seconds from its making to :meth:`stop`.

    A GPU runs behind its host. Making the host wait at every stage would count that wait as the stage's, so a GPU's
    clock is two events in its stream, read when the trace ends; until then :attr:`seconds` is nan.
    """

    def __init__(self, device: torch.device) -> None:
        self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device.type == "cuda" else []
        self.seconds = math.nan
        if self.events:
            self.events[0].record()
        self.start = time.perf_counter()

    def stop(self) -> None:
        if self.events:
            self.events[1].record()
        else:
            self.seconds = time.perf_counter() - self.start

    def read(self) -> float:
        """The seconds, after waiting for the GPU to have passed the stage."""
        if self.events:
            self.events[1].synchronize()
            self.seconds = self.events[0].elapsed_time(self.events[1]) / 1e3
        return self.seconds


class _OperatorCounter(TorchDispatchMode):
    """The operators that run while it is on, what they read and write, and the bytes alive at once, on any device."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = self.count = self.moved = 0
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
        if not _is_view(func):
            self.count += 1
            self.moved += sum(_bytes_touched(t) for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor))
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


def _is_view(func: Any) -> bool:
    """Whether an operator only looks at its input's memory in another way."""
    aliases = [returned.alias_info for returned in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _bytes_touched(tensor: Tensor) -> int:
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())  # an expanded tensor is read once


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
