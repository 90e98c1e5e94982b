"""The state of a gradient procedure on disk: to go on from where it was, and the weights that were best so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from lineage.common.checkpoint import load_checkpoint, save_checkpoint
from lineage.common.history import History


def run_once(done: Path, module: nn.Module, run: Callable[[], History]) -> History:
    """Run a training procedure and keep its result at ``done``; when it is there already, load it instead."""
    if done.exists():
        state, facts = load_checkpoint(done)
        _load_modules([module], state)
        return History.of(state, facts)
    history = run()
    save_checkpoint(done, {**_modules_state([module]), **history.tensors()}, history.facts())
    return history


def save_state(path: Path, modules: list[nn.Module], optimiser: torch.optim.Optimizer, history: History) -> None:
    """Write all that the next step depends on."""
    state = {**_modules_state(modules), **history.tensors()}
    for index, slots in optimiser.state_dict()["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                state[f"optimiser.{index}.{name}"] = value
    save_checkpoint(path, state, history.facts())


def restore_state(path: Path, modules: list[nn.Module], optimiser: torch.optim.Optimizer) -> History:
    """Read it again, into fresh modules and a fresh optimiser."""
    state, facts = load_checkpoint(path)
    _load_modules(modules, state)
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
    return History.of(state, facts)


def best_weights(resume: Path, step: int) -> Path:
    """Where the weights after ``step`` steps are kept while none are better."""
    return resume.with_suffix(f".best-{step}.safetensors")


def save_best(resume: Path, modules: list[nn.Module], step: int) -> None:
    """Keep the weights as they are; those kept before are still there (:func:`forget_all_but`)."""
    save_checkpoint(best_weights(resume, step), _modules_state(modules), {"step": step})


def load_best(resume: Path, modules: list[nn.Module], step: int) -> None:
    _load_modules(modules, load_checkpoint(best_weights(resume, step))[0])


def forget_all_but(resume: Path, step: int | None) -> None:
    """Remove weights that were best once."""
    for path in resume.parent.glob(f"{resume.stem}.best-*.safetensors"):
        if step is None or path != best_weights(resume, step):
            path.unlink()


def _modules_state(modules: list[nn.Module]) -> dict[str, Tensor]:
    return {f"model.{i}.{n}": t for i, module in enumerate(modules) for n, t in module.state_dict().items()}


def _load_modules(modules: list[nn.Module], state: dict[str, Tensor]) -> None:
    for i, module in enumerate(modules):
        prefix = f"model.{i}."
        module.load_state_dict({n[len(prefix) :]: t for n, t in state.items() if n.startswith(prefix)})
