"""Every number of SPP-net, with its source."""

from __future__ import annotations

from dataclasses import dataclass, field

from lineage.common.image import LARGEST_SIDE
from lineage.common.optimise import Solver
from lineage.common.values import check_between
from lineage.rcnn.recipe import EVENING as RCNN_EVENING
from lineage.rcnn.recipe import QUICK as RCNN_QUICK
from lineage.rcnn.recipe import RegressionSettings, SVMSettings
from lineage.selective_search.settings import ProposalSettings


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of SPP-net. Lengths in pixels."""

    proposals: ProposalSettings
    finetune: Solver
    scales: tuple[int | None, ...]  # shorter sides, None the picture's own; a window is read where nearest to view**2
    longer: int  # the longer side never exceeds this
    levels: tuple[int, ...]  # the pyramid, finest first
    corrected_mapping: bool  # cells by their receptive field's true centre, not by stride alone
    view: int = 224  # section 4.1: the window's area nearest to 224 x 224
    regions_per_image: int = 64  # of a fine-tuning minibatch
    foreground_fraction: float = 0.25  # section 4.1
    foreground_iou: float = 0.5
    background_iou: tuple[float, float] = (0.1, 0.5)  # section 4.1: negatives [0.1, 0.5)
    svm: SVMSettings = field(default_factory=SVMSettings)  # "following the practice in [7]", R-CNN
    regression: RegressionSettings = field(default_factory=lambda: RegressionSettings(min_iou=0.5))
    score_threshold: float = -1.1
    nms_iou: float = 0.3  # section 4.1: "greedily suppressed with 30% threshold"
    max_detections: int = 100

    def __post_init__(self) -> None:
        check_between(self, 1, LARGEST_SIDE, "scales", "longer", "view")
        check_between(self, 1, 100, "levels")
        check_between(self, 1, 1_000_000, "regions_per_image", "max_detections")
        if not (self.scales and self.levels):
            raise ValueError("recipe: scales and levels need one value each at least")


PAPER = Recipe(
    proposals=ProposalSettings(mode="fast", width=500, min_side=20, limit=2000),  # section 4.1
    finetune=Solver(
        "sgd", learning_rate=1e-4, steps=300_000, images_per_step=2, weight_decay=5e-4, decay_at=(250_000,),
        bias_rate=2.0,
    ),  # section 4.1: 250k minibatches at 1e-4, then 50k at 1e-5
    scales=(480, 576, 688, 864, 1200),  # section 4.1
    longer=3000,
    levels=(6, 3, 2, 1),  # section 4.1: 50 bins
    corrected_mapping=False,
)  # fmt: skip

QUICK = Recipe(
    proposals=RCNN_QUICK.proposals,
    finetune=RCNN_QUICK.finetune,  # the same steps and pictures: a fair race
    scales=(None,),
    longer=640,
    levels=(4, 2, 1),  # the two-stage post's 21 bins
    corrected_mapping=True,
    regions_per_image=64,
    background_iou=(0.0, 0.5),
)  # fmt: skip

# VOC2007 with EfficientNet-Lite0 on two CPU cores overnight; what was tried stands in benchmarks/NOTES.md.
EVENING = Recipe(
    proposals=RCNN_EVENING.proposals,
    finetune=RCNN_EVENING.finetune,
    scales=(450,),  # Fast R-CNN's and Faster R-CNN's
    longer=750,
    levels=(7, 3, 2, 1),  # the finest is what Lite0's fc part was pre-trained on, the others the paper's
    corrected_mapping=True,
    regions_per_image=32,
    background_iou=(0.0, 0.5),
)  # fmt: skip
