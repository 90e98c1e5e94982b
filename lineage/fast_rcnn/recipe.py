"""Every number of Fast R-CNN, with its source."""

from __future__ import annotations

from dataclasses import dataclass

from lineage.common.augment import Augmentation
from lineage.common.image import LARGEST_SIDE
from lineage.common.optimise import Solver
from lineage.common.values import check_between
from lineage.selective_search.settings import ProposalSettings


@dataclass(frozen=True)
class HeadSettings:
    """RoI sampling, the two heads and detection: what Faster R-CNN inherits. Lengths in pixels."""

    shorter: int | None = 600  # section 5.2: s = 600; None is the picture's own size
    longer: int = 1000  # section 5.2: "cap the longest image side at 1000 pixels"
    rois_per_image: int = 64  # section 2.3: R = 128 RoIs from N = 2 pictures
    foreground_fraction: float = 0.25  # section 2.3
    foreground_iou: float = 0.5  # section 2.3
    background_iou: tuple[float, float] = (0.1, 0.5)  # section 2.3
    target_stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)  # BBOX_NORMALIZE_STDS of py-faster-rcnn
    regression_weight: float = 1.0  # lambda, section 2.3
    class_std: float = 0.01  # section 2.3: initial weights
    offset_std: float = 0.001
    frozen: int | None = None  # leading children of the conv part that do not learn; None: the backbone's number
    flip: bool = True  # section 2.3: with probability 0.5
    augmentation: Augmentation = Augmentation()  # the paper: nothing but flips
    score_threshold: float = 0.05  # test.py of the repository
    nms_iou: float = 0.3  # TEST.NMS
    max_detections: int = 100

    def __post_init__(self) -> None:
        check_between(self, 1, LARGEST_SIDE, "shorter", "longer")
        check_between(self, 1, 1_000_000, "rois_per_image", "max_detections")


@dataclass(frozen=True)
class Recipe(HeadSettings):
    """Hyper-parameters of Fast R-CNN."""

    proposals: ProposalSettings = ProposalSettings(mode="fast", width=500, min_side=20, limit=2000)
    solver: Solver = Solver(
        "sgd", learning_rate=1e-3, steps=40_000, images_per_step=2, weight_decay=5e-4, decay_at=(30_000,), bias_rate=2.0
    )  # fmt: skip  # section 2.3


PAPER = Recipe()

QUICK = Recipe(
    shorter=None,
    longer=640,
    rois_per_image=64,
    background_iou=(0.0, 0.5),
    proposals=ProposalSettings(mode="quick", width=None, min_side=12, limit=300),
    solver=Solver(
        "adamw", learning_rate=3e-3, steps=700, images_per_step=4, weight_decay=1e-2, decay="cosine", warmup=200,
        clip=10.0,
    ),
)  # fmt: skip

# VOC2007 with EfficientNet-Lite0 on two CPU cores overnight; what was tried stands in benchmarks/NOTES.md.
EVENING = Recipe(
    shorter=450,  # half of the paper's pixels. 8 % of train's objects cover less than 9 cells; at 300 it is 18 %
    longer=750,
    rois_per_image=16,  # an RoI's fc part costs an eighth of the picture's convolutions: more pictures teach more
    foreground_fraction=0.5,  # of so few
    background_iou=(0.0, 0.5),
    frozen=6,  # up to stride 8: their maps are kept, 3.4 GB in half precision
    proposals=ProposalSettings(mode="fast", width=500, min_side=20, limit=1000),
    solver=Solver(
        "adamw",
        learning_rate=1e-4,  # NOTES.md: 3e-4 moves what was pre-trained too far
        steps=12_500,  # ten epochs
        images_per_step=4,
        weight_decay=1e-2,
        decay="cosine",
        warmup=200,
        clip=10.0,
    ),
)
