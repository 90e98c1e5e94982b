"""Bars: milliseconds by phase, errors by kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lineage.evaluation.errors import KINDS
from lineage.viz.style import HIT, figure_of, ink, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lineage.evaluation.errors import ClassErrors

# From dark to light, so that a greyscale print still tells them apart.
PHASE_COLOURS = {
    "propose": "#3B2A6B",
    "features": "#0072B2",
    "classify": "#2FA37F",
    "refine": "#E9A93A",
    "suppress": "#F5E6A8",
}

# Colour and hatching of each kind of error: in grey, the hatching tells.
ERROR_LOOKS = dict(zip(KINDS, ((HIT, ""), ("#0072B2", "///"), ("#E69F00", "..."), ("#CC79A7", "xxx"), ("#999999", ""))))


def plot_errors(errors: Mapping[str, ClassErrors], *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """What each class's best detections are (as many as it has objects), and how many of its objects nobody finds.

    Args:
        errors: of :func:`lineage.evaluation.errors.analyse_errors`. title, ax: as of :func:`draw_boxes`.
    """
    ax = ax or new_figure(7.0, 1.2 + 0.32 * len(errors)).subplots()
    for y, one in enumerate(errors.values()):
        left = 0.0
        for kind, (colour, hatch) in ERROR_LOOKS.items():
            width = getattr(one, kind) / max(one.objects, 1)
            ax.barh(y, width, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.6, height=0.7)
            left += width
        ax.text(1.01, y, f"{one.missed} of {one.objects} missed", va="center", fontsize=8)
    for kind, (colour, hatch) in ERROR_LOOKS.items():
        ax.barh(0, 0, color=colour, hatch=hatch, edgecolor="white", linewidth=0.6, label=kind)
    ax.set_yticks(range(len(errors)), list(errors))
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the class's best detections, as many as it has objects")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, frameon=False, fontsize=8)
    if title:
        ax.set_title(title, pad=26)
    return figure_of(ax)


def plot_phase_bars(
    ms_by_phase: Mapping[str, Mapping[str, float]],
    maps: Mapping[str, Sequence[float]] | None = None,
    *,
    title: str = "Time a picture, phase by phase",
) -> Figure:
    """Each generation's phases as bars on one logarithmic axis, over a pale bar of their sum.

    Pieces put end to end on a logarithmic axis would look the longer the earlier they come; side by side from
    the same edge, equal lengths are equal times. Every bar carries its milliseconds.

    Args:
        ms_by_phase: {generation: {phase: milliseconds}}, drawn from top to bottom.
        maps: {generation: mAP of each seed, 0..1}, drawn beside: a dot at the mean, a line over the range.
    """
    phases = list(dict.fromkeys(phase for row in ms_by_phase.values() for phase in row))
    figure = new_figure(width=10, height=0.9 + 0.24 * (len(phases) + 1.4) * max(1, len(ms_by_phase)))
    if maps is not None:
        ax, beside = figure.subplots(1, 2, sharey=True, width_ratios=[3.4, 1])
        _draw_maps(beside, [maps.get(name, ()) for name in ms_by_phase], len(phases) + 1.4)
    else:
        ax = figure.subplots()
    totals = [sum(row.values()) for row in ms_by_phase.values()]
    positive = [ms for row in ms_by_phase.values() for ms in row.values() if ms > 0] or [1.0]
    left = 10.0 ** math.floor(math.log10(max(min(positive), max(positive) * 1e-5)) - 0.01)
    right = max([*totals, left * 10])
    step = len(phases) + 1.4
    for i, (row, total) in enumerate(zip(ms_by_phase.values(), totals)):
        top = i * step
        if total > 0:
            middle = top + (len(phases) - 1) / 2
            ax.barh(middle, total - left, len(phases) + 0.5, left=left, color="#E4E4E4", edgecolor="#9A9A9A")
            label = f"{milliseconds(total)} ms"
            ax.text(total * 1.12, middle, label, va="center", fontsize=10, fontweight="bold")
        for j, phase in enumerate(phases):
            ms = row.get(phase, 0.0)
            if ms > left:
                ax.barh(
                    top + j, ms - left, 0.86, left=left, color=PHASE_COLOURS.get(phase, "#777777"),
                    edgecolor="black", linewidth=0.6,
                )  # fmt: skip
            _bar_label(ax, f"{phase} {milliseconds(ms)}", max(ms, left), top + j, phase, left, right)
    ax.set_xscale("log")
    ax.set_xlim(left, right * 1.6 * (right / left) ** 0.16)  # room for the sum's label, outside its bar
    ax.set_yticks([i * step + (len(phases) - 1) / 2 for i in range(len(ms_by_phase))], list(ms_by_phase))
    ax.set_ylim(len(ms_by_phase) * step - 1.2, -1.2)
    ax.set_xlabel("milliseconds a picture (logarithmic); pale: all phases together", fontsize=9)
    ax.set_axisbelow(True)
    ax.grid(axis="x", alpha=0.35)
    figure.suptitle(title, fontsize=11)
    return figure


def milliseconds(value: float) -> str:
    """Three digits or so: 1234, 56.7, 0.89."""
    if value == 0:
        return "0"
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _bar_label(ax: Axes, text: str, end: float, y: float, phase: str, left: float, right: float) -> None:
    """Inside a bar long enough (beside it the label would cross the sum's edge), after a short one."""
    inside = math.log(end / left) > 0.3 * math.log(right / left)
    colour = ink(PHASE_COLOURS.get(phase, "#777777")) if inside else "black"
    x, align = (end / 1.06, "right") if inside else (end * 1.06, "left")
    ax.text(x, y, text, va="center", ha=align, color=colour, fontsize=7.5)


def _draw_maps(ax: Axes, maps: Sequence[Sequence[float]], step: float) -> None:
    """mAP of each seed beside the bars: the mean's dot and the range."""
    for i, seeds in enumerate(maps):
        known = [value for value in seeds if value is not None and not math.isnan(value)]
        if not known:
            continue
        y, mean = i * step + (step - 2.4) / 2, sum(known) / len(known)
        ax.plot([min(known), max(known)], [y, y], "|-", color="black", linewidth=1.5, markersize=11)
        ax.plot(mean, y, "o", color="black", markersize=4.5)
        spread = f"\n{min(known):.3f} to {max(known):.3f}" if len(known) > 1 else "\none seed"
        ax.annotate(
            f"{mean:.3f}{spread}", (mean, y), xytext=(0, -9), textcoords="offset points", fontsize=8,
            ha="left" if mean < 0.25 else "right" if mean > 0.75 else "center", va="top",
        )  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_xlabel("mAP at IoU 0.5", fontsize=9)
    ax.grid(axis="x", alpha=0.35)
    ax.tick_params(labelleft=False, left=False)
