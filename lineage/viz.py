"""Pictures of what a detector sees: boxes, proposals, crops, bins, anchors, curves and phase bars.

Every function returns a matplotlib Figure that belongs to nobody: no pyplot, no window, no backend chosen, so
it works in a notebook (after ``%matplotlib inline`` a cell that ends in the call shows it), in a script
(``figure.savefig``) and without a display. ``ax`` draws into an Axes of yours and returns its Figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lineage.common.boxes import box_iou
from lineage.common.errors import KINDS
from lineage.common.image import IMAGENET_MEAN, IMAGENET_STD, check_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lineage.common.errors import ClassErrors
    from lineage.common.evaluation import VOCResult

# Okabe and Ito's colours, told apart by colour-blind readers; after eight classes the line's style changes.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#999999", "#F0E442")
LINE_STYLES = ("solid", "dashed", "dotted")
HIT, OUTLINE = "#009E73", "#D55E00"

# From dark to light, so that a greyscale print still tells them apart.
PHASE_COLOURS = {
    "propose": "#3B2A6B",
    "features": "#0072B2",
    "classify": "#2FA37F",
    "refine": "#E9A93A",
    "suppress": "#F5E6A8",
}


def class_style(label: int) -> tuple[str, str]:
    """(colour, line style) of class ``label`` (1..C), the same in every figure."""
    index = max(label - 1, 0)
    return PALETTE[index % len(PALETTE)], LINE_STYLES[index // len(PALETTE) % len(LINE_STYLES)]


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
    boxes = _check_boxes(boxes, labels=labels, scores=scores)
    names = _names(labels, classes, len(boxes))
    ax = _picture_axes(image, ax, f"{len(boxes)} boxes" if title is None else title)
    for i, box in enumerate(boxes.tolist()):
        colour, style = class_style(int(labels[i]) if labels is not None else 1)
        _rectangle(ax, box, "black", "solid", linewidth=3.4, alpha=0.5)  # any colour shows on any picture
        _rectangle(ax, box, colour, style, linewidth=2)
        text = " ".join(filter(None, [names[i], f"{float(scores[i]):.2f}" if scores is not None else ""]))
        if text:
            _tag(ax, box, text, colour)
    return _figure_of(ax)


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
    shown = _check_boxes(proposals)[:count]
    ax = _picture_axes(image, ax, "")
    hits = torch.zeros(len(shown), dtype=torch.bool)
    caption = f"{len(shown)} of {len(proposals)} proposals"
    if ground_truth is not None and len(ground_truth):
        overlaps = box_iou(shown, _check_boxes(ground_truth))  # (N, G)
        hits = (overlaps >= iou_threshold).any(dim=1)
        found = int((overlaps >= iou_threshold).any(dim=0).sum())
        caption += f": {found} of {len(ground_truth)} objects found at IoU {iou_threshold:g}"
        for box in ground_truth.tolist():
            _rectangle(ax, box, "white", "solid", linewidth=4)
            _rectangle(ax, box, "black", "solid", linewidth=2)
    for box, hit in sorted(zip(shown.tolist(), hits.tolist()), key=lambda pair: pair[1]):
        _rectangle(ax, box, HIT if hit else PALETTE[1], "solid", 1.4 if hit else 0.7, 1.0 if hit else 0.5)
    ax.set_title(caption if title is None else title, fontsize=10)
    return _figure_of(ax)


def draw_crops(
    crops: Tensor | Sequence[Tensor],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    normalised: bool = False,
    title: str | None = None,
) -> Figure:
    """A grid of crops, such as R-CNN's warped regions.

    Args:
        crops: (N, 3, h, w) or N pictures (3, h, w). titles: N short captions.
        normalised: they went through ImageNet's mean and deviation: take it back first.
    """
    figure = _new_figure(width=1.3 * columns, height=0.5 + 1.55 * max(1, math.ceil(len(crops) / columns)))
    axes = figure.subplots(max(1, math.ceil(len(crops) / columns)), columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for i, crop in enumerate(crops):
        if normalised:
            mean, std = crop.new_tensor(IMAGENET_MEAN), crop.new_tensor(IMAGENET_STD)
            crop = (crop * std[:, None, None] + mean[:, None, None]).clamp(0, 1)
        axes[i].imshow(_pixels(crop))
        if titles is not None:
            axes[i].set_title(titles[i], fontsize=8)
    figure.suptitle(f"{len(crops)} crops" if title is None else title, fontsize=10)
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
    box = _check_boxes(box.reshape(-1, 4))[0]
    bins = pooling_bins(box, output_size, stride)  # (rows, columns, 4)
    rows, columns = output_size
    what = f"{rows} × {columns} bins over cells of {stride} px" if title is None else title
    ax = _picture_axes(image, ax, what)
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
            _rectangle(ax, inner, "white" if odd else "black", "solid", linewidth=1.6)
    _rectangle(ax, box.tolist(), OUTLINE, "dashed", linewidth=2.4)
    return _figure_of(ax)


def draw_anchors(image: Tensor, anchors: Tensor, *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Anchors on a picture, frame widened so that those that cross the border show whole.

    Args:
        image: (3, H, W), 0..1. anchors: (A, 4) pixels, for example the nine of one location.
    """
    anchors = _check_boxes(anchors)
    ax = _picture_axes(image, ax, f"{len(anchors)} anchors" if title is None else title)
    height, width = image.shape[1:]
    # Colour by area (Faster R-CNN's scales), line style by shape (its ratios).
    sizes = anchors[:, 2:] - anchors[:, :2]  # (A, 2)
    scale = sizes.prod(dim=1).sqrt().log2().round().tolist()
    shape = (sizes[:, 1] / sizes[:, 0]).log2().round().sign().tolist()
    scales = sorted(set(scale))
    for box, s, r in zip(anchors.tolist(), scale, shape):
        colour = (PALETTE[4], PALETTE[3], PALETTE[2], PALETTE[5], PALETTE[0])[scales.index(s) % 5]
        _rectangle(ax, box, colour, {0: "solid", 1: "dashed", -1: "dotted"}[int(r)], linewidth=1.8)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    ax.plot(*centres.T.tolist(), "+", color="black", markersize=8)
    _rectangle(ax, [0, 0, width, height], "black", "solid", linewidth=1)
    outer = torch.cat([anchors, torch.tensor([[0.0, 0.0, width, height]])])
    low, high = outer[:, :2].min(dim=0).values - 6, outer[:, 2:].max(dim=0).values + 6
    ax.set_xlim(float(low[0]), float(high[0]))
    ax.set_ylim(float(high[1]), float(low[1]))
    return _figure_of(ax)


def plot_pr_curves(
    result: VOCResult,
    classes: Sequence[str] | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One precision-recall curve a class, classes of highest AP first in the legend."""
    if ax is None:
        ax = _new_figure(6.4, 4.2).add_subplot()
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
    return _figure_of(ax)


def plot_errors(errors: Mapping[str, ClassErrors], *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """What each class's best detections are (as many as it has objects), and how many of its objects nobody finds.

    Args:
        errors: of :func:`lineage.common.errors.analyse_errors`. title, ax: as of :func:`draw_boxes`.
    """
    ax = ax or _new_figure(7.0, 1.2 + 0.32 * len(errors)).subplots()
    colours = dict(zip(KINDS, (HIT, "#0072B2", "#E69F00", "#CC79A7", "#999999")))
    for y, one in enumerate(errors.values()):
        left = 0.0
        for kind, colour in colours.items():
            width = getattr(one, kind) / max(one.objects, 1)
            ax.barh(y, width, left=left, color=colour, height=0.7)
            left += width
        ax.plot(one.missed / max(one.objects, 1), y, "k|", markersize=14, markeredgewidth=2)
    for kind, colour in colours.items():
        ax.barh(0, 0, color=colour, label=kind)
    ax.plot([], [], "k|", markersize=10, markeredgewidth=2, label="objects missed")
    ax.set_yticks(range(len(errors)), list(errors))
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the class's objects")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
    if title:
        ax.set_title(title, pad=46)
    return _figure_of(ax)


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
    figure = _new_figure(width=10, height=0.9 + 0.24 * (len(phases) + 1.4) * max(1, len(ms_by_phase)))
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


def plot_scaling(
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], *, title: str = "Milliseconds a picture"
) -> Figure:
    """How time grows with what is asked for: one panel a quantity, one line a generation.

    Args:
        curves: {quantity: {generation: [(quantity, milliseconds), ...]}}.
    """
    figure = _new_figure(width=3.6 * len(curves), height=3.4)
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


def milliseconds(value: float) -> str:
    """Three digits or so: 1234, 56.7, 0.89."""
    if value == 0:
        return "0"
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _bar_label(ax: Axes, text: str, end: float, y: float, phase: str, left: float, right: float) -> None:
    """Inside a bar long enough (beside it the label would cross the sum's edge), after a short one."""
    inside = math.log(end / left) > 0.3 * math.log(right / left)
    colour = _ink(PHASE_COLOURS.get(phase, "#777777")) if inside else "black"
    x, align = (end / 1.06, "right") if inside else (end * 1.06, "left")
    ax.text(x, y, text, va="center", ha=align, color=colour, fontsize=7.5)


# ---- shared -----------------------------------------------------------------------------------------


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


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _figure_of(ax: Axes) -> Figure:
    figure: Any = ax.get_figure()  # the Figure, whatever stub of matplotlib is installed
    return figure


def _picture_axes(image: Tensor, ax: Axes | None, title: str) -> Axes:
    pixels = _pixels(image)
    height, width = image.shape[1:]
    if ax is None:
        scale = 6.0 / max(height, width)
        ax = _new_figure(max(width * scale, 2.5), max(height * scale, 2.0) + 0.4).add_subplot()
    ax.imshow(pixels, extent=(0, width, height, 0))  # a pixel's left edge at its index, as boxes have it
    ax.set_axis_off()
    ax.set_title(title, fontsize=10)
    return ax


def _pixels(image: Tensor) -> Any:
    check_image(image)
    return image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()


def _check_boxes(boxes: Tensor, **columns: Tensor | None) -> Tensor:
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (N, 4), got {tuple(boxes.shape)}")
    for name, values in columns.items():
        if values is not None and len(values) != len(boxes):
            raise ValueError(f"{name}: expected {len(boxes)} values, one a box, got {len(values)}")
    return boxes.detach().cpu().float()


def _names(labels: Tensor | None, classes: Sequence[str] | None, count: int) -> list[str]:
    if labels is None:
        return [""] * count
    if classes is None:
        return [str(int(label)) for label in labels]
    for label in labels.tolist():
        if not 1 <= label <= len(classes):
            raise ValueError(f"labels: {label} is outside 1..{len(classes)}, the classes given")
    return [classes[int(label) - 1] for label in labels]


def _rectangle(
    ax: Axes,
    box: Sequence[float],
    colour: str,
    style: str,
    linewidth: float,
    alpha: float = 1.0,
) -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = box
    look: dict[str, Any] = {"linewidth": linewidth, "edgecolor": colour, "linestyle": style, "alpha": alpha}
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, **look))


def _tag(ax: Axes, box: Sequence[float], text: str, colour: str) -> None:
    """A label at the box's top left corner, inside it when there is no room above."""
    low, high = sorted(ax.get_ylim())
    above = box[1] - low > 0.06 * (high - low)
    leftmost, rightmost = ax.get_xlim()
    from_right = box[0] > leftmost + 0.7 * (rightmost - leftmost)  # or a long name would leave the picture
    ax.text(
        box[2] if from_right else box[0], box[1], text, fontsize=8, color=_ink(colour),
        va="bottom" if above else "top", ha="right" if from_right else "left",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.2},
    )  # fmt: skip


def _ink(background: str) -> str:
    """White on dark, black on light."""
    red, green, blue = (int(background[i : i + 2], 16) for i in (1, 3, 5))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else "black"
