"""Regions of a picture, and what becomes of them: crops, and the bins that they are pooled to."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from lineage.common.image import IMAGENET_MEAN, IMAGENET_STD
from lineage.viz.style import OUTLINE, PALETTE, check_boxes, figure_of, new_figure, picture_axes, pixels_of, rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_segments(
    image: Tensor,
    labels: np.ndarray,
    marked: Sequence[int] = (),
    *,
    boxes: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """A segmentation: every region in its mean colour, with its outline.

    Args:
        image: (3, H, W), 0..1. labels: (H, W) integers. marked: labels of regions to number and outline.
        boxes: also draw the box of each marked region.
    """
    names, flat = np.unique(labels, return_inverse=True)
    pixels = pixels_of(image).reshape(-1, 3)
    flat = flat.reshape(-1)
    sums = np.stack([np.bincount(flat, pixels[:, c]) for c in range(3)], axis=1)  # (n, 3)
    means = torch.from_numpy((sums / np.bincount(flat)[:, None])[flat].reshape(*labels.shape, 3)).permute(2, 0, 1)
    ax = picture_axes(means, ax, f"{len(names)} regions" if title is None else title)
    _outline(ax, labels, "black", 0.6)
    for name in marked:
        inside = labels == name
        rows, columns = np.nonzero(inside)
        _outline(ax, inside.astype(np.int32), "white", 3.0)
        _outline(ax, inside.astype(np.int32), PALETTE[4], 1.8)
        if boxes:
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            rectangle(ax, box, "black", "dashed", linewidth=1.4)
        deep = cv2.distanceTransform(np.pad(inside.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(deep.argmax(), deep.shape)  # well inside, or nobody knew whose number it is
        ax.text(
            x + 0.5, y + 0.5, str(name), fontsize=9, ha="center", va="center", color="white",
            bbox={"facecolor": "black", "edgecolor": "none", "pad": 1.2},
        )  # fmt: skip
    return figure_of(ax)


def _outline(ax: Axes, labels: np.ndarray, colour: str, linewidth: float) -> None:
    """Lines between pixels of different labels (H, W)."""
    from matplotlib.collections import LineCollection

    y, x = np.nonzero(labels[:, :-1] != labels[:, 1:])
    upright = np.stack([np.stack([x + 1, y], -1), np.stack([x + 1, y + 1], -1)], axis=1)  # (E, 2, 2)
    y, x = np.nonzero(labels[:-1] != labels[1:])
    level = np.stack([np.stack([x, y + 1], -1), np.stack([x + 1, y + 1], -1)], axis=1)
    pieces = [*upright, *level]
    ax.add_collection(LineCollection(pieces, colors=colour, linewidths=linewidth))


def draw_crops(
    crops: Tensor | Sequence[Tensor],
    titles: Sequence[str] | None = None,
    boxes: Tensor | None = None,
    *,
    columns: int = 8,
    normalised: bool = False,
    title: str | None = None,
) -> Figure:
    """A grid of crops, such as R-CNN's warped regions.

    Args:
        crops: (N, 3, h, w) or N pictures (3, h, w). titles: N short captions. boxes: (N, 4), one to outline in each.
        normalised: they went through ImageNet's mean and deviation: take it back first.
    """
    rows = max(1, math.ceil(len(crops) / columns))
    heading = textwrap.fill(f"{len(crops)} crops" if title is None else title, width=16 * columns)
    figure = new_figure(width=1.3 * columns, height=0.3 + 0.2 * len(heading.splitlines()) + 1.55 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for i, crop in enumerate(crops):
        if normalised:
            mean, std = crop.new_tensor(IMAGENET_MEAN), crop.new_tensor(IMAGENET_STD)
            crop = (crop * std[:, None, None] + mean[:, None, None]).clamp(0, 1)
        axes[i].imshow(pixels_of(crop), extent=(0, crop.shape[2], crop.shape[1], 0))
        if boxes is not None:
            rectangle(axes[i], boxes[i].tolist(), "black", "solid", linewidth=2.6)
            rectangle(axes[i], boxes[i].tolist(), PALETTE[7], "solid", linewidth=1.3)
        if titles is not None:
            axes[i].set_title(titles[i], fontsize=8)
    figure.suptitle(heading, fontsize=10)
    return figure


def pooling_bins(box: Tensor, output_size: tuple[int, int], stride: int) -> Tensor:
    """RoI pooling's bins as boxes (rows, columns, 4) in pixels.

    Corners are rounded to whole feature cells and each bin's edges floored and ceiled, so that neighbours may
    share a row of cells.
    Source: Fast R-CNN section 2.1; Caffe's roi_pooling_layer.cpp.
    """
    start = [math.floor(float(v) / stride + 0.5) for v in box[:2]]
    last = [math.floor(float(v) / stride + 0.5) for v in box[2:]]
    edges = []
    for axis, bins in ((0, output_size[1]), (1, output_size[0])):
        size = max(last[axis] - start[axis] + 1, 1) / bins
        edges.append(
            [(start[axis] + math.floor(i * size), start[axis] + math.ceil((i + 1) * size)) for i in range(bins)]
        )
    rows = [[[x1, y1, x2, y2] for x1, x2 in edges[0]] for y1, y2 in edges[1]]
    return torch.tensor(rows, dtype=torch.float32) * stride


def draw_bins(
    image: Tensor,
    box: Tensor,
    output_size: tuple[int, int] = (7, 7),
    stride: int = 16,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """RoI pooling's bins over a picture, with the feature cells beneath.

    Args:
        image: (3, H, W), 0..1. box: (4,) pixels. output_size: (rows, columns). stride: pixels a feature cell.
    """
    box = check_boxes(box.reshape(-1, 4))[0]
    bins = pooling_bins(box, output_size, stride)  # (rows, columns, 4)
    rows, columns = output_size
    what = f"{rows} × {columns} bins over cells of {stride} px" if title is None else title
    ax = picture_axes(image, ax, what)
    height, width = image.shape[1:]
    for x in range(0, width + 1, stride):
        ax.axvline(x, color="white", linewidth=0.4, alpha=0.6)
    for y in range(0, height + 1, stride):
        ax.axhline(y, color="white", linewidth=0.4, alpha=0.6)
    for row in range(rows):
        for column in range(columns):
            # Drawn a little small, in turns, so that the row of cells which two neighbours share shows both.
            odd = (row + column) % 2
            inset = stride * (0.2 if odd else 0.08)
            x1, y1, x2, y2 = bins[row, column].tolist()
            inner = [x1 + inset, y1 + inset, x2 - inset, y2 - inset]
            rectangle(ax, inner, "white" if odd else "black", "solid", linewidth=1.6)
    rectangle(ax, box.tolist(), OUTLINE, "dashed", linewidth=2.4)
    return figure_of(ax)
