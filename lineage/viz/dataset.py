"""A data set before it is trained on: how large its objects are, and the boxes that look wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lineage.viz.style import OUTLINE, PALETTE, class_style, figure_of, head, new_figure, picture_axes, rectangle, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.15  # of a picture's longer side, at most, to show what reaches outside
CELL = 16  # pixels: a cell of the feature map


def plot_sizes(sides: Mapping[str, Sequence[tuple[float, float]]], classes: Sequence[str]) -> Figure:
    """Each class's objects by the square root of their area, on a logarithmic axis, and how many there are.

    Args:
        sides: class -> widths and heights, pixels; a class may be missing.
    """
    figure = new_figure(7.0, 1.2 + 0.34 * max(len(classes), 1))
    ax = figure.add_subplot()
    for row, name in enumerate(classes):
        roots = np.sqrt(np.array(sides.get(name, [])).reshape(-1, 2).prod(axis=1))
        colour, _ = class_style(row + 1)
        spread = (np.arange(len(roots)) * 0.618 % 1 - 0.5) * 0.6  # so that equal sizes do not hide each other
        ax.plot(roots, row + spread, ".", color=colour, markersize=3, alpha=0.6)
        if len(roots):
            ax.plot([np.median(roots)] * 2, [row - 0.4, row + 0.4], color="black", linewidth=1.4)
    ax.axvline(CELL, color=OUTLINE, linestyle="dashed", linewidth=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(classes)), [f"{name} ({len(sides.get(name, []))})" for name in classes])
    ax.invert_yaxis()
    ax.set_xlabel("square root of the area, pixels")
    head(ax, f"Sizes of objects; black: the median; dashed: {CELL} pixels, a cell of the feature map")
    return figure


def draw_doubtful(
    image: Tensor, boxes: Sequence[Sequence[float]], kinds: Sequence[str], messages: Sequence[str]
) -> Figure:
    """A picture (3, H, W) with the boxes that a check doubts, each with why; what is said of it is the title.

    The paper is larger than the picture where a box reaches outside.
    """
    ax = picture_axes(image, None, "; ".join(messages))
    height, width = image.shape[1:]
    room = MARGIN * max(height, width)
    edges = np.array([*boxes, (0, 0, width, height)], dtype=float).reshape(-1, 4)
    ax.set_xlim(max(edges[:, 0].min(), -room), min(edges[:, 2].max(), width + room))
    ax.set_ylim(min(edges[:, 3].max(), height + room), max(edges[:, 1].min(), -room))
    for box, kind in zip(boxes, kinds):
        colour = PALETTE[sorted(set(kinds)).index(kind) % len(PALETTE)]
        rectangle(ax, box, "black", "solid", linewidth=3.4, alpha=0.5)
        rectangle(ax, box, colour, "solid", linewidth=2)
        tag(ax, box, kind, colour)
    return figure_of(ax)
