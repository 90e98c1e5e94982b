"""Pictures of what a detector sees: boxes, regions, crops, feature maps, bins, anchors, curves and bars.

Every function returns a matplotlib Figure that belongs to nobody: no pyplot, no window, no backend chosen, so
it works in a notebook (after ``%matplotlib inline`` a cell that ends in the call shows it), in a script
(``figure.savefig``) and without a display. ``ax`` draws into an Axes of yours and returns its Figure. Only
``paint_boxes`` returns pixels: the picture's own, as many as it had.
"""

from lineage.viz.bars import PHASE_COLOURS, milliseconds, plot_errors, plot_phase_bars
from lineage.viz.boxes import (
    draw_anchors,
    draw_boxes,
    draw_kinds,
    draw_overlap,
    draw_proposals,
    draw_shifts,
    draw_suppression,
)
from lineage.viz.curves import (
    plot_average_precision,
    plot_intersection,
    plot_lines,
    plot_pr_curves,
    plot_scaling,
    plot_surface,
)
from lineage.viz.dataset import draw_doubtful, plot_sizes
from lineage.viz.lettering import unwritable, writable
from lineage.viz.maps import draw_cells, draw_map, draw_window
from lineage.viz.paint import paint_boxes
from lineage.viz.regions import draw_bins, draw_crops, draw_segments, pooling_bins
from lineage.viz.style import HIT, OUTLINE, PALETTE, class_style, figure_of, new_figure

__all__ = [
    "HIT",
    "OUTLINE",
    "PALETTE",
    "PHASE_COLOURS",
    "class_style",
    "draw_anchors",
    "draw_bins",
    "draw_boxes",
    "draw_cells",
    "draw_crops",
    "draw_doubtful",
    "draw_kinds",
    "draw_map",
    "draw_overlap",
    "draw_proposals",
    "draw_segments",
    "draw_shifts",
    "draw_suppression",
    "draw_window",
    "figure_of",
    "milliseconds",
    "new_figure",
    "paint_boxes",
    "plot_average_precision",
    "plot_errors",
    "plot_intersection",
    "plot_lines",
    "plot_phase_bars",
    "plot_pr_curves",
    "plot_scaling",
    "plot_sizes",
    "plot_surface",
    "pooling_bins",
    "unwritable",
    "writable",
]
