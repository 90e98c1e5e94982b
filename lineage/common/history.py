"""What happened in a training: each step's losses, what was measured on the way, and the wait for pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

CURVE_POINTS = 100  # of a loss curve, at most

LossCurves = dict[str, list[float]]  # each loss, averaged over as many successive parts of a training


@dataclass
class History:
    """One gradient procedure, step by step.

    Attributes:
        label: what the procedure is called. rates: the learning rate of every step, those still to come included.
        losses: each loss of every step, (steps,) float64; nan from :attr:`done` on.
        done: steps taken.
        validation: mAP after so many steps. kept: after how many steps the weights are what they are now.
        wait_seconds: spent waiting for pictures. validation_seconds: spent measuring.
    """

    label: str
    rates: list[float]
    losses: dict[str, Tensor] = field(default_factory=dict)
    done: int = 0
    validation: dict[int, float] = field(default_factory=dict)
    kept: int | None = None  # None: after all of them
    wait_seconds: float = 0.0
    validation_seconds: float = 0.0

    def add(self, losses: dict[str, float]) -> None:
        """A step's losses."""
        for name, value in losses.items():
            if name not in self.losses:
                self.losses[name] = torch.full((len(self.rates),), math.nan, dtype=torch.float64)
            self.losses[name][self.done] = value
        self.done += 1

    @property
    def curves(self) -> LossCurves:
        """Each loss's means over :data:`CURVE_POINTS` successive parts of the steps (fewer if there are fewer)."""
        part = math.ceil(len(self.rates) / CURVE_POINTS)  # steps a point; the last may have fewer
        return {
            name: [float(sum(value / len(some) for value in some.tolist())) for some in values[: self.done].split(part)]
            for name, values in self.losses.items()
        }

    @property
    def best(self) -> int | None:
        """After how many steps mAP was highest: the first time, where it was so more than once."""
        return max(self.validation, key=lambda step: (self.validation[step], -step), default=None)

    def last(self) -> dict[str, float]:
        """What is known of the last step."""
        place = self.done - 1
        known = {"learning rate": self.rates[place], **{name: float(v[place]) for name, v in self.losses.items()}}
        return {**known, **({"mAP": self.validation[self.done]} if self.done in self.validation else {})}

    def rows(self) -> Iterator[dict[str, float | int | str]]:
        """What a table of the training says of each step, counted from 1."""
        losses = {name: values.tolist() for name, values in self.losses.items()}
        for step in range(self.done):
            row: dict[str, float | int | str] = {
                "procedure": self.label, "step": step + 1, "learning_rate": self.rates[step],
                **{name: values[step] for name, values in losses.items()},
            }  # fmt: skip
            if step + 1 in self.validation:
                row["validation_map"] = self.validation[step + 1]
            yield row

    def tensors(self) -> dict[str, Tensor]:
        """What of it goes into a checkpoint's tensors; the rest is :meth:`facts`."""
        rates = torch.tensor(self.rates, dtype=torch.float64)
        return {"history.rates": rates, **{f"history.loss.{name}": values for name, values in self.losses.items()}}

    def facts(self) -> dict[str, Any]:
        return {
            "label": self.label, "done": self.done, "validation": list(self.validation.items()), "kept": self.kept,
            "wait_seconds": self.wait_seconds, "validation_seconds": self.validation_seconds,
        }  # fmt: skip

    @classmethod
    def of(cls, tensors: dict[str, Tensor], facts: dict[str, Any]) -> History:
        """What a checkpoint holds, of :meth:`tensors` and :meth:`facts`."""
        prefix = "history.loss."
        losses = {name[len(prefix) :]: values for name, values in tensors.items() if name.startswith(prefix)}
        validation = {int(step): value for step, value in facts["validation"]}
        rates = tensors["history.rates"].tolist()
        return cls(**{**facts, "rates": rates, "losses": losses, "validation": validation})


@dataclass(frozen=True)
class TrainingReport:
    """What training a generation took, whatever its procedure."""

    procedure: str
    steps: int  # gradient steps, all procedures together
    pictures: int  # seen by them, with repetition
    cache_bytes: int  # features written to disk
    histories: tuple[History, ...]  # of its gradient procedures, in their order

    @property
    def curves(self) -> LossCurves:
        """The loss curves; of the last procedure, where several have a loss of the same name."""
        return {name: curve for history in self.histories for name, curve in history.curves.items()}

    def facts(self) -> dict[str, Any]:
        """What of it a trained model's checkpoint says."""
        facts = {
            "procedure": self.procedure, "steps": self.steps, "pictures": self.pictures,
            "cache_bytes": self.cache_bytes, "curves": self.curves,
            "wait_seconds": sum(history.wait_seconds for history in self.histories),
        }  # fmt: skip
        validated = [history for history in self.histories if history.validation]
        if validated:
            (history,) = validated  # one procedure of a generation's has a whole detector to measure
            kept = history.done if history.kept is None else history.kept
            facts["validation"] = {
                "map": list(history.validation.items()),
                "kept_step": kept,
                "kept_map": history.validation[kept],
                "seconds": history.validation_seconds,
            }
        return facts
