"""Every number of Faster R-CNN, with its source."""

from __future__ import annotations

from dataclasses import dataclass

from lineage.common.optimise import Solver
from lineage.common.values import check_between
from lineage.fast_rcnn.recipe import EVENING as FAST_RCNN_EVENING
from lineage.fast_rcnn.recipe import QUICK as FAST_RCNN_QUICK
from lineage.fast_rcnn.recipe import HeadSettings


@dataclass(frozen=True)
class RPNSettings:
    """The region proposal network. Lengths in pixels of the network's input."""

    base_size: int = 16  # generate_anchors.py: the anchor of scale 1 covers one cell
    scales: tuple[float, ...] = (8, 16, 32)  # section 3.3: 128^2, 256^2, 512^2
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width: 1:2, 1:1, 2:1
    sizes: tuple[tuple[float, float], ...] = ()  # (width, height) of each anchor, in place of scales and ratios
    channels: int = 512  # section 3.1: 256 for ZF, 512 for VGG16
    dilation: int = 1  # of its 3 x 3 window
    std: float = 0.01  # section 3.1.3: initial weights
    foreground_iou: float = 0.7  # section 3.1.2
    background_iou: tuple[float, float] = (0.0, 0.3)
    anchors_per_image: int = 256  # section 3.1.3
    foreground_fraction: float = 0.5  # "a ratio of up to 1:1"
    regression_weight: float = 10.0  # lambda, section 3.1.2
    smooth_l1_beta: float = 1.0  # "the robust loss function defined in [2]"
    keep_border_anchors: bool = False  # section 3.3: cross-boundary anchors are ignored in training
    min_size: float = 16.0  # RPN_MIN_SIZE of the repository
    nms_iou: float = 0.7  # section 3.3
    before_nms_train: int = 12_000  # RPN_PRE_NMS_TOP_N
    after_nms_train: int = 2_000  # section 3.3
    before_nms_test: int = 6_000
    after_nms_test: int = 300  # table 2

    def __post_init__(self) -> None:
        check_between(self, 1, 1000, "base_size", "dilation")
        check_between(self, 1e-3, 1e4, "scales", "ratios", "sizes")
        counts = ("before_nms_train", "after_nms_train", "before_nms_test", "after_nms_test", "anchors_per_image")
        check_between(self, 1, 1_000_000, "channels", *counts)
        if not (self.sizes or (self.scales and self.ratios)):
            raise ValueError("recipe: rpn has no anchor: neither sizes, nor scales and ratios")


@dataclass(frozen=True)
class Recipe(HeadSettings):
    """Hyper-parameters of Faster R-CNN."""

    rpn: RPNSettings = RPNSettings()
    procedure: str = "alternating"  # section 3.2's 4 steps; "joint" is its approximate joint training, "rpn" step 1
    solver: Solver = Solver(  # joint training; the repository's faster_rcnn_end2end: 70k, lr / 10 at 50k
        "sgd", learning_rate=1e-3, steps=70_000, images_per_step=1, weight_decay=5e-4, decay_at=(50_000,), bias_rate=2.0
    )  # fmt: skip
    rpn_solver: Solver = Solver(  # steps 1 and 3 of 4 (section 3.1.3)
        "sgd", learning_rate=1e-3, steps=80_000, images_per_step=1, weight_decay=5e-4, decay_at=(60_000,), bias_rate=2.0
    )  # fmt: skip
    head_solver: Solver = Solver(  # steps 2 and 4: Fast R-CNN's
        "sgd", learning_rate=1e-3, steps=40_000, images_per_step=2, weight_decay=5e-4, decay_at=(30_000,), bias_rate=2.0
    )  # fmt: skip


PAPER = Recipe()

# Few of the RPN's proposals lie on objects: with 64 RoIs a picture nine in ten would be background. NMS at 0.8 lets the
# better of two good boxes live; the dilated window sees 99 pixels, tiny's cells see 67, VGG16's 196 (NOTES.md).
QUICK = Recipe(
    shorter=None,
    longer=640,
    rois_per_image=32,
    foreground_fraction=0.5,
    background_iou=(0.0, 0.5),
    rpn=RPNSettings(
        base_size=8, scales=(4, 9, 20), channels=128, dilation=2, smooth_l1_beta=1 / 9, anchors_per_image=128,
        min_size=8, foreground_iou=0.5, keep_border_anchors=True, nms_iou=0.8,
        before_nms_train=1000, after_nms_train=300, before_nms_test=2000, after_nms_test=300,
    ),
    procedure="joint",
    solver=FAST_RCNN_QUICK.solver,  # the same steps and pictures: a fair race
    rpn_solver=FAST_RCNN_QUICK.solver,
    head_solver=FAST_RCNN_QUICK.solver,
)  # fmt: skip

# VOC2007 with EfficientNet-Lite0 on two CPU cores overnight; what was tried stands in benchmarks/NOTES.md.
EVENING = Recipe(
    shorter=FAST_RCNN_EVENING.shorter,
    longer=FAST_RCNN_EVENING.longer,
    rois_per_image=FAST_RCNN_EVENING.rois_per_image,
    foreground_fraction=FAST_RCNN_EVENING.foreground_fraction,
    background_iou=FAST_RCNN_EVENING.background_iou,
    frozen=FAST_RCNN_EVENING.frozen,
    rpn=RPNSettings(
        sizes=(  # k-means over the boxes of VOC2007's train at this picture size
            (46, 64), (70, 159), (128, 92), (134, 218), (252, 170), (190, 352), (458, 228), (321, 400), (519, 405),
        ),
        channels=256,  # section 3.1: ZF's
        smooth_l1_beta=1 / 9,
        min_size=12,  # 16 of the papers' 600 pixels
        foreground_iou=0.5,  # cells are 16 of 450 pixels apart: at 0.7 few small objects would have an anchor
        keep_border_anchors=True,
        before_nms_train=1000,
        after_nms_train=300,
        before_nms_test=2000,
    ),
    procedure="joint",
    solver=FAST_RCNN_EVENING.solver,  # the same steps and pictures: a fair race
    rpn_solver=FAST_RCNN_EVENING.solver,
    head_solver=FAST_RCNN_EVENING.solver,
)  # fmt: skip
