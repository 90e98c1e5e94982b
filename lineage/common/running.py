"""How a training is run, as far as no step's numbers depend on it: who loads its pictures, who looks on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

Listen = Callable[[str, int, dict[str, float]], None]  # procedure, steps taken, what is known of the last of them


@dataclass(frozen=True)
class Validation:
    """The detector is measured while it learns.

    Attributes:
        every: steps between two measurements; there is one after the last step as well.
        measure: the network's mAP as it is. It leaves its modes and every generator as they were.
        keep_best: the weights that come out are those of the highest mAP, and not the last ones.
    """

    every: int
    measure: Callable[[], float]
    keep_best: bool = True

    def due(self, done: int, steps: int) -> bool:
        """Whether to measure after ``done`` of so many steps."""
        return done > 0 and (done % self.every == 0 or done == steps)


@dataclass(frozen=True)
class Running:
    """What a training's caller may ask for.

    Attributes:
        workers: processes that load pictures ahead; 0: each step loads its own.
        prepare_worker: called in each of them before it begins.
        listen: called after every step.
    """

    workers: int = 0
    prepare_worker: Callable[[], None] | None = None
    validation: Validation | None = None
    listen: Listen | None = None

    def without_validation(self) -> Running:
        """For a procedure that leaves no whole detector to measure."""
        return replace(self, validation=None)


PLAINLY = Running()  # by this process alone, and nobody looks on
