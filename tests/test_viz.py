from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from lineage import viz
from lineage.evaluation.errors import KINDS, ClassErrors
from lineage.evaluation.voc import Curve, VOCResult

IMAGE = torch.full((3, 60, 80), 0.5)
BOXES = torch.tensor([[5.0, 20, 30, 50], [40, 30, 70, 55]])


def rendered(figure):
    """The figure as pixels, (H, W, 3)."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def has_colour(pixels, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(pixels.astype(int) - wanted).max(axis=2) <= 2).sum() > 10


def inside_the_picture(figure):
    """No text leaves the figure."""
    figure.draw_without_rendering()
    whole = figure.bbox
    artists = [text for ax in figure.axes for text in [*ax.texts, ax.title]]
    artists += [label for ax in figure.axes if ax.axison for label in ax.get_yticklabels()]
    for text in (a for a in artists if a.get_text() and a.get_visible()):
        box = text.get_window_extent()
        assert box.x0 >= whole.x0 - 1 and box.x1 <= whole.x1 + 1, text
        assert box.y0 >= whole.y0 - 1 and box.y1 <= whole.y1 + 1, text
    return True


def test_boxes_carry_class_and_score():
    figure = viz.draw_boxes(IMAGE, BOXES, torch.tensor([2, 1]), torch.tensor([0.876, 0.5]), ["disc", "ring"])
    assert texts(figure) == ["disc 0.50", "ring 0.88"]  # the surest is drawn last, on top
    pixels = rendered(figure)
    assert has_colour(pixels, viz.PALETTE[0]) and has_colour(pixels, viz.PALETTE[1])
    assert not has_colour(pixels, viz.PALETTE[5])


def test_boxes_without_labels_or_without_any():
    assert texts(viz.draw_boxes(IMAGE, BOXES)) == []
    assert texts(viz.draw_boxes(IMAGE, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))) == []


def test_box_lies_where_its_pixels_are():
    image = torch.zeros(3, 60, 80)
    image[:, 20:50, 5:30] = 1
    figure = viz.draw_boxes(image, BOXES[:1])
    figure.draw_without_rendering()
    ax = figure.axes[0]
    assert ax.images[0].get_extent() == [0, 80, 60, 0]  # pixel 0 begins at 0, not at -0.5
    patch = ax.patches[-1]
    assert (patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height()) == (5, 20, 25, 30)


def test_labels_at_the_edges_are_not_cut():
    corners = torch.tensor([[0.0, 0, 10, 10], [70, 0, 80, 10], [70, 50, 80, 60], [0, 50, 10, 60]])
    labels = torch.ones(4, dtype=torch.int64)
    assert inside_the_picture(viz.draw_boxes(IMAGE, corners, labels, torch.rand(4), ["a very long name"]))


def test_classes_have_colours_of_their_own():
    styles = [viz.class_style(label) for label in range(1, 21)]
    assert len(set(styles)) == 20
    assert viz.class_style(3) == viz.class_style(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGE, torch.zeros(4)), r"boxes: expected shape \(N, 4\)"),
        ((IMAGE, BOXES, torch.tensor([1])), "labels: expected 2 values"),
        ((IMAGE, BOXES, torch.tensor([1, 2]), torch.rand(3)), "scores: expected 2 values"),
        ((IMAGE, BOXES, torch.tensor([0, 1]), None, ["a"]), r"labels: 0 is outside 1\.\.1"),
        ((IMAGE * 255, BOXES), r"0\.\.1"),
    ],
)
def test_bad_input_is_one_clear_message(arguments, message):
    with pytest.raises(ValueError, match=message):
        viz.draw_boxes(*arguments)


def test_proposals_say_what_they_find():
    proposals = torch.cat([BOXES[:1] + 1, torch.rand(50, 4).cumsum(dim=1) * 5])
    figure = viz.draw_proposals(IMAGE, proposals, BOXES, count=20)
    assert figure.axes[0].get_title() == "20 of 51 proposals: 1 of 2 objects found at IoU 0.5"
    assert has_colour(rendered(figure), viz.HIT)
    none = viz.draw_proposals(IMAGE, proposals[1:], BOXES).axes[0]
    assert not [patch for patch in none.patches if patch.get_edgecolor() == to_rgba(viz.HIT)]
    assert viz.draw_proposals(IMAGE, torch.zeros(0, 4)).axes[0].get_title() == "0 of 0 proposals"


def test_crops_in_a_grid():
    figure = viz.draw_crops(torch.rand(5, 3, 8, 8), list("abcde"), columns=3)
    assert len(figure.axes) == 6 and sum(len(ax.images) for ax in figure.axes) == 5
    assert [ax.get_title() for ax in figure.axes] == [*"abcde", ""]
    assert len(viz.draw_crops([]).axes) == 8
    grey = torch.zeros(1, 3, 8, 8)  # 0 after normalisation is the mean colour
    shown = viz.draw_crops(grey, normalised=True).axes[0].images[0].get_array()
    assert np.allclose(shown[0, 0], [0.485, 0.456, 0.406], atol=1e-3)


def test_pooling_bins_cover_what_roi_pool_reads():
    """Each bin's maximum of a feature map of distinct values is torchvision's output."""
    from torchvision.ops import roi_pool

    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 1, 20, 20, generator=generator)
    for _ in range(20):
        corner = torch.rand(2, generator=generator) * 150
        box = torch.cat([corner, corner + 10 + torch.rand(2, generator=generator) * 140])
        pooled = roi_pool(features, torch.cat([torch.zeros(1), box])[None], (3, 4), 1 / 16)[0, 0]
        cells = (viz.pooling_bins(box, (3, 4), 16) / 16).long()  # (3, 4, 4)
        for row in range(3):
            for column in range(4):
                x1, y1, x2, y2 = cells[row, column].tolist()
                inside = features[0, 0, y1:y2, x1:x2]
                assert pooled[row, column] == (inside.max() if inside.numel() else 0)


def test_bins_and_anchors_are_all_drawn():
    figure = viz.draw_bins(IMAGE, BOXES[0], (2, 3), stride=8)
    assert len(figure.axes[0].patches) == 2 * 3 + 1
    anchors = torch.tensor([[-84.0, -40, 99, 55], [-56, -56, 71, 71], [-36, -80, 51, 95]])
    ax = viz.draw_anchors(IMAGE, anchors).axes[0]
    assert len(ax.patches) == 3 + 1
    assert ax.get_xlim()[0] < -84 and ax.get_xlim()[1] > 99 and min(ax.get_ylim()) < -80
    assert [patch.get_linestyle() for patch in ax.patches[:3]] == [
        "dotted",
        "solid",
        "dashed",
    ]  # wide, square, tall


def test_pr_curves():
    empty = np.zeros(0)
    curves = {
        1: Curve(np.array([0.5, 1.0]), np.array([1.0, 1.0]), np.array([0.9, 0.8])),
        2: Curve(empty, empty, empty),
        3: Curve(empty, empty, empty),
    }
    result = VOCResult({1: 1.0, 2: 0.0, 3: math.nan}, 0.5, curves)
    figure = viz.plot_pr_curves(result, ["disc", "ring", "star"])
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["disc 1.000", "ring 0.000"]
    assert "mAP 0.500" in figure.axes[0].get_title()
    assert has_colour(rendered(figure), viz.class_style(1)[0])


MS = {
    "R-CNN": {"propose": 180.0, "features": 8200.0, "classify": 3.2, "refine": 1.0, "suppress": 0.6},
    "Faster R-CNN": {"propose": 1.2, "features": 14.0, "classify": 9.0, "refine": 0.0, "suppress": 0.05},
}


def test_phase_bars_have_lengths_that_compare():
    figure = viz.plot_phase_bars(MS, {"R-CNN": [0.6, 0.7], "Faster R-CNN": [0.9]})
    ax, beside = figure.axes
    assert ax.get_xscale() == "log"
    ends = sorted(round(p.get_x() + p.get_width(), 6) for p in ax.patches)
    wanted = [ms for row in MS.values() for ms in row.values() if ms] + [sum(row.values()) for row in MS.values()]
    assert ends == sorted(round(ms, 6) for ms in wanted)  # a bar ends at its own time, wherever it stands
    assert len({patch.get_x() for patch in ax.patches}) == 1  # and all begin at one edge
    assert {"features 8200", "refine 0", "8385 ms", "24.2 ms"} <= set(texts(figure))
    assert [text.split("\n")[0] for text in (t.get_text() for t in beside.texts)] == ["0.650", "0.900"]
    assert inside_the_picture(figure)


@pytest.mark.parametrize(
    "rows",
    [
        {"R-CNN": {"propose": 0.0, "features": 0.0}},
        {"R-CNN": {"propose": 1e6, "features": 1e-4}},
        {"A": {"features": 100.0}, "B": {"features": 100.0}},
        {"A": {"features": 10.0}},
    ],
)
@pytest.mark.parametrize("maps", [None, {}, {"A": [math.nan], "R-CNN": [0.0, 1.0]}])
def test_phase_bars_of_odd_times(rows, maps):
    figure = viz.plot_phase_bars(rows, maps)
    assert inside_the_picture(figure)
    assert rendered(figure).std() > 0


def test_drawing_into_axes_that_exist():
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert viz.draw_boxes(IMAGE, BOXES, ax=left) is figure
    assert viz.draw_proposals(IMAGE, BOXES, ax=right, title="mine") is figure
    assert right.get_title() == "mine" and len(left.images) == 1


def test_no_backend_is_chosen_and_matplotlib_waits():
    """In a fresh interpreter: importing loads no matplotlib, drawing loads no pyplot."""
    code = (
        "import sys, torch; from lineage import viz; assert 'matplotlib' not in sys.modules;"
        "viz.draw_boxes(torch.zeros(3, 9, 9), torch.zeros(0, 4)).savefig('/dev/null', format='png');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_are_drawn_as_shares_of_a_classs_objects():
    errors = {"cat": ClassErrors(10, 4, 3, 2, 0, 1, 5), "dog": ClassErrors(0, 0, 0, 0, 0, 0, 0)}
    ax = viz.plot_errors(errors, title="all").axes[0]
    widths = [round(patch.get_width(), 6) for patch in ax.patches if patch.get_width() > 0]
    assert widths == [0.4, 0.3, 0.2, 0.1]
    assert texts(ax.figure) == ["5 of 10 missed", "0 of 0 missed"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog"]
    assert {text.get_text() for text in ax.get_legend().get_texts()} == set(KINDS)


def test_overlap_says_the_iou_and_hatches_what_is_shared():
    a, b = torch.tensor([0.0, 0, 100, 100]), torch.tensor([50.0, 0, 150, 100])
    ax = viz.draw_overlap(a, b).axes[0]
    assert ax.get_title().replace("\n", " ").endswith("IoU 0.33")
    (shared,) = [patch for patch in ax.patches if patch.get_hatch()]
    assert (shared.get_x(), shared.get_width(), shared.get_height()) == (50, 50, 100)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # y grows downwards
    apart = viz.draw_overlap(a, a + 200, frame=(-10, -10, 310, 310)).axes[0]
    assert apart.get_title().replace("\n", " ").endswith("IoU 0.00") and not [p for p in apart.patches if p.get_hatch()]
    assert apart.get_xlim() == (-10, 310)


def test_suppression_gives_scores_to_those_that_stay():
    figure = viz.draw_suppression(IMAGE, BOXES, torch.tensor([0.9, 0.4]), torch.tensor([0]))
    assert texts(figure) == ["0.90"] and figure.axes[0].get_title() == "1 of 2 boxes stay"
    assert viz.draw_suppression(IMAGE, BOXES, torch.rand(2), torch.tensor([], dtype=torch.int64)).axes


def test_kinds_are_counted_and_look_different():
    kind = torch.tensor([1, 0, 0, -1], dtype=torch.int8)
    figure = viz.draw_kinds(IMAGE, torch.cat([BOXES, BOXES]), kind, BOXES[:1])
    ax = figure.axes[0]
    assert ax.get_title() == "1 foreground, 2 background, 1 ignored"
    looks = {(patch.get_linestyle(), patch.get_linewidth()) for patch in ax.patches[2:]}  # after the truth's two
    assert len(looks) == 3


def test_an_arrow_for_each_corner_that_moved():
    after = BOXES + torch.tensor([[0.0, 0, 6, 0], [0, 0, 0, 0]])
    ax = viz.draw_shifts(IMAGE, BOXES, after, BOXES).axes[0]
    arrows = [text for text in ax.texts if text.arrow_patch is not None]
    assert sorted((arrow.xyann, arrow.xy) for arrow in arrows) == [((30, 20), (36, 20)), ((30, 50), (36, 50))]
    with pytest.raises(ValueError, match="before: expected 1 values"):
        viz.draw_shifts(IMAGE, BOXES, after[:1])


def test_segments_have_their_mean_colour_and_marked_ones_their_number():
    image = torch.zeros(3, 4, 6)
    image[:, :, 3:] = torch.tensor([0.2, 0.4]).repeat_interleave(6).reshape(4, 3)
    labels = np.zeros((4, 6), np.int32)
    labels[:, 3:] = 7
    figure = viz.draw_segments(image, labels, [7], boxes=True)
    ax = figure.axes[0]
    shown = ax.images[0].get_array()
    assert np.allclose(shown[:, :3], 0) and np.allclose(shown[:, 3:], 0.3)
    assert ax.get_title() == "2 regions" and texts(figure) == ["7"]
    box = ax.patches[0]
    assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (3, 0, 3, 4)
    borders = np.array([segment for segment in ax.collections[0].get_segments()])
    assert len(borders) == 4 and (borders[..., 0] == 3).all()  # between columns 2 and 3, a piece a row


def test_cells_show_their_numbers_and_ring_each_bins_largest():
    values = torch.tensor([[1.0, 9, 2, 3], [4, 5, 6, 8], [7, 0, 11, 10]])
    bins = viz.pooling_bins(torch.tensor([0.0, 0, 3, 2]), (2, 2), 1)
    figure = viz.draw_cells(values, bins, windows=[(0.5, 0, 4, 3)])
    assert texts(figure)[:4] == ["1", "9", "2", "3"] and len(texts(figure)) == 12
    rings = {tuple(ring.get_offsets()[0]) for ring in figure.axes[0].collections}
    assert rings == {(1.5, 0.5), (3.5, 1.5), (0.5, 2.5), (2.5, 2.5)}  # 9, 8, 7, 11
    assert inside_the_picture(figure)


def test_a_map_lies_on_its_picture():
    figure = viz.draw_map(IMAGE, torch.arange(12.0).reshape(3, 4), 20, BOXES[0], limits=(0, 20))
    ground, heat = figure.axes[0].images
    assert heat.get_extent() == [0, 80, 60, 0] == ground.get_extent()
    assert heat.get_clim() == (0, 20) and len(figure.axes[0].patches) == 2


def test_a_windows_cells_are_those_given():
    figure = viz.draw_window(IMAGE, BOXES[0], torch.tensor([1, 2, 2, 4]), (6, 8), 10, 4.5)
    outside, inside = (dots.get_offsets() for dots in figure.axes[0].collections)
    assert len(inside) == 2 * 3 and len(outside) == 6 * 8 - 6
    assert inside.min(axis=0).tolist() == [14.5, 24.5] and inside.max(axis=0).tolist() == [24.5, 44.5]
    assert "3 x 2 of 6 x 8 cells" in figure.axes[0].get_title()


def test_both_averages_of_one_curve():
    curve = Curve(np.array([1, 1, 2, 2, 3, 3]) / 3, np.array([1, 1 / 2, 2 / 3, 2 / 4, 3 / 5, 3 / 6]), np.zeros(6))
    figure = viz.plot_average_precision(curve, title="six")
    left, right = figure.axes
    assert left.get_title().endswith("0.764") and right.get_title().endswith("0.756")
    dots = left.lines[0].get_ydata()
    assert dots == pytest.approx([1] * 4 + [2 / 3] * 3 + [0.6] * 4)


def test_lines_differ_in_more_than_colour_and_log_axes_have_plain_numbers():
    lines = {name: ([10, 100, 1000], [2, 3, 4 + i]) for i, name in enumerate("abcd")}
    figure = viz.plot_lines(lines, "x", "y", log="xy", title="t")
    ax = figure.axes[0]
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines}) == 4
    figure.draw_without_rendering()
    assert {"10", "100", "1000"} <= {label.get_text() for label in ax.get_xticklabels()}
    assert {"2", "3", "5"} <= {label.get_text() for label in ax.get_yticklabels(minor=True)}


def test_histograms_share_the_smaller_of_each_bin():
    figure = viz.plot_intersection([0.5, 0.5, 0], [0, 0.25, 0.75], ("a", "b"))
    assert figure.axes[0].get_title() == "histogram intersection 0.250"
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0, 0.25, 0]


def test_a_surface_is_seen_from_above():
    xs, ys = torch.linspace(-1, 1, 5), torch.linspace(0, 3, 4)
    figure = viz.plot_surface(xs, ys, ys[:, None] ** 2 + xs**2, "x", "y", title="bowl")
    assert figure.axes[0].get_title() == "bowl" and rendered(figure).std() > 10


def test_long_titles_stay_in_the_figure():
    title = "a title that is far longer than such a small picture is wide, and then some more of it"
    assert inside_the_picture(viz.draw_cells(torch.rand(3, 3), title=title))
    assert inside_the_picture(viz.draw_boxes(IMAGE, BOXES, title=title))
    figure = viz.draw_crops(torch.rand(2, 3, 8, 8), columns=2, title=title)
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1


def test_doubtful_boxes_stay_on_the_paper_with_why():
    boxes, kinds = [(-9.0, 5, 30, 40), (60, 40, 95, 70), (5, 5, 6, 6)], ["box clipped", "box outside", "box of a pixel"]
    figure = viz.draw_doubtful(IMAGE, boxes, kinds, ["a.xml: object 1: clipped"])
    assert texts(figure) == kinds and "clipped" in figure.axes[0].get_title()
    left, right = figure.axes[0].get_xlim()
    assert left <= -9 and right > 80 and inside_the_picture(figure)
    assert viz.draw_doubtful(IMAGE, [], [], ["a.xml: not well-formed XML"]).axes


def test_sizes_of_objects_have_a_row_a_class():
    figure = viz.plot_sizes({"dog": [(20.0, 20.0), (40.0, 10.0)], "cat": []}, ("cat", "dog", "cow"))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["cat (0)", "dog (2)", "cow (0)"]
    points = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "."]
    assert [list(xs) for xs in points] == [[], [20.0, 20.0], []] and inside_the_picture(figure)


def test_a_trainings_losses_are_smoothed_and_its_map_stands_beside_them():
    steps = list(range(1, 301))
    measured = [0.25 if step == 100 else 0.5 if step == 200 else math.nan for step in steps]
    head = {"step": steps, "learning_rate": [0.1] * 300, "softmax": [1.0, 2.0, 6.0] * 100, "validation_map": measured}
    figure = viz.plot_training({"RPN": {"step": steps[:10], "objectness": [0.0] * 10}, "head": head}, kept=200)
    rpn, losses, quality = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["RPN", "head", "validation; kept: after step 200"]
    assert (rpn.get_yscale(), losses.get_yscale()) == ("linear", "log")  # a loss may be 0
    (line,) = losses.get_lines()
    assert len(line.get_xdata()) == 100 and set(line.get_ydata()) == {3.0} and line.get_xdata()[0] == 2
    dots, kept = quality.get_lines()
    assert list(dots.get_xdata()) == [100, 200] and list(dots.get_ydata()) == [0.25, 0.5]
    assert list(kept.get_xdata()) == [200, 200]
    assert rendered(figure).shape[1] > 3 * 400
    assert len(viz.plot_training({"all": {"step": [1], "loss": [1.0]}}).axes) == 1
