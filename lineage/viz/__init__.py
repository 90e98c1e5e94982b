"""Pictures of what a detector sees: boxes, proposals, crops, bins, anchors, curves and phase bars.

Every function returns a matplotlib Figure that belongs to nobody: no pyplot, no window, no backend chosen, so
it works in a notebook (after ``%matplotlib inline`` a cell that ends in the call shows it), in a script
(``figure.savefig``) and without a display. ``ax`` draws into an Axes of yours and returns its Figure.
"""

from lineage.viz.bars import PHASE_COLOURS, milliseconds, plot_errors, plot_phase_bars
from lineage.viz.boxes import draw_anchors, draw_boxes, draw_overlap, draw_proposals, draw_suppression
from lineage.viz.curves import plot_average_precision, plot_intersection, plot_lines, plot_pr_curves, plot_scaling
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
    "draw_crops",
    "draw_overlap",
    "draw_proposals",
    "draw_segments",
    "draw_suppression",
    "figure_of",
    "milliseconds",
    "new_figure",
    "plot_average_precision",
    "plot_errors",
    "plot_intersection",
    "plot_lines",
    "plot_phase_bars",
    "plot_pr_curves",
    "plot_scaling",
    "pooling_bins",
]
