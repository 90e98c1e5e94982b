"""Boxes on pictures: objects, detections, proposals, anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lineage.common.boxes import box_iou
from lineage.common.matching import BACKGROUND, FOREGROUND, IGNORED
from lineage.viz.style import (
    HIT,
    PALETTE,
    check_boxes,
    class_style,
    figure_of,
    head,
    new_figure,
    picture_axes,
    rectangle,
    tag,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Tensor | None = None,
    scores: Tensor | None = None,
    classes: Sequence[str] | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Boxes on a picture, each with its class and score.

    Args:
        image: (3, H, W), 0..1. boxes: (N, 4) pixels. labels: (N,) in 1..C. scores: (N,).
        classes: C names, without background; the labels' numbers when not given.
    Raises:
        ValueError: shapes do not fit, or a label is outside 1..C.
    """
    boxes = check_boxes(boxes, labels=labels, scores=scores)
    names = _names(labels, classes, len(boxes))
    ax = picture_axes(image, ax, f"{len(boxes)} boxes" if title is None else title)
    order = range(len(boxes)) if scores is None else scores.argsort().tolist()  # the surest on top
    for i in order:
        box = boxes[i].tolist()
        colour, style = class_style(int(labels[i]) if labels is not None else 1)
        rectangle(ax, box, "black", "solid", linewidth=3.4, alpha=0.5)  # any colour shows on any picture
        rectangle(ax, box, colour, style, linewidth=2)
        text = " ".join(filter(None, [names[i], f"{float(scores[i]):.2f}" if scores is not None else ""]))
        if text:
            tag(ax, box, text, colour)
    return figure_of(ax)


def draw_overlap(
    box1: Tensor,
    box2: Tensor,
    frame: Sequence[float] | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Two boxes (4,) on blank paper, what they share hatched; the title says how much that is of what they cover.

    Args:
        frame: x1, y1, x2, y2 of the paper; None is what the boxes need.
    """
    from matplotlib.patches import Rectangle

    pair = check_boxes(torch.stack([box1, box2]))
    if frame is None:
        low, high = pair[:, :2].min(dim=0).values, pair[:, 2:].max(dim=0).values  # (2,), (2,)
        margin = 0.08 * float((high - low).max())
        frame = [*(low - margin).tolist(), *(high + margin).tolist()]
    left, top, right, bottom = frame
    if ax is None:
        scale = 3.4 / max(right - left, bottom - top)
        ax = new_figure(max((right - left) * scale, 2.4), (bottom - top) * scale + 0.5).add_subplot()
    x1, y1 = pair[:, :2].max(dim=0).values.tolist()
    x2, y2 = pair[:, 2:].min(dim=0).values.tolist()
    if x2 > x1 and y2 > y1:
        look: dict[str, Any] = {"facecolor": "#DDDDDD", "edgecolor": "black", "linewidth": 0}
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, hatch="///", **look))
    rectangle(ax, pair[0].tolist(), PALETTE[3], "solid", linewidth=2.4)
    rectangle(ax, pair[1].tolist(), PALETTE[4], "dashed", linewidth=2.4)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")  # y grows downwards, as in a picture
    ax.tick_params(labelsize=8)
    iou = float(box_iou(pair[:1], pair[1:]))
    head(ax, f"hatched / all that is covered: IoU {iou:.2f}" if title is None else title)
    return figure_of(ax)


def draw_suppression(
    image: Tensor,
    boxes: Tensor,
    scores: Tensor,
    kept: Tensor,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """What non-maximum suppression does: boxes that stay, thick and with their scores, over those that go.

    Args:
        image: (3, H, W), 0..1. boxes: (N, 4) pixels. scores: (N,). kept: (K,) rows of ``boxes``, of ``nms``.
    """
    boxes = check_boxes(boxes, scores=scores)
    ax = picture_axes(image, ax, f"{len(kept)} of {len(boxes)} boxes stay" if title is None else title)
    gone = torch.ones(len(boxes), dtype=torch.bool)
    gone[kept] = False
    for box in boxes[gone].tolist():
        rectangle(ax, box, "white", "solid", linewidth=0.8, alpha=0.7)
        rectangle(ax, box, "black", "dotted", linewidth=0.8, alpha=0.7)
    for row in kept.tolist():
        rectangle(ax, boxes[row].tolist(), "black", "solid", linewidth=4, alpha=0.6)
        rectangle(ax, boxes[row].tolist(), PALETTE[0], "solid", linewidth=2.4)
        tag(ax, boxes[row].tolist(), f"{float(scores[row]):.2f}", PALETTE[0])
    return figure_of(ax)


def draw_kinds(
    image: Tensor,
    boxes: Tensor,
    kind: Tensor,
    ground_truth: Tensor | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """What training makes of each box: foreground solid, background thin, ignored dashed.

    Args:
        image: (3, H, W), 0..1. boxes: (N, 4) pixels. kind: (N,) of :mod:`lineage.common.matching`.
        ground_truth: (G, 4), drawn in black and white.
    """
    boxes = check_boxes(boxes, kind=kind)
    looks = {
        IGNORED: (PALETTE[7], "dashed", 1.1, "ignored"),
        BACKGROUND: (PALETTE[1], "solid", 0.7, "background"),
        FOREGROUND: (PALETTE[4], "solid", 1.8, "foreground"),
    }
    ax = picture_axes(image, ax, "")
    _draw_truth(ax, ground_truth)
    counts = []
    for value, (colour, style, linewidth, name) in looks.items():
        chosen = boxes[kind == value]
        counts.append(f"{len(chosen)} {name}")
        for box in chosen.tolist():
            rectangle(ax, box, colour, style, linewidth)
    shown = [look for value, look in reversed(looks.items()) if (kind == value).any()]
    _legend(ax, [(name, colour, style, linewidth) for colour, style, linewidth, name in shown], ground_truth)
    head(ax, ", ".join(reversed(counts)) if title is None else title)
    return figure_of(ax)


def draw_shifts(
    image: Tensor,
    before: Tensor,
    after: Tensor,
    ground_truth: Tensor | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Where regression moves boxes: dotted before, solid after, an arrow for each corner that moved.

    Args:
        image: (3, H, W), 0..1. before, after: (N, 4) pixels. ground_truth: (G, 4), drawn in black and white.
    """
    before, after = check_boxes(before), check_boxes(after, before=before)
    ax = picture_axes(image, ax, f"{len(before)} boxes, moved" if title is None else title)
    _draw_truth(ax, ground_truth)
    for old, new in zip(before.tolist(), after.tolist()):
        rectangle(ax, old, "white", "dotted", linewidth=1.6)
        rectangle(ax, new, PALETTE[0], "solid", linewidth=1.8)
        for x, y in ((0, 1), (2, 1), (0, 3), (2, 3)):
            if max(abs(new[x] - old[x]), abs(new[y] - old[y])) >= 2:
                look = {"arrowstyle": "-|>", "color": PALETTE[0], "linewidth": 1.6, "mutation_scale": 11}
                ax.annotate("", (new[x], new[y]), (old[x], old[y]), arrowprops=look)
    return figure_of(ax)


def _legend(ax: Axes, entries: Sequence[tuple[str, str, str, float]], ground_truth: Tensor | None) -> None:
    """Beneath the picture: (name, colour, line style, width) of each kind of box, and the objects' own."""
    for name, colour, style, linewidth in entries:
        ax.plot([], [], color=colour, linestyle=style, linewidth=linewidth, label=name)
    if ground_truth is not None and len(ground_truth):
        ax.plot([], [], color="black", linewidth=2, label="object")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, frameon=False, fontsize=8)


def _draw_truth(ax: Axes, ground_truth: Tensor | None) -> None:
    for box in check_boxes(ground_truth).tolist() if ground_truth is not None else []:
        rectangle(ax, box, "white", "solid", linewidth=4)
        rectangle(ax, box, "black", "solid", linewidth=2)


def draw_proposals(
    image: Tensor,
    proposals: Tensor,
    ground_truth: Tensor | None = None,
    *,
    count: int = 200,
    iou_threshold: float = 0.5,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """The first ``count`` proposals as thin lines; with ground truth, those that hit an object stand out.

    Args:
        image: (3, H, W), 0..1. proposals: (N, 4), best first. ground_truth: (G, 4) or None.
        iou_threshold: an object is found when a proposal of those drawn overlaps it by this much.
    """
    shown = check_boxes(proposals)[:count]
    ax = picture_axes(image, ax, "")
    hits = torch.zeros(len(shown), dtype=torch.bool)
    caption = f"{len(shown)} of {len(proposals)} proposals"
    if ground_truth is not None and len(ground_truth):
        overlaps = box_iou(shown, check_boxes(ground_truth))  # (N, G)
        hits = (overlaps >= iou_threshold).any(dim=1)
        found = int((overlaps >= iou_threshold).any(dim=0).sum())
        caption += f": {found} of {len(ground_truth)} objects found at IoU {iou_threshold:g}"
    _draw_truth(ax, ground_truth)
    for box, hit in sorted(zip(shown.tolist(), hits.tolist()), key=lambda pair: pair[1]):
        if hit:
            rectangle(ax, box, "black", "solid", 2.6, 0.6)  # green shows on any ground, in grey too
        rectangle(ax, box, HIT if hit else PALETTE[1], "solid", 1.4 if hit else 0.7, 1.0 if hit else 0.5)
    if ground_truth is not None:
        entries = [(f"IoU of {iou_threshold:g} or more", HIT, "solid", 1.8), ("other", PALETTE[1], "solid", 0.8)]
        _legend(ax, entries, ground_truth)
    head(ax, caption if title is None else title)
    return figure_of(ax)


def draw_anchors(image: Tensor, anchors: Tensor, *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Anchors on a picture, frame widened so that those that cross the border show whole.

    Args:
        image: (3, H, W), 0..1. anchors: (A, 4) pixels, for example the nine of one location.
    """
    anchors = check_boxes(anchors)
    ax = picture_axes(image, ax, f"{len(anchors)} anchors" if title is None else title)
    height, width = image.shape[1:]
    # Colour by area (Faster R-CNN's scales), line style by shape (its ratios).
    sizes = anchors[:, 2:] - anchors[:, :2]  # (A, 2)
    scale = sizes.prod(dim=1).sqrt().log2().round().tolist()
    shape = (sizes[:, 1] / sizes[:, 0]).log2().round().sign().tolist()
    scales = sorted(set(scale))
    for box, s, r in zip(anchors.tolist(), scale, shape):
        colour = (PALETTE[4], PALETTE[3], PALETTE[2], PALETTE[5], PALETTE[0])[scales.index(s) % 5]
        rectangle(ax, box, colour, {0: "solid", 1: "dashed", -1: "dotted"}[int(r)], linewidth=1.8)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    ax.plot(*centres.T.tolist(), "+", color="black", markersize=8)
    rectangle(ax, [0, 0, width, height], "black", "solid", linewidth=1)
    outer = torch.cat([anchors, torch.tensor([[0.0, 0.0, width, height]])])
    low, high = outer[:, :2].min(dim=0).values - 6, outer[:, 2:].max(dim=0).values + 6
    ax.set_xlim(float(low[0]), float(high[0]))
    ax.set_ylim(float(high[1]), float(low[1]))
    return figure_of(ax)


def _names(labels: Tensor | None, classes: Sequence[str] | None, count: int) -> list[str]:
    if labels is None:
        return [""] * count
    if classes is None:
        return [str(int(label)) for label in labels]
    for label in labels.tolist():
        if not 1 <= label <= len(classes):
            raise ValueError(f"labels: {label} is outside 1..{len(classes)}, the classes given")
    return [classes[int(label) - 1] for label in labels]
