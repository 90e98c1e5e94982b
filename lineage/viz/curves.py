"""Curves: precision and recall, time against what is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lineage.evaluation.voc import voc_ap_11_point, voc_ap_area
from lineage.viz.bars import milliseconds
from lineage.viz.style import HEAT, PALETTE, class_style, figure_of, head, new_figure

DASHES = ("solid", "dashed", "dashdot", "dotted")
MARKERS = ("o", "s", "^", "D", "v", "*", "P", "X")
LINE_COLOURS = (PALETTE[3], PALETTE[4], PALETTE[2], PALETTE[5], "#000000", PALETTE[0])

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from torch import Tensor

    from lineage.evaluation.voc import Curve, VOCResult


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
            marker=MARKERS[label % len(MARKERS)], markevery=0.12, markersize=5, label=f"{name} {result.ap[label]:.3f}",
        )  # fmt: skip
    ax.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    ax.grid(alpha=0.3)
    if known:
        ax.legend(title="class, AP", fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    head(ax, f"precision and recall, mAP {result.map:.3f}" if title is None else title)
    return figure_of(ax)


def plot_lines(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x: str,
    y: str,
    *,
    log: str = "",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Named lines (xs, ys) over one another, told apart by colour, dashes and marker.

    Args:
        x, y: what the axes say. log: "x", "y" or "xy" for logarithmic ones.
    """
    if ax is None:
        ax = new_figure(6.4, 3.8).add_subplot()
    for i, (name, (xs, ys)) in enumerate(lines.items()):
        colour, style = LINE_COLOURS[i % len(LINE_COLOURS)], DASHES[i % 4]
        ax.plot(
            xs, ys, color=colour, linestyle=style, linewidth=1.7, label=name,
            marker=MARKERS[i % len(MARKERS)], markevery=max(1, len(xs) // 12), markersize=4.5,
        )  # fmt: skip
    ax.set(xlabel=x, ylabel=y)
    if "x" in log:
        ax.set_xscale("log")
        _plain_ticks(ax.xaxis, *ax.get_xlim())
    if "y" in log:
        ax.set_yscale("log")
        _plain_ticks(ax.yaxis, *ax.get_ylim())
    ax.grid(alpha=0.35)
    if len(lines) > 1:
        ax.legend(fontsize=8)
    if title is not None:
        head(ax, title)
    return figure_of(ax)


def _plain_ticks(axis: Axis, low: float, high: float) -> None:
    """Numbers as one writes them on a logarithmic axis; between powers of ten only where there are few powers."""
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    few = high / low < 100
    axis.set_minor_formatter(lambda value, _: f"{value:g}" if few and f"{value:e}"[0] in "235" else "")


def plot_surface(
    xs: Sequence[float], ys: Sequence[float], values: Tensor, x: str, y: str, *, title: str | None = None
) -> Figure:
    """A function of two numbers, seen from above: dark is low; each line joins points of one value.

    Args:
        values: (len(ys), len(xs)). x, y: what the axes say.
    """
    ax = new_figure(5.6, 4.2).add_subplot()
    numbers = values.detach().numpy()
    ax.contourf(xs, ys, numbers, levels=24, cmap=HEAT)
    lines = ax.contour(xs, ys, numbers, levels=10, colors="white", linewidths=0.9)
    ax.clabel(lines, fontsize=8, fmt="%.3g")
    ax.set(xlabel=x, ylabel=y)
    head(ax, "dark: low" if title is None else title)
    return figure_of(ax)


def plot_intersection(
    first: Sequence[float],
    second: Sequence[float],
    names: tuple[str, str],
    parts: Sequence[str] = (),
    *,
    title: str | None = None,
) -> Figure:
    """Two histograms (n,) that each sum to 1, and what they have in common: the smaller of each pair of bins.

    Args:
        parts: names of the equal parts, such as colour channels, that the bins fall into.
    """
    ax = new_figure(8.0, 2.7).add_subplot()
    bins = range(len(first))
    common = [min(a, b) for a, b in zip(first, second)]
    ax.bar(bins, common, width=1.0, color="#BBBBBB", hatch="///", edgecolor="#777777", linewidth=0, label="common")
    ax.step(bins, first, where="mid", color=PALETTE[3], linewidth=1.6, label=names[0])
    ax.step(bins, second, where="mid", color=PALETTE[4], linewidth=1.6, linestyle="dashed", label=names[1])
    ax.set(xlabel="bin", ylabel="share", xlim=(-0.5, len(first) - 0.5))
    for i, part in enumerate(parts):
        start = i * len(first) / len(parts) - 0.5
        ax.axvline(start, color="#777777", linewidth=0.8)
        ax.text(start + 0.6, 0.97, part, transform=ax.get_xaxis_transform(), va="top", fontsize=10, fontweight="bold")
    ax.legend(fontsize=8)
    head(ax, f"histogram intersection {sum(common):.3f}" if title is None else title)
    return figure_of(ax)


def plot_average_precision(curve: Curve, *, title: str | None = None) -> Figure:
    """One class's curve and the two averages of it: VOC2007's eleven points, and the area from VOC2010 on."""
    figure = new_figure(8.4, 3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    recall, precision = list(curve.recall), list(curve.precision)
    points = [step * 0.1 for step in range(11)]
    best = [max((p for r, p in zip(recall, precision) if r >= at), default=0.0) for at in points]
    left.vlines(points, 0, best, color=PALETTE[3], linewidth=1, linestyle="dotted")
    left.plot(points, best, "o", color=PALETTE[3], label="best precision at that recall or more")
    head(left, f"11-point AP: mean of the dots, {voc_ap_11_point(curve.recall, curve.precision):.3f}")
    steps = [max(precision[i:]) for i in range(len(precision))]
    right.fill_between(
        [0.0, *recall], [*steps[:1], *steps], step="pre", color=PALETTE[1], alpha=0.45, label="envelope"
    )  # fmt: skip
    head(right, f"area AP: {voc_ap_area(curve.recall, curve.precision):.3f}")
    for ax in (left, right):
        ax.plot(recall, precision, ".-", color="black", linewidth=1, label="after each detection")
        ax.set(xlim=(-0.03, 1.03), ylim=(0, 1.06), xlabel="recall")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower left")
    left.set_ylabel("precision")
    if title is not None:
        figure.suptitle(title, fontsize=11)
    return figure


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
            marker, style = "os^D"[i % 4], DASHES[i % 4]
            ax.plot(x, y, marker=marker, linestyle=style, color=PALETTE[(1, 0, 2, 4)[i % 4]], label=name)
        ax.set(yscale="log", xlabel=quantity)
        ax.set_xlim(left=0)
        ax.grid(alpha=0.35, which="both", axis="y")
    axes[0].set_ylabel("milliseconds a picture (logarithmic)")
    axes[0].yaxis.set_major_formatter(lambda ms, _: milliseconds(ms))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
