"""Feature maps: as heat over a picture, as cells with their numbers, and the cells that a window covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lineage.viz.style import (
    HEAT,
    OUTLINE,
    PALETTE,
    check_boxes,
    figure_of,
    head,
    ink,
    new_figure,
    picture_axes,
    rectangle,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_map(
    image: Tensor,
    values: Tensor,
    stride: float,
    box: Tensor | None = None,
    *,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """A map of numbers as heat over a grey picture: dark is low, light is high.

    Args:
        image: (3, H, W), 0..1. values: (h, w), one a cell. stride: pixels from cell to cell.
        box: (4,) to draw on top. limits: the values that are darkest and lightest; None: the map's own.
    """
    grey = image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    ax = picture_axes(grey, ax, "light: high" if title is None else title)
    height, width = values.shape
    low, high = limits if limits is not None else (float(values.min()), float(values.max()))
    ax.imshow(
        values.detach().numpy(), cmap=HEAT, alpha=0.55, extent=(0, width * stride, height * stride, 0),
        vmin=low, vmax=high, interpolation="nearest",
    )  # fmt: skip
    ax.set_xlim(0, image.shape[2])
    ax.set_ylim(image.shape[1], 0)
    if box is not None:
        rectangle(ax, check_boxes(box.reshape(1, 4))[0].tolist(), "white", "solid", linewidth=3.4)
        rectangle(ax, box.tolist(), OUTLINE, "dashed", linewidth=2.2)
    return figure_of(ax)


def draw_cells(
    values: Tensor,
    bins: Tensor | None = None,
    windows: Sequence[Sequence[float]] = (),
    *,
    rings: bool = True,
    limits: tuple[float, float] | None = None,
    decimals: int = 0,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """A small map with its numbers written into the cells; pooling bins outlined, each bin's largest cell ringed.

    Args:
        values: (h, w); a cell that is nan stays empty. bins: (rows, columns, 4) cell edges, right and bottom
            exclusive, as of :func:`~lineage.viz.regions.pooling_bins` with stride 1.
        windows: any number of x1, y1, x2, y2 in cells, to outline. rings: mark each bin's largest cell.
        limits: the values that are darkest and lightest; None: the map's own.
    """
    from matplotlib.colors import to_hex

    height, width = values.shape
    numbers = values.detach().numpy()
    if ax is None:
        ax = new_figure(max(0.42 * width + 0.3, 2.6), 0.42 * height + 0.6).add_subplot()
    low, high = limits if limits is not None else (float(np.nanmin(numbers)), float(np.nanmax(numbers)))
    picture = ax.imshow(numbers, cmap=HEAT, extent=(0, width, height, 0), alpha=0.85, vmin=low, vmax=high)
    for y, x in np.argwhere(~np.isnan(numbers)):
        background: Any = picture.cmap(picture.norm(numbers[y, x]))
        text = f"{numbers[y, x]:.{decimals}f}"
        ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=8, color=ink(to_hex(background)))
    if bins is not None:
        for row, column in np.ndindex(*bins.shape[:2]):
            _draw_bin(ax, values, bins[row, column], bool((row + column) % 2), rings)
    for number, window in enumerate(windows):
        rectangle(ax, window, "black", "solid", linewidth=4)
        rectangle(ax, window, (PALETTE[0], "white")[number % 2], ("solid", "dashed")[number % 2], linewidth=2.2)
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.set_xticks([x + 0.5 for x in range(width)], [str(x) for x in range(width)])  # a cell's number in its middle
    ax.set_yticks([y + 0.5 for y in range(height)], [str(y) for y in range(height)])
    ax.tick_params(labelsize=7)
    head(ax, f"{height} x {width} cells" if title is None else title)
    return figure_of(ax)


def _draw_bin(ax: Axes, values: Tensor, bin: Tensor, odd: bool, ring: bool) -> None:
    """One bin's outline and its largest cell. Bins may share a row of cells: odd ones are drawn smaller, in white."""
    height, width = values.shape
    x1, y1, x2, y2 = (int(v) for v in bin.tolist())
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if x2 <= x1 or y2 <= y1:
        return
    inset = 0.16 if odd else 0.07
    box = [x1 + inset, y1 + inset, x2 - inset, y2 - inset]
    rectangle(ax, box, "black", "solid", linewidth=3.2)
    rectangle(ax, box, "white" if odd else PALETTE[0], "solid", linewidth=1.8)
    if not ring:
        return
    row, column = divmod(int(values[y1:y2, x1:x2].argmax()), x2 - x1)
    look: dict[str, Any] = {"facecolors": "none", "edgecolors": OUTLINE, "linewidths": 2.2}
    ax.scatter([x1 + column + 0.5], [y1 + row + 0.5], s=210, **look)


def draw_window(
    image: Tensor,
    box: Tensor,
    cells: Tensor,
    map_size: tuple[int, int],
    stride: float,
    offset: float = 0.0,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """A window, the centres of all cells of the feature map as dots, and the cells that the window gets, filled.

    Args:
        image: (3, H, W), 0..1. box: (4,) pixels. cells: (4,) first column and row, last column and row, inclusive.
        map_size: (rows, columns). stride: pixels from centre to centre. offset: where the centre of cell 0 lies.
    """
    ax = picture_axes(image, ax, "")
    rows, columns = map_size
    y, x = torch.meshgrid(torch.arange(rows) * stride + offset, torch.arange(columns) * stride + offset, indexing="ij")
    left, top, right, bottom = cells.tolist()
    inside = torch.zeros(rows, columns, dtype=torch.bool)
    inside[top : bottom + 1, left : right + 1] = True
    ax.scatter(x[~inside], y[~inside], s=7, color="white", edgecolors="black", linewidths=0.4)
    ax.scatter(x[inside], y[inside], s=26, color=PALETTE[0], edgecolors="black", linewidths=0.8)
    rectangle(ax, check_boxes(box.reshape(1, 4))[0].tolist(), "black", "solid", linewidth=3.6)
    rectangle(ax, box.tolist(), "white", "solid", linewidth=1.8)
    what = f"{bottom - top + 1} x {right - left + 1} of {rows} x {columns} cells have their centre in the window"
    head(ax, what if title is None else title)
    return figure_of(ax)
