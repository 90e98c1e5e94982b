"""Every number of R-CNN, with its source."""

from __future__ import annotations

from dataclasses import dataclass, field

from lineage.common.augment import Augmentation
from lineage.common.optimise import Solver
from lineage.common.values import check_between
from lineage.selective_search.settings import ProposalSettings


@dataclass(frozen=True)
class SVMSettings:
    """The per-class linear SVMs; the fields' values are those of the repository's rcnn_train.m."""

    C: float = 1e-3  # svm_C
    bias: float = 10.0  # bias_mult: the constant feature that carries the intercept
    positive_weight: float = 2.0  # pos_loss_weight
    feature_norm: float = 20.0  # feat_norm_mean: features are scaled to this mean norm
    negative_iou: float = 0.3  # neg_ovr_thresh; appendix B: chosen on a grid {0, 0.1, ..., 0.5}
    hard_above: float = -1.0001  # hard_thresh: a negative inside the margin is hard
    evict_below: float = -1.2  # evict_thresh
    refit_after: int = 2000  # retrain_limit
    epochs: int = 1  # max_hard_epochs: "convergence after a single pass over all images" (section 2.3)


@dataclass(frozen=True)
class RegressionSettings:
    """The per-class ridge regressors: appendix C and rcnn_train_bbox_regressor.m."""

    ridge: float = 1000.0  # lambda
    min_iou: float = 0.6  # min_overlap: pairs nearer than this only
    whitening: float = 1e-3  # added to the targets' eigenvalues


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of R-CNN. Lengths in pixels."""

    proposals: ProposalSettings
    finetune: Solver
    crops_per_image: int  # of a minibatch; batch = this x finetune.images_per_step
    foreground_fraction: float = 0.25  # 32 of 128 (section 2.3)
    foreground_iou: float = 0.5  # section 2.3
    context: int = 16  # p, measured in the warped frame (appendix A)
    flip: bool = True  # the repository's window files list every picture's mirror image
    augmentation: Augmentation = Augmentation()  # the paper: nothing but flips
    svm: SVMSettings = field(default_factory=SVMSettings)
    regression: RegressionSettings = field(default_factory=RegressionSettings)
    score_threshold: float = -1.1  # rcnn_test.m's initial threshold on the margin
    nms_iou: float = 0.3  # rcnn_nms.m
    max_detections: int = 100
    warp_budget: int = 2**28  # bytes of crops that exist at once

    def __post_init__(self) -> None:
        check_between(self, 0, 100, "context")
        check_between(self, 1, 1_000_000, "crops_per_image", "max_detections")


PAPER = Recipe(
    proposals=ProposalSettings(mode="fast", width=500, min_side=20, limit=2000),  # section 2.2
    finetune=Solver(
        "sgd", learning_rate=1e-3, steps=70_000, images_per_step=32, weight_decay=5e-4,
        decay_at=(20_000, 40_000, 60_000), bias_rate=2.0,
    ),  # finetuning prototxt: base_lr 0.001, stepsize 20000, gamma 0.1, max_iter 70000
    crops_per_image=4,  # batch 128 (section 2.3), from many pictures: the original draws from all windows of the set
)  # fmt: skip

QUICK = Recipe(
    proposals=ProposalSettings(mode="quick", width=None, min_side=12, limit=300),
    finetune=Solver(
        "adamw", learning_rate=1e-3, steps=700, images_per_step=4, weight_decay=1e-2, decay="cosine", warmup=200,
        clip=10.0,
    ),
    crops_per_image=12,
    context=4,  # 16 of 227 is 4.5 of 64
)  # fmt: skip

# VOC2007 with EfficientNet-Lite0 on two CPU cores overnight; what was tried stands in benchmarks/NOTES.md.
EVENING = Recipe(
    proposals=ProposalSettings(mode="fast", width=500, min_side=20, limit=1000),
    finetune=Solver(
        "adamw", learning_rate=1e-4, steps=5_000, images_per_step=4, weight_decay=1e-2, decay="cosine", warmup=200,
        clip=10.0,
    ),
    crops_per_image=16,
    context=8,  # 16 of 227 is 8 of 112
)  # fmt: skip
