"""The gradient loop that all four generations share; what they differ in is the loss they hand it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lineage.common.history import History
from lineage.common.interrupts import uninterrupted
from lineage.common.loading import Load, Loaded, Steps, WorkerDied, loaded_ahead, only_indices
from lineage.common.precision import mixed
from lineage.common.progress import progress_bar
from lineage.common.resume import Timer, forget_all_but, load_best, restore_state, save_best, save_state
from lineage.common.running import PLAINLY, Running, Validation
from lineage.common.together import barrier, is_first, rank, summed, world

LossesOf = Callable[[Any, torch.Generator], dict[str, Tensor]]  # of what ``load`` made of a minibatch


class TrainingError(RuntimeError):
    """Training cannot go on: the loss is not a number, or there is nothing to train on."""


@dataclass(frozen=True)
class Solver:
    """An optimiser with its schedule.

    Attributes:
        optimiser: "sgd" (Caffe's, with momentum) or "adamw".
        learning_rate: at the start, after ``warmup`` steps of linear increase. AdamW's first steps are all about as
            long as the rate, whatever the gradient, and can undo a pre-training (benchmarks/NOTES.md).
        images_per_step: of one minibatch, where a step has several.
        decay: "step" (times 0.1 at each of ``decay_at``) or "cosine" (to 0 at the last step).
        bias_rate: biases learn at this multiple and, where it is not 1, without weight decay (Caffe's habit).
        clip: largest gradient norm, or None.
        accumulate: minibatches a step, whose gradients are averaged: in the memory of one the step of a minibatch
            ``accumulate`` times as large, but for what is drawn: each minibatch draws for itself. The same step up to
            rounding where a loss is a mean over pictures, or over regions of which every picture gives as many. Several
            processes (:mod:`lineage.common.together`) share them out: the same step up to rounding.
        amp: "bf16": convolutions and matrix products in bfloat16, with float32 weights; None: all in float32. Boxes,
            their targets and the losses are float32 either way.
    """

    optimiser: str
    learning_rate: float
    steps: int
    images_per_step: int
    weight_decay: float
    decay: str = "step"
    decay_at: tuple[int, ...] = ()
    momentum: float = 0.9
    warmup: int = 0
    bias_rate: float = 1.0
    clip: float | None = None
    accumulate: int = 1
    amp: str | None = None

    @property
    def pictures(self) -> int:
        """Seen in all steps, with repetition."""
        return self.steps * self.images_per_step * self.accumulate

    def shortened(self, steps: int) -> Solver:
        """The same schedule in ``steps`` steps."""
        factor = steps / self.steps
        decay_at = tuple(round(at * factor) for at in self.decay_at)
        return replace(self, steps=steps, warmup=round(self.warmup * factor), decay_at=decay_at)

    def rate(self, step: int) -> float:
        """The multiple of ``learning_rate`` at ``step`` (0-based)."""
        warm = min(1.0, (step + 1) / (self.warmup + 1))
        if self.decay == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return warm * 0.1 ** sum(step >= at for at in self.decay_at)


def make_optimiser(modules: list[nn.Module], solver: Solver) -> torch.optim.Optimizer:
    """SGD or AdamW over the trainable parameters of ``modules``, biases in a group of their own."""
    named = [(n, p) for module in modules for n, p in module.named_parameters() if p.requires_grad]
    biases = [p for n, p in named if n.endswith("bias")]
    weights = [p for n, p in named if not n.endswith("bias")]
    bias_decay = solver.weight_decay if solver.bias_rate == 1.0 else 0.0
    groups = [
        {"params": weights, "scale": 1.0, "weight_decay": solver.weight_decay},
        {"params": biases, "scale": solver.bias_rate, "weight_decay": bias_decay},
    ]
    if solver.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=solver.learning_rate, momentum=solver.momentum, fused=True)
    if solver.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=solver.learning_rate, fused=True)
    raise ValueError(f"solver: optimiser {solver.optimiser!r} is neither 'sgd' nor 'adamw'")


def optimise(
    modules: list[nn.Module],
    losses_of: LossesOf,
    num_images: int,
    solver: Solver,
    *,
    seed: int,
    label: str,
    load: Load = only_indices,
    resume: Path | None = None,
    running: Running = PLAINLY,
) -> History:
    """Minimise the sum of ``losses_of(load(image indices, generator), generator)`` for ``solver.steps`` steps.

    Pictures come in shuffled epochs. Every draw depends on (seed, step) only, so that a run which was
    interrupted and resumed takes the same steps as one that was not.

    Args:
        load: all that needs no network, since another process may do it; its tensors are on the CPU.
        resume: where the state is kept once a minute and on Ctrl-C. It stays at the end: who has made the result safe
            forgets it (:func:`~lineage.common.resume.forget`).
        running: the validation needs ``resume``, to keep the best weights beside it.
    Raises:
        TrainingError: no pictures, fewer minibatches a step than processes, the loss became NaN or infinite, or a
            process that loads pictures died.
    """
    if num_images == 0:
        raise TrainingError(f"{label}: the training split has no picture")
    if world() > solver.accumulate:
        raise TrainingError(
            f"{label}: {world()} processes share a step's minibatches, and there are {solver.accumulate}: --accumulate "
            f"{world()} makes them, of as many pictures each"
        )
    optimiser = make_optimiser(modules, solver)
    keep_best = running.validation is not None and running.validation.keep_best
    history = restore_state(resume, modules, optimiser, best_wanted=keep_best) if resume else None
    if history is None:
        history = History(label, [solver.learning_rate * solver.rate(step) for step in range(solver.steps)])
    on_gpu = optimiser.param_groups[0]["params"][0].device.type == "cuda"
    ahead = loaded_ahead(
        Steps(
            load, num_images, solver.images_per_step, solver.accumulate, seed,
            range(rank(), solver.accumulate, world()),
        ),
        range(history.done, solver.steps),
        running.workers, prepare_worker=running.prepare_worker, pin=on_gpu,
    )  # fmt: skip
    try:
        with progress_bar(label, solver.steps) as advance, ahead as loaded:
            advance(history.done, "")
            try:
                _take_steps(modules, losses_of, solver, optimiser, history, loaded, resume, running, advance)
            except KeyboardInterrupt:
                if resume and is_first():
                    save_state(resume, modules, optimiser, history)
                raise
    except WorkerDied as error:
        raise TrainingError(f"{label}: step {history.done}: {error}") from error
    if keep_best:
        assert resume is not None and history.best is not None
        barrier()  # the first has written them
        load_best(resume, modules, history.best)
        history.kept = history.best
    return history


def _take_steps(
    modules: list[nn.Module],
    losses_of: LossesOf,
    solver: Solver,
    optimiser: torch.optim.Optimizer,
    history: History,
    loaded: Iterator[Loaded],
    resume: Path | None,
    running: Running,
    advance: Callable[[int, str], None],
) -> None:
    """The steps that are still to come."""

    def save() -> None:
        if resume and is_first():
            save_state(resume, modules, optimiser, history)
            forget_all_but(resume, history.best)
        timer.restart()

    def measure_if_due() -> None:
        validation = running.validation
        if validation and history.done not in history.validation and validation.due(history.done, solver.steps):
            save()  # measuring may take long
            _validate(modules, history, validation, resume)
            save()

    timer = Timer()
    measure_if_due()  # a run may have been interrupted while it measured
    while history.done < solver.steps:
        start = time.perf_counter()
        batches = next(loaded)
        history.wait_seconds += time.perf_counter() - start
        losses = _step(modules, losses_of, solver, optimiser, history, batches)
        advance(1, " ".join(f"{name} {value:.3f}" for name, value in losses.items()))
        if timer.due:
            save()
        measure_if_due()
        if running.listen:
            running.listen(history.label, history.done, history.last())


def _step(
    modules: list[nn.Module],
    losses_of: LossesOf,
    solver: Solver,
    optimiser: torch.optim.Optimizer,
    history: History,
    loaded: Loaded,
) -> dict[str, float]:
    """One step of the weights, and in the history; each loss, averaged over the step's minibatches."""
    step = history.done
    for group in optimiser.param_groups:
        group["lr"] = solver.learning_rate * solver.rate(step) * group["scale"]
    device = optimiser.param_groups[0]["params"][0].device
    total, names = torch.zeros(()), list[str]()
    for number, (batch, generator) in enumerate(zip(loaded.minibatches, loaded.generators)):
        with mixed(solver.amp, device):
            losses = losses_of(batch, generator)
        names, values = [*losses], torch.stack(list(losses.values())) / solver.accumulate  # (L,)
        total = total + values.detach().double().cpu()  # the one moment at which a GPU is waited for
        if number == 0:
            optimiser.zero_grad(set_to_none=True)
        if torch.isfinite(total).all():
            values.sum().backward()
    summed([total])
    sums = dict(zip(names, total.tolist()))
    if not all(map(math.isfinite, sums.values())):
        parts = ", ".join(f"{name} {value:g}" for name, value in sums.items())
        message = f"step {step}: the loss is not finite ({parts}); lower the learning rate"
        raise TrainingError(f"{history.label}: {message}")
    # A layer that was frozen since may have kept a gradient.
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    _sum_gradients(learning)
    if solver.clip is not None:
        nn.utils.clip_grad_norm_(learning, solver.clip)
    with uninterrupted():  # or a run that goes on would take half of a step, or all of it, twice
        optimiser.step()
        history.add(sums)
    return sums


def _sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Over the processes. What has a gradient in one has one in all: none of what a process does not use is zero."""
    if world() == 1:
        return
    used = torch.tensor([float(p.grad is not None) for p in parameters])
    summed([used])
    learnt = [p for p, users in zip(parameters, used.tolist()) if users]
    for p in learnt:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    summed([p.grad for p in learnt if p.grad is not None])


def _validate(modules: list[nn.Module], history: History, validation: Validation, resume: Path | None) -> None:
    """Measure the network, and keep its weights if they are the best so far."""
    done, start = history.done, time.perf_counter()
    value = validation.measure()
    if validation.keep_best and (history.best is None or value > history.validation[history.best]):
        assert resume is not None, "the best weights are kept beside the state that a training is resumed from"
        if is_first():
            save_best(resume, modules, done)
    history.validation[done] = value  # not before what it is the mAP of is safe
    history.validation_seconds += time.perf_counter() - start
