"""What all figures share: colours that last, axes that show a picture, rectangles, labels, the checks on boxes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lineage.common.inputs import check_image
from lineage.viz.lettering import bundled_font, font_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers; after eight classes the line's style changes.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#999999", "#F0E442")
LINE_STYLES = ("solid", "dashed", "dotted")
HEAT = "viridis"  # its lightness grows with the value, so a greyscale print shows the same
HIT, OUTLINE = "#009E73", "#D55E00"


def class_style(label: int) -> tuple[str, str]:
    """(colour, line style) of class ``label`` (1..C), the same in every figure."""
    index = max(label - 1, 0)
    return PALETTE[index % len(PALETTE)], LINE_STYLES[index // len(PALETTE) % len(LINE_STYLES)]


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def figure_of(ax: Axes) -> Figure:
    """The figure that an Axes belongs to."""
    figure: Any = ax.get_figure()  # the Figure, whatever stub of matplotlib is installed
    return figure


def picture_axes(image: Tensor, ax: Axes | None, title: str) -> Axes:
    """An Axes that shows a picture (3, H, W); one of a new figure where ``ax`` is None."""
    pixels = pixels_of(image)
    height, width = image.shape[1:]
    if ax is None:
        scale = 6.0 / max(height, width)
        ax = new_figure(max(width * scale, 2.5), max(height * scale, 2.0) + 0.4).add_subplot()
    ax.imshow(pixels, extent=(0, width, height, 0))  # a pixel's left edge at its index, as boxes have it
    ax.set_axis_off()
    head(ax, title)
    return ax


def head(ax: Axes, title: str) -> None:
    """A title over an Axes, in as many lines as its width asks for; a figure of one Axes grows to hold them."""
    figure = figure_of(ax)
    inches = ax.get_position().width * figure.get_figwidth()
    lines = textwrap.wrap(title, width=max(20, int(14 * inches))) or [""]
    if len(figure.axes) == 1:
        figure.set_figheight(figure.get_figheight() + 0.17 * (len(lines) - 1))
    ax.set_title("\n".join(lines), fontsize=10)


def pixels_of(image: Tensor) -> Any:
    """A picture (3, H, W) as matplotlib wants it, (H, W, 3)."""
    check_image(image)
    return image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()


def check_boxes(boxes: Tensor, **columns: Tensor | None) -> Tensor:
    """Boxes (N, 4) on the CPU.

    Raises:
        ValueError: another shape, or a column that has not N values.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (N, 4), got {tuple(boxes.shape)}")
    for name, values in columns.items():
        if values is not None and len(values) != len(boxes):
            raise ValueError(f"{name}: expected {len(boxes)} values, one a box, got {len(values)}")
    return boxes.detach().cpu().float()


def rectangle(
    ax: Axes,
    box: Sequence[float],
    colour: str,
    style: str,
    linewidth: float,
    alpha: float = 1.0,
) -> None:
    """Outline a box."""
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = box
    look: dict[str, Any] = {"linewidth": linewidth, "edgecolor": colour, "linestyle": style, "alpha": alpha}
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, **look))


def tag(ax: Axes, box: Sequence[float], text: str, colour: str) -> None:
    """A label at the box's top left corner, inside it when there is no room above."""
    low, high = sorted(ax.get_ylim())
    above = box[1] - low > 0.06 * (high - low)
    leftmost, rightmost = ax.get_xlim()
    from_right = box[0] > leftmost + 0.7 * (rightmost - leftmost)  # or a long name would leave the picture
    ax.text(
        box[2] if from_right else box[0], box[1], text, fontsize=8, color=ink(colour),
        va="bottom" if above else "top", ha="right" if from_right else "left", **_font(text),
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.2},
    )  # fmt: skip


def _font(text: str) -> dict[str, Any]:
    """What ``ax.text`` needs where the figure's own font lacks a letter (Chinese) and another has it."""
    file = font_file(text)
    return {} if file is None or file == bundled_font() else {"fontproperties": Path(file)}


def ink(background: str) -> str:
    """White on dark, black on light."""
    red, green, blue = (int(background[i : i + 2], 16) for i in (1, 3, 5))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else "black"
