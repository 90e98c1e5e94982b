"""A training's curves: the losses of each procedure, and what was measured on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lineage.viz.curves import plot_lines
from lineage.viz.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 100  # of a loss: single steps jump
NOT_LOSSES = ("step", "learning_rate", "validation_map")


def plot_training(
    procedures: Mapping[str, Mapping[str, Sequence[float]]], *, kept: int | None = None, title: str | None = None
) -> Figure:
    """A panel a procedure with its losses, smoothed; one more with mAP on the validation split, where there is any.

    Args:
        procedures: {procedure: {column: a number a step}}: "step" and any losses; "learning_rate" and "validation_map",
            nan between the measurements, where they are known.
        kept: after how many steps the weights are those that were kept.
    """
    measured = next((columns for columns in procedures.values() if "validation_map" in columns), None)
    panels = len(procedures) + (measured is not None)
    figure = new_figure(4.6 * panels, 3.6)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for ax, (procedure, columns) in zip(axes, procedures.items()):
        losses = {name: values for name, values in columns.items() if name not in NOT_LOSSES}
        lines = {name: _smoothed(columns["step"], values) for name, values in losses.items()}
        plot_lines(lines, "step", "loss", log="y" if _positive(lines) else "", title=procedure, ax=ax)
    if measured is not None:
        points = [(step, value) for step, value in zip(measured["step"], measured["validation_map"]) if value == value]
        lines = {"mAP": ([step for step, _ in points], [value for _, value in points])}
        best = "" if kept is None else f"; kept: after step {kept}"
        plot_lines(lines, "step", "mAP at IoU 0.5", title=f"validation{best}", ax=axes[-1])
        if kept is not None:
            axes[-1].axvline(kept, color="#777777", linewidth=0.9, linestyle="dashed")
        axes[-1].set(xlim=(0, None), ylim=(0, 1))
    if title is not None:
        figure.suptitle(title, fontsize=11)
    return figure


def _smoothed(steps: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Means over successive parts of the steps, each at its part's middle."""
    size = math.ceil(len(values) / POINTS)
    parts = [slice(start, start + size) for start in range(0, len(values), size)]
    return tuple([sum(column[part]) / len(column[part]) for part in parts] for column in (steps, values))  # type: ignore[return-value]


def _positive(lines: Mapping[str, tuple[list[float], list[float]]]) -> bool:
    return all(value > 0 for _, values in lines.values() for value in values)
