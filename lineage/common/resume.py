"""What a training keeps on disk, so that a run which was killed goes on from where it was, a minute before at most.

Nothing is removed here before what it led to is safe: whoever keeps the result calls :func:`forget` then, or deletes
the whole folder. A file that was damaged is as good as none: a warning names it, and what it held is made again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lineage.common.checkpoint import CheckpointError, is_intact, load_checkpoint, save_checkpoint
from lineage.common.history import History
from lineage.common.progress import progress_bar
from lineage.common.together import as_the_first, gathered, is_first, own_share

SAVE_EVERY_SECONDS = 60.0

Item = dict[str, Tensor]  # what was made of one picture


class Timer:
    """Says when it is time to save again."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.since = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self.since > SAVE_EVERY_SECONDS


def kept(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensors and facts that an earlier run kept; None where there are none, or they were damaged."""
    if not path.exists():
        return None
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        warnings.warn(f"{error}; what it held is made again", stacklevel=2)
        return None


def run_once(done: Path, module: nn.Module, run: Callable[[], History], resume: Path | None = None) -> History:
    """Run a training procedure and keep its result at ``done``; when it is there already, load it instead.

    Args:
        resume: where ``run`` keeps its state; of no use once its result is kept.
    """
    found = kept(done) if as_the_first(done.exists) else None
    if found:
        state, facts = found
        _load_modules([module], state)
        history = History.of(state, facts)
    else:
        history = run()
        if is_first():
            save_checkpoint(done, {**_modules_state([module]), **history.tensors()}, history.facts())
    if resume and is_first():
        forget(resume)
    return history


def make_pieces(folder: Path | None, count: int, make: Callable[[int], Item], label: str) -> list[Item]:
    """What ``make(number)`` makes of each picture 0..count - 1, in order; kept as :class:`Pieces` keeps it.

    Several processes share out what is not there yet, and each has all of it in the end.
    """
    pieces = Pieces(folder if is_first() else None)
    pieces.made = as_the_first(lambda: pieces.made)
    pieces.folder = folder
    own = own_share([number for number in range(count) if number not in pieces.made])
    with progress_bar(label, len(own)) as advance:
        for number in own:
            pieces.add(number, make(number))
            advance(1, "")
    pieces.save()
    for part in gathered({number: pieces.made[number] for number in own}):
        pieces.made |= part
    return pieces.in_order()


class Pieces:
    """What is made picture by picture, written to ``folder`` once a minute and found there again by a resumed run.

    Attributes:
        made: by the picture's number.
    """

    def __init__(self, folder: Path | None) -> None:
        """``folder``: None keeps nothing."""
        self.folder, self.made = folder, dict[int, Item]()
        for path in sorted(folder.glob("[!.]*.safetensors")) if folder else ():
            state, _ = kept(path) or ({}, {})
            for key, tensor in state.items():
                number, name = key.split(".", 1)
                self.made.setdefault(int(number), {})[name] = tensor
        self._fresh, self._timer = list[int](), Timer()

    def add(self, number: int, item: Item) -> None:
        """Pictures come in order."""
        if self._fresh and number > self._fresh[-1] + 1:  # one file a gap: its first is that of the damaged file
            self.save()
        self.made[number] = item
        self._fresh.append(number)
        if self._timer.due:
            self.save()

    def save(self) -> None:
        """Write what came since the last time."""
        if self.folder and self._fresh:
            state = {f"{i}.{name}": tensor for i in self._fresh for name, tensor in self.made[i].items()}
            save_checkpoint(self.folder / f"{self._fresh[0]:06d}.safetensors", state, {})
        self._fresh.clear()
        self._timer.restart()

    def in_order(self) -> list[Item]:
        return [self.made[number] for number in sorted(self.made)]


def save_state(path: Path, modules: list[nn.Module], optimiser: torch.optim.Optimizer, history: History) -> None:
    """Write all that the next step depends on."""
    state = {**_modules_state(modules), **history.tensors()}
    for index, slots in optimiser.state_dict()["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                state[f"optimiser.{index}.{name}"] = value
    save_checkpoint(path, state, history.facts())


def restore_state(
    path: Path, modules: list[nn.Module], optimiser: torch.optim.Optimizer, *, best_wanted: bool
) -> History | None:
    """Read it again, into fresh modules and a fresh optimiser; None where there is none, or it was damaged.

    Args:
        best_wanted: the weights that were best so far belong to it.
    """
    found = kept(path)
    if not found:
        return None
    state, facts = found
    history = History.of(state, facts)
    if best_wanted and history.best is not None and not is_intact(best_weights(path, history.best)):
        warnings.warn(f"{best_weights(path, history.best)}: damaged or gone; it is trained again", stacklevel=2)
        return None
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
    return history


def best_weights(resume: Path, step: int) -> Path:
    """Where the weights after ``step`` steps are kept while none are better."""
    return resume.with_suffix(f".best-{step}.safetensors")


def save_best(resume: Path, modules: list[nn.Module], step: int) -> None:
    """Keep the weights as they are; those kept before are still there (:func:`forget_all_but`)."""
    save_checkpoint(best_weights(resume, step), _modules_state(modules), {"step": step})


def load_best(resume: Path, modules: list[nn.Module], step: int) -> None:
    _load_modules(modules, load_checkpoint(best_weights(resume, step))[0])


def forget(resume: Path) -> None:
    """Remove a procedure's state: its result is safe."""
    forget_all_but(resume, None)
    resume.unlink(missing_ok=True)


def forget_all_but(resume: Path, step: int | None) -> None:
    """Remove weights that were best once."""
    for path in resume.parent.glob(f"{resume.stem}.best-*.safetensors"):
        if step is None or path != best_weights(resume, step):
            path.unlink(missing_ok=True)


def _modules_state(modules: list[nn.Module]) -> dict[str, Tensor]:
    return {f"model.{i}.{n}": t for i, module in enumerate(modules) for n, t in module.state_dict().items()}


def _load_modules(modules: list[nn.Module], state: dict[str, Tensor]) -> None:
    for i, module in enumerate(modules):
        prefix = f"model.{i}."
        module.load_state_dict({n[len(prefix) :]: t for n, t in state.items() if n.startswith(prefix)})
