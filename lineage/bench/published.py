"""What the papers and the project's documents publish, figure by figure.

Nothing here is measured. The report sets these beside its own numbers, ratios beside ratios: an absolute time
belongs to a machine (most of these to an Nvidia K40), a backbone and a training set.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCES = {
    "D0": '"Two-Stage Object Detectors", blog post',
    "D1": '"Object Detection: An End to End Theoretical Perspective", blog post',
    "D2": '"Mystery of Object Detection", blog post; its closing table is borrowed, it says',
    "D3": '"Faster R-CNN, Shaoqing Ren et al., 2016", seminar slides',
    "D4": '"Lecture 15: Object Detectors (II)", lecture slides (its bar charts lost their numbers)',
    "R-CNN paper": "Girshick et al.: Rich feature hierarchies (R-CNN; CVPR 2014, arXiv:1311.2524v5)",
    "R-CNN repository": "rbgirshick/rcnn on GitHub",
    "SPP-net paper": "He, Zhang, Ren, Sun: Spatial pyramid pooling (ECCV 2014, arXiv:1406.4729v4)",
    "Fast R-CNN paper": "Girshick: Fast R-CNN (ICCV 2015, arXiv:1504.08083v2)",
    "Faster R-CNN paper": "Ren, He, Girshick, Sun: Faster R-CNN (NIPS 2015, arXiv:1506.01497v3)",
}

QUANTITIES = {
    "seconds_with_proposals": "time a picture, proposals included",
    "seconds_without_proposals": "time a picture, proposals not counted",
    "seconds_unspecified": "time a picture, what is included not said",
    "speedup_with_proposals": "speed-up at test, proposals included",
    "speedup_without_proposals": "speed-up at test, proposals not counted",
    "proposal_seconds": "time of the proposals alone",
    "conv_seconds": "time of the shared convolutions alone",
    "region_seconds": "time of the region-wise part alone",
    "fps": "pictures a second",
    "training_hours": "training time",
    "training_speedup": "speed-up of training",
    "map_voc07": "mAP at IoU 0.5 on VOC2007 test",
    "map_voc07_small": "the same with the paper's small network, trained on VOC07 trainval",
    "map_ilsvrc13": "mAP on ILSVRC2013 detection",
    "cache_gigabytes": "feature cache on disk",
}


@dataclass(frozen=True)
class Published:
    """One figure, as printed in one place."""

    quantity: str  # a key of QUANTITIES
    generation: str  # one of experiments.generations.GENERATIONS, or another detector's name
    value: float
    unit: str  # s, x (times R-CNN), h, %, 1/s, GB
    source: str  # a key of SOURCES, then where in it
    note: str = ""


def _row(quantity: str, unit: str, source: str, values: dict[str, float], note: str = "") -> tuple[Published, ...]:
    """One row of a published table: several generations, one source."""
    return tuple(Published(quantity, name, value, unit, source, note) for name, value in values.items())


_TABLE_4 = "Fast R-CNN paper, table 4"
_D0 = "D0, closing table"
_D2 = "D2, closing table"
_VGG = "VGG16, VOC07 trainval"

# Where several sources print a figure, the first one is what the report sets beside its measurement.
PUBLISHED: tuple[Published, ...] = (
    # speed-ups: the only published times that may stand beside another machine's
    *_row("speedup_with_proposals", "x", _D0, {"rcnn": 1, "fast_rcnn": 25, "faster_rcnn": 250}),
    *_row(
        "speedup_without_proposals", "x", _TABLE_4, {"rcnn": 1, "sppnet": 20, "fast_rcnn": 146}, "VGG16, K40"
    ),
    *_row("speedup_without_proposals", "x", _TABLE_4, {"fast_rcnn": 213}, "VGG16, K40, truncated SVD"),
    *_row("speedup_without_proposals", "x", "D0, Fast R-CNN", {"fast_rcnn": 146}, "0.32 s against 47 s"),
    *_row(
        "speedup_without_proposals", "x", "SPP-net paper, table 9", {"sppnet": 64},
        "ZF-5, one scale, against R-CNN with AlexNet; five scales: 24x",
    ),
    *_row(
        "speedup_without_proposals", "x", "SPP-net paper, table 10", {"sppnet": 102},
        "ZF-5 for both, one scale; five scales: 38x. Hence the abstract's 24 to 102",
    ),
    *_row("training_speedup", "x", _TABLE_4, {"rcnn": 1, "sppnet": 3.4, "fast_rcnn": 8.8}, "VGG16, K40"),
    *_row(
        "training_speedup", "x", "D0, Fast R-CNN", {"fast_rcnn": 8.8},
        'D0 writes that training time "was increased by 8.8x"; it was divided by it',
    ),
    # mAP
    *_row("map_voc07", "%", _TABLE_4, {"rcnn": 66.0, "sppnet": 63.1, "fast_rcnn": 66.9}, _VGG),
    *_row("map_voc07", "%", "Faster R-CNN paper, table 3", {"faster_rcnn": 69.9}, f"{_VGG}, shared features"),
    *_row("map_voc07", "%", _TABLE_4, {"fast_rcnn": 66.6}, f"{_VGG}, truncated SVD"),
    *_row("map_voc07", "%", "Fast R-CNN paper, table 1", {"fast_rcnn": 70.0}, "VGG16, VOC07+12"),
    *_row("map_voc07", "%", "Faster R-CNN paper, table 3", {"faster_rcnn": 68.5}, f"{_VGG}, unshared"),
    *_row("map_voc07", "%", "Faster R-CNN paper, table 3", {"faster_rcnn": 73.2}, "VGG16, VOC07+12"),
    *_row("map_voc07", "%", "Faster R-CNN paper, table 3", {"faster_rcnn": 78.8}, "VGG16, COCO+07+12"),
    *_row("map_voc07_small", "%", "R-CNN paper, table 2", {"rcnn": 58.5}, "AlexNet fc7, box regression"),
    *_row("map_voc07_small", "%", "SPP-net paper, table 10", {"sppnet": 59.2}, "ZF-5, five scales; one: 58.0"),
    *_row("map_voc07_small", "%", "Fast R-CNN paper, table 6", {"fast_rcnn": 57.1}, "AlexNet"),
    *_row("map_voc07_small", "%", "Faster R-CNN paper, table 2", {"faster_rcnn": 59.9}, "ZF"),
    *_row("map_voc07", "%", _D0, {"rcnn": 66.0, "fast_rcnn": 66.9, "faster_rcnn": 66.9}),
    *_row("map_voc07", "%", _D2, {"rcnn": 66.0}, "trained on 07"),
    *_row("map_voc07", "%", _D2, {"fast_rcnn": 66.9}, "trained on 07+12, it says"),
    *_row("map_voc07", "%", _D2, {"faster_rcnn": 83.8}, "ResNet, 07+12"),
    *_row("map_ilsvrc13", "%", "D2, R-CNN", {"rcnn": 31.4, "OverFeat": 24.3}, "also R-CNN paper, abstract"),
    # absolute times
    *_row("seconds_with_proposals", "s", _D0, {"rcnn": 50, "fast_rcnn": 2, "faster_rcnn": 0.2}),
    *_row(
        "seconds_with_proposals", "s", "Faster R-CNN paper, table 5",
        {"fast_rcnn": 1.83, "faster_rcnn": 0.198}, "VGG16, K40",
    ),
    *_row(
        "seconds_with_proposals", "s", "R-CNN paper, section 2.2", {"rcnn": 13}, "AlexNet, GPU; 53 on a CPU"
    ),
    *_row(
        "seconds_without_proposals", "s", _TABLE_4, {"rcnn": 47.0, "sppnet": 2.3, "fast_rcnn": 0.32},
        "VGG16, K40",
    ),
    *_row("seconds_without_proposals", "s", _TABLE_4, {"fast_rcnn": 0.22}, "VGG16, K40, truncated SVD"),
    *_row("seconds_without_proposals", "s", "D0, Fast R-CNN", {"rcnn": 47, "fast_rcnn": 0.32}),
    *_row("seconds_without_proposals", "s", "D2, Fast R-CNN", {"fast_rcnn": 0.3}),
    *_row("seconds_unspecified", "s", "D2, Faster R-CNN", {"faster_rcnn": 0.2}, '"the detection network" alone?'),
    *_row("seconds_unspecified", "s", "D1, problems with RCNN", {"rcnn": 47}, "VGG16"),
    *_row("seconds_unspecified", "s", "D2, problems in R-CNN", {"rcnn": 47}),
    *_row("seconds_unspecified", "s", "D3, R-CNN: problems", {"rcnn": 47}, "VGG16"),
    *_row("seconds_unspecified", "s", _D2, {"rcnn": 32.84}, "trained on 07"),
    *_row("seconds_unspecified", "s", _D2, {"fast_rcnn": 1.72}, "trained on 07+12"),
    *_row("seconds_unspecified", "s", _D2, {"faster_rcnn": 2.24}, "ResNet, trained on 07+12"),
    *_row("proposal_seconds", "s", "D0, Faster R-CNN", {"rcnn": 2, "fast_rcnn": 2, "faster_rcnn": 0.01}),
    *_row("proposal_seconds", "s", "D3, introduction", {"faster_rcnn": 0.01}),
    *_row(
        "proposal_seconds", "s", "Faster R-CNN paper, table 5", {"fast_rcnn": 1.51, "faster_rcnn": 0.01},
        "selective search on a CPU; RPN on a K40",
    ),
    *_row("conv_seconds", "s", "Faster R-CNN paper, table 5", {"fast_rcnn": 0.146, "faster_rcnn": 0.141}),
    *_row("region_seconds", "s", "Faster R-CNN paper, table 5", {"fast_rcnn": 0.174, "faster_rcnn": 0.047}),
    *_row("fps", "1/s", _D2, {"rcnn": 0.03, "fast_rcnn": 0.6, "faster_rcnn": 0.4}),
    *_row("fps", "1/s", "D2, SSD", {"faster_rcnn": 7}),
    *_row("training_hours", "h", _TABLE_4, {"rcnn": 84, "sppnet": 25, "fast_rcnn": 9.5}, "VGG16, K40"),
    *_row("training_hours", "h", "D3, R-CNN: problems", {"rcnn": 84}),
    *_row("cache_gigabytes", "GB", "R-CNN repository, README", {"rcnn": 200}, "AlexNet, VOC07"),
    # the one-stage detectors that D2's table sets beside them
    *_row(
        "map_voc07", "%", _D2,
        {"R-FCN": 83.6, "SSD300": 74.3, "SSD512": 76.8, "YOLOv1": 63.4, "YOLOv2": 78.6},
        "R-FCN on 07+12+COCO, the others on 07+12",
    ),
    *_row(
        "seconds_unspecified", "s", _D2,
        {"R-FCN": 0.17, "SSD300": 0.02, "SSD512": 0.05, "YOLOv1": 0.02, "YOLOv2": 0.03},
    ),
    *_row("fps", "1/s", _D2, {"R-FCN": 5.9, "SSD300": 46, "SSD512": 19, "YOLOv1": 45, "YOLOv2": 40}),
)  # fmt: skip


def find(quantity: str, generation: str | None = None) -> list[Published]:
    """All published figures of a quantity, the report's choice first.

    Raises:
        ValueError: ``quantity`` is not a key of QUANTITIES.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"published: no quantity {quantity!r}; there are {', '.join(QUANTITIES)}")
    return [p for p in PUBLISHED if p.quantity == quantity and generation in (None, p.generation)]


def headline(quantity: str, generation: str) -> Published | None:
    """The figure that the report sets beside its measurement; None where nobody published one."""
    return next(iter(find(quantity, generation)), None)
