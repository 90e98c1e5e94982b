"""Curves: precision and recall, time against what is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lineage.viz.bars import milliseconds
from lineage.viz.style import PALETTE, class_style, figure_of, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lineage.common.evaluation import VOCResult


def plot_pr_curves(
    result: VOCResult,
    classes: Sequence[str] | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One precision-recall curve a class, classes of highest AP first in the legend."""
    if ax is None:
        ax = new_figure(6.4, 4.2).add_subplot()
    known = sorted((c for c in result.ap if not math.isnan(result.ap[c])), key=lambda c: -result.ap[c])
    for label in known:
        colour, style = class_style(label)
        name = classes[label - 1] if classes is not None else str(label)
        curve = result.curves[label]
        recall, precision = (
            [0.0, *curve.recall],
            [*curve.precision[:1], *curve.precision],
        )  # begins at recall 0
        ax.plot(
            recall[: len(precision)], precision, color=colour, linestyle=style, linewidth=1.8,
            label=f"{name} {result.ap[label]:.3f}",
        )  # fmt: skip
    ax.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    ax.grid(alpha=0.3)
    if known:
        ax.legend(title="class, AP", fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    ax.set_title(f"precision and recall, mAP {result.map:.3f}" if title is None else title, fontsize=10)
    return figure_of(ax)


def plot_scaling(
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], *, title: str = "Milliseconds a picture"
) -> Figure:
    """How time grows with what is asked for: one panel a quantity, one line a generation.

    Args:
        curves: {quantity: {generation: [(quantity, milliseconds), ...]}}.
    """
    figure = new_figure(width=3.6 * len(curves), height=3.4)
    axes = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for ax, (quantity, lines) in zip(axes, curves.items()):
        for i, (name, points) in enumerate(lines.items()):
            x, y = zip(*points)
            marker, style = "os^D"[i % 4], ("solid", "dashed", "dashdot", "dotted")[i % 4]
            ax.plot(x, y, marker=marker, linestyle=style, color=PALETTE[(1, 0, 2, 4)[i % 4]], label=name)
        ax.set(yscale="log", xlabel=quantity)
        ax.set_xlim(left=0)
        ax.grid(alpha=0.35, which="both", axis="y")
    axes[0].set_ylabel("milliseconds a picture (logarithmic)")
    axes[0].yaxis.set_major_formatter(lambda ms, _: milliseconds(ms))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
