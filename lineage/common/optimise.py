"""The gradient loop that all four generations share; what they differ in is the loss they hand it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lineage.common.checkpoint import load_checkpoint, save_checkpoint
from lineage.common.progress import progress_bar
from lineage.common.sampling import seeded_generator

SAVE_EVERY_SECONDS = 60.0
CURVE_POINTS = 100  # of a loss curve, at most

LossCurves = dict[str, list[float]]  # each loss, averaged over as many successive parts of a training
LossesOf = Callable[[list[int], torch.Generator], dict[str, Tensor]]


class TrainingError(RuntimeError):
    """Training cannot go on: the loss is not a number, or there is nothing to train on."""


@dataclass(frozen=True)
class Solver:
    """An optimiser with its schedule.

    Attributes:
        optimiser: "sgd" (Caffe's, with momentum) or "adamw".
        learning_rate: at the start, after ``warmup`` steps of linear increase. AdamW's first steps are all about as
            long as the rate, whatever the gradient, and can undo a pre-training (benchmarks/NOTES.md).
        decay: "step" (times 0.1 at each of ``decay_at``) or "cosine" (to 0 at the last step).
        bias_rate: biases learn at this multiple and, where it is not 1, without weight decay (Caffe's habit).
        clip: largest gradient norm, or None.
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


@dataclass(frozen=True)
class TrainingReport:
    """What training a generation took, whatever its procedure."""

    procedure: str
    steps: int  # gradient steps, all procedures together
    pictures: int  # seen by them, with repetition
    cache_bytes: int  # features written to disk
    curves: LossCurves


def run_once(done: Path, module: nn.Module, run: Callable[[], LossCurves]) -> LossCurves:
    """Run a training procedure and keep its result at ``done``; when it is there already, load it instead."""
    if done.exists():
        state, curves = load_checkpoint(done)
        module.load_state_dict(state)
        return curves
    curves = run()
    save_checkpoint(done, module.state_dict(), curves)
    return curves


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
    resume: Path | None = None,
) -> LossCurves:
    """Minimise the sum of ``losses_of(image indices, generator)`` for ``solver.steps`` steps.

    Pictures come in shuffled epochs. Every draw depends on (seed, step) only, so that a run which was
    interrupted and resumed takes the same steps as one that was not.

    Args:
        resume: where the state is kept once a minute and on Ctrl-C; removed at the end.
    Returns:
        each loss's curve: the means over :data:`CURVE_POINTS` successive parts of the steps (fewer if there are fewer).
    Raises:
        TrainingError: no pictures, or the loss became NaN or infinite.
    """
    if num_images == 0:
        raise TrainingError(f"{label}: the training split has no picture")
    optimiser = make_optimiser(modules, solver)
    step, curves = _restore(resume, modules, optimiser) if resume else (0, {})
    saved_at = time.monotonic()
    part = math.ceil(solver.steps / CURVE_POINTS)  # steps a point; the last may have fewer
    with progress_bar(label, solver.steps) as advance:
        advance(step, "")
        try:
            while step < solver.steps:
                losses = _step(modules, losses_of, num_images, solver, optimiser, seed, step, label)
                for name, value in losses.items():
                    curve = curves.setdefault(name, [0.0] * math.ceil(solver.steps / part))
                    curve[step // part] += value / (min(part, solver.steps - step // part * part))
                step += 1
                advance(1, " ".join(f"{name} {value:.3f}" for name, value in losses.items()))
                if resume and time.monotonic() - saved_at > SAVE_EVERY_SECONDS:
                    _save(resume, modules, optimiser, step, curves)
                    saved_at = time.monotonic()
        except KeyboardInterrupt:
            if resume:
                _save(resume, modules, optimiser, step, curves)
            raise
    if resume:
        resume.unlink(missing_ok=True)
    return curves


def _step(
    modules: list[nn.Module],
    losses_of: LossesOf,
    num_images: int,
    solver: Solver,
    optimiser: torch.optim.Optimizer,
    seed: int,
    step: int,
    label: str,
) -> dict[str, float]:
    for group in optimiser.param_groups:
        group["lr"] = solver.learning_rate * solver.rate(step) * group["scale"]
    losses = losses_of(images_of_step(num_images, solver.images_per_step, seed, step), seeded_generator(seed, 1, step))
    total = torch.stack(list(losses.values())).sum()
    if not math.isfinite(total.item()):
        parts = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
        raise TrainingError(f"{label}: step {step}: the loss is not finite ({parts}); lower the learning rate")
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    if solver.clip is not None:
        nn.utils.clip_grad_norm_([p for module in modules for p in module.parameters()], solver.clip)
    optimiser.step()
    return {name: value.item() for name, value in losses.items()}


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


def _save(
    path: Path, modules: list[nn.Module], optimiser: torch.optim.Optimizer, step: int, curves: LossCurves
) -> None:
    state = {f"model.{i}.{n}": t for i, module in enumerate(modules) for n, t in module.state_dict().items()}
    for index, slots in optimiser.state_dict()["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                state[f"optimiser.{index}.{name}"] = value
    save_checkpoint(path, state, {"step": step, "curves": curves})


def _restore(path: Path, modules: list[nn.Module], optimiser: torch.optim.Optimizer) -> tuple[int, LossCurves]:
    if not path.exists():
        return 0, {}
    state, facts = load_checkpoint(path)
    for i, module in enumerate(modules):
        prefix = f"model.{i}."
        module.load_state_dict({n[len(prefix) :]: t for n, t in state.items() if n.startswith(prefix)})
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            parameter = parameters[int(index)]
            if tensor.shape == parameter.shape:  # a fused step reads both in memory's order: it has to be the same
                tensor = torch.empty_like(parameter).copy_(tensor)
            slots.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": slots})
    return int(facts["step"]), facts["curves"]
