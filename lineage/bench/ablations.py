"""The papers' ablations: what each idea is worth, variant beside variant. ``python -m lineage.bench --ablation NAME``.

A variant is a generation, what its recipe is changed by before training, and what after. Changes are computed from the
recipe, so that the same table holds for the quick recipe on shapes and for the papers' on VOC.
"""

from __future__ import annotations

import copy
import dataclasses
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lineage.bench.experiment import (
    Experiment,
    Say,
    changed,
    dataset_facts,
    evaluate_detector,
    region_proposals,
    trained_detector,
)  # fmt: skip
from lineage.bench.measure import measure
from lineage.common.stages import stage
from lineage.data.voc import VOCDataset
from lineage.evaluation.voc import evaluate_voc
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.truncated_svd import compress_fc
from lineage.faster_rcnn.recipe import Recipe as FasterRecipe
from lineage.faster_rcnn.train import propose_all
from lineage.rcnn.features import cache_features
from lineage.rcnn.recipe import SVMSettings
from lineage.rcnn.svm import LinearSVMs, train_svms

Change = Callable[[Any], dict[str, Any]]  # recipe -> {field, with dots where it is nested: value}
TIMED_PICTURES = 12
STRICT_IOU = 0.7  # besides 0.5: where a box is shows here


def _nothing(recipe: Any) -> dict[str, Any]:
    return {}


def _set(values: dict[str, Any]) -> Change:
    """The same values whatever the recipe."""
    return lambda recipe: values


@dataclass(frozen=True)
class Setting:
    """What a variant is trained and measured on."""

    experiment: Experiment
    train: VOCDataset
    test: VOCDataset
    regions: list[Tensor]  # selective search's, of the training pictures
    test_regions: list[Tensor]
    seed: int
    say: Say


@dataclass(frozen=True)
class Variant:
    """One row of an ablation."""

    label: str
    generation: str
    published: float | None = None  # mAP on VOC2007 test, %
    train: Change = lambda recipe: {}
    test: Change = lambda recipe: {}
    rebuild: Callable[[Any, Setting], Any] | None = None  # the trained detector becomes the one that is measured
    share: float = 1.0  # of the proposals, at test
    unshared: bool = False  # proposals of an RPN with convolutions of its own


@dataclass(frozen=True)
class Ablation:
    """One question, and the rows that answer it."""

    title: str
    source: str  # of the published figures, and what they were measured on
    variants: tuple[Variant, ...]
    remark: str = ""


def without_regression(detector: Any, setting: Setting) -> Any:
    """The same detector with its proposals' own boxes."""
    plain = copy.deepcopy(detector)
    if isinstance(plain, FastRCNN):
        plain.recipe = dataclasses.replace(plain.recipe, target_stds=(0.0,) * 4)  # predicted offsets times 0
    else:
        plain.regressors.weight.zero_()
        plain.regressors.bias.zero_()
    return plain


def truncated(shares: tuple[float, ...]) -> Callable[[Any, Setting], Any]:
    """The fc layers at these shares of their full rank."""

    def rebuild(detector: Any, setting: Setting) -> Any:
        small = copy.deepcopy(detector)
        layers = [layer for layer in small.head.fc if isinstance(layer, torch.nn.Linear)]
        if len(layers) != len(shares):
            raise ValueError(
                f"--ablation svd: needs a backbone with {len(shares)} fully connected layers (tiny, alexnet, zf, "
                f"vgg16); {small.backbone.name} has {len(layers)}"
            )
        ranks = tuple(max(1, round(share * min(layer.weight.shape))) for share, layer in zip(shares, layers))
        small.head.fc = compress_fc(small.head.fc, ranks)
        return small

    return rebuild


class FastRCNNWithSVMs(FastRCNN):
    """Fast R-CNN whose softmax is replaced, after training, by R-CNN's SVMs on its fc7 (section 5.4)."""

    svms: LinearSVMs

    @stage("svm", phase="classify")
    def classify(self, fc7: Tensor) -> Tensor:
        return self.svms(fc7)  # (R, C)


def with_svms(detector: Any, setting: Setting) -> Any:
    """R-CNN's third procedure on a trained Fast R-CNN: features to disk, hard-negative mining, one SVM a class."""
    settings = SVMSettings()

    @torch.inference_mode()
    def extract(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        device = next(detector.parameters()).device
        features, frame = detector.convolve(image.to(device))
        fc7 = detector.fc(detector.pool(features, [frame.boxes_in(boxes.to(device))])).cpu()
        return fc7[:, :0], fc7

    with tempfile.TemporaryDirectory(dir=setting.experiment.cache) as folder:
        cache = cache_features(
            setting.train, setting.regions, extract, Path(folder), min_pair_iou=1.0, label="Fast R-CNN: features"
        )
        svms, _ = train_svms(cache, len(detector.classes), settings, setting.seed)
    other = copy.deepcopy(detector)
    other.__class__ = FastRCNNWithSVMs  # the same modules: only classify differs
    other.svms = svms.to(next(detector.parameters()).device)
    other.recipe = dataclasses.replace(other.recipe, score_threshold=-1.1)  # a margin, as in R-CNN's recipe
    return other


def _anchors(scales: slice, ratios: slice) -> Change:
    return lambda r: {"rpn.scales": r.rpn.scales[scales], "rpn.ratios": r.rpn.ratios[ratios]}


def _five_scales(recipe: Any) -> dict[str, Any]:
    if recipe.scales == (None,):  # quick: pictures of 240 px and a network that was pre-trained on 64 px crops
        return {"scales": (120, 160, 200, 240, 320), "view": 64}
    return {"scales": (480, 576, 688, 864, 1200)}


def _one_scale(recipe: Any) -> dict[str, Any]:
    return {} if recipe.scales == (None,) else {"scales": (688,)}


_FAST, _FASTER = "Fast R-CNN paper", "Faster R-CNN paper"
_ALL, _FIRST, _MIDDLE = slice(None), slice(0, 1), slice(1, 2)

ABLATIONS: dict[str, Ablation] = {
    "box-regression": Ablation(
        "What box regression adds",
        "R-CNN paper, table 2 (AlexNet); SPP-net paper, table 9 (ZF-5, one scale)",
        (
            Variant("R-CNN without", "rcnn", 54.2, rebuild=without_regression),
            Variant("R-CNN with", "rcnn", 58.5),
            Variant("SPP-net without", "sppnet", 54.5, train=_one_scale, rebuild=without_regression),
            Variant("SPP-net with", "sppnet", 58.0, train=_one_scale),
        ),
    ),
    "spp-scales": Ablation(
        "SPP-net: one scale or five",
        "SPP-net paper, table 9 (ZF-5)",
        (
            Variant("1 scale", "sppnet", 58.0, train=_one_scale),
            Variant("5 scales", "sppnet", 59.2, train=_five_scales),
        ),
    ),
    "svm-softmax": Ablation(
        "Fast R-CNN: its softmax, or SVMs trained afterwards on its features",
        f"{_FAST}, table 8 (VGG16)",
        (Variant("SVMs", "fast_rcnn", 66.8, rebuild=with_svms), Variant("softmax", "fast_rcnn", 66.9)),
    ),
    "multi-task": Ablation(
        "Fast R-CNN: does the box loss help the classifier?",
        f"{_FAST}, table 6 (VGG16)",
        (
            Variant(
                "classifier alone", "fast_rcnn", 62.6, train=_set({"regression_weight": 0.0}),
                rebuild=without_regression,
            ),
            Variant("both losses, boxes not moved at test", "fast_rcnn", 63.4, rebuild=without_regression),
            Variant("both losses", "fast_rcnn", 66.9),
        ),
        "The paper's fourth row, the box layer trained in a stage of its own (64.0), is left out.",
    ),
    "trained-layers": Ablation(
        "Fast R-CNN: which convolutions learn",
        f"{_FAST}, table 5 (VGG16: fc6 on, conv3_1 on, conv2_1 on)",
        (
            Variant("fc layers only", "fast_rcnn", 61.4, train=_set({"frozen": 1000})),
            Variant("all but the backbone's first", "fast_rcnn", 66.9),
            Variant("all", "fast_rcnn", 67.2, train=_set({"frozen": 0})),
        ),
    ),
    "proposals": Ablation(
        "Fast R-CNN: how many proposals at test",
        f"{_FAST}, figure 3, is a curve without numbers: it rises and then falls a little",
        tuple(Variant(f"{share:.3g} of them", "fast_rcnn", share=share) for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)),
    ),
    "svd": Ablation(
        "Fast R-CNN: truncated SVD of fc6 and fc7",
        f"{_FAST}, section 4.4 (VGG16: 1024 of 4096 and 256 of 4096 singular values)",
        (
            Variant("as trained", "fast_rcnn", 66.9),
            Variant("1/2 and 1/8 of the ranks", "fast_rcnn", rebuild=truncated((1 / 2, 1 / 8))),
            Variant("1/4 and 1/16 of the ranks", "fast_rcnn", 66.6, rebuild=truncated((1 / 4, 1 / 16))),
            Variant("1/16 and 1/32 of the ranks", "fast_rcnn", rebuild=truncated((1 / 16, 1 / 32))),
        ),
    ),
    "sharing": Ablation(
        "Faster R-CNN: convolutions of its own for each network, or shared, and how",
        f"{_FASTER}, table 3 (VGG16); of joint training section 3.2 says 'close results'",
        (
            Variant("unshared", "fast_rcnn", 68.5, unshared=True),
            Variant("shared, 4 steps", "faster_rcnn", 69.9, train=_set({"procedure": "alternating"})),
            Variant("shared, joint", "faster_rcnn", train=_set({"procedure": "joint"})),
        ),
        "The 4 steps take twice the gradient steps of the others: two procedures for each network.",
    ),
    "anchors": Ablation(
        "Faster R-CNN: anchors by scale and ratio",
        f"{_FASTER}, table 8 (VGG16; one scale: 128, 256 pixels)",
        (
            Variant("smallest scale, 1 ratio", "faster_rcnn", 65.8, train=_anchors(_FIRST, _MIDDLE)),
            Variant("middle scale, 1 ratio", "faster_rcnn", 66.7, train=_anchors(_MIDDLE, _MIDDLE)),
            Variant("smallest scale, 3 ratios", "faster_rcnn", 68.8, train=_anchors(_FIRST, _ALL)),
            Variant("middle scale, 3 ratios", "faster_rcnn", 67.9, train=_anchors(_MIDDLE, _ALL)),
            Variant("3 scales, 1 ratio", "faster_rcnn", 69.8, train=_anchors(_ALL, _MIDDLE)),
            Variant("3 scales, 3 ratios", "faster_rcnn", 69.9),
        ),
    ),
    "rpn-proposals": Ablation(
        "Faster R-CNN: how many proposals at test, and how alike",
        f"{_FASTER}, table 2 (ZF, the detector trained on selective search; NMS 0.7; the last without NMS)",
        (
            *(
                Variant(f"{count}", "faster_rcnn", published, test=_set({"rpn.after_nms_test": count}))
                for count, published in ((30, None), (100, 55.1), (300, 56.8), (1000, 56.3))
            ),
            *(
                Variant(f"300, NMS at {iou:g}", "faster_rcnn", test=_set({"rpn.nms_iou": iou}))
                for iou in (0.5, 0.7, 0.9)
            ),
            Variant("all, without NMS", "faster_rcnn", 55.2, test=lambda r: {
                "rpn.nms_iou": 1.0, "rpn.after_nms_test": r.rpn.before_nms_test}),
        ),
    ),
}  # fmt: skip


def run_ablation(name: str, experiment: Experiment, seeds: list[int], say: Say) -> dict[str, Any]:
    """Train, change and evaluate every variant with every seed; time the first seed's side by side.

    Returns:
        {"ablation", "title", "source", "remark", "dataset", "variants": {label: generation, map_mean, map_values,
        map_70_mean, map_70_values (at IoU 0.7), ms_per_image_without_proposals, proposals_mean, published}}.
    """
    ablation = ABLATIONS[name]
    train, test = experiment.datasets()
    regions, test_regions = region_proposals(experiment, train), region_proposals(experiment, test)
    targets = [test.target(index) for index in range(len(test))]
    maps: dict[str, list[float]] = {variant.label: [] for variant in ablation.variants}
    strict: dict[str, list[float]] = {variant.label: [] for variant in ablation.variants}
    timed: dict[str, Any] = {}
    for seed in seeds:
        setting = Setting(experiment, train, test, regions, test_regions, seed, say)
        for variant in ablation.variants:
            detector, given = _detector_of(variant, setting)
            result, detections = evaluate_detector(detector, test, given, f"{variant.label}: test")
            maps[variant.label].append(float(result.map))
            strict[variant.label].append(evaluate_voc(detections, targets, len(test.classes), STRICT_IOU).map)
            timed.setdefault(variant.label, detector)
            say(f"{variant.label}, seed {seed}: mAP {result.map:.3f}")
    images = [test[i][0].to(experiment.device) for i in range(min(TIMED_PICTURES, len(test)))]
    measured = measure(timed, images)
    rows = {
        variant.label: {
            "generation": variant.generation,
            "map_mean": statistics.mean(maps[variant.label]),
            "map_values": maps[variant.label],
            "map_70_mean": statistics.mean(strict[variant.label]),
            "map_70_values": strict[variant.label],
            "ms_per_image_without_proposals": measured[variant.label]["ms_per_image_without_proposals"],
            "proposals_mean": measured[variant.label]["proposals_mean"],
            "published": variant.published,
        }
        for variant in ablation.variants
    }
    return {
        "ablation": name, "title": ablation.title, "source": ablation.source, "remark": ablation.remark,
        "dataset": dataset_facts(train, test),
        "variants": rows,
    }  # fmt: skip


def _detector_of(variant: Variant, setting: Setting) -> tuple[Any, list[Tensor] | None]:
    """A variant's detector as it is measured, and the test pictures' proposals (None: it makes its own)."""
    experiment, seed = setting.experiment, setting.seed
    own = experiment.recipe_of(variant.generation)
    changes = tuple(variant.train(own).items())
    given: list[Tensor] | None = None if variant.generation == "faster_rcnn" else setting.test_regions
    if variant.unshared:
        detector, given = _unshared(setting)
    else:
        altered = dataclasses.replace(experiment, changes=changes)
        detector, _ = trained_detector(altered, variant.generation, seed, setting.train, setting.regions, setting.say)
    if variant.rebuild is not None:
        detector = variant.rebuild(detector, setting)
    detector.recipe = changed(detector.recipe, tuple(variant.test(detector.recipe).items()))
    if variant.share < 1 and given is not None:
        limit = detector.recipe.proposals.limit
        few = max(1, round(variant.share * limit))
        detector.recipe = changed(detector.recipe, (("proposals.limit", few),))
        given = [boxes[:few] for boxes in given]
    return detector, given


class FastRCNNOnRPN(FastRCNN):
    """Step 2 of the 4: a Fast R-CNN whose proposals come from an RPN that shares nothing with it."""

    proposer: Any

    @stage("rpn, apart", phase="propose")
    def propose(self, image: Tensor) -> Tensor:
        return self.proposer.propose(image)  # (R, 4)


def _unshared(setting: Setting) -> tuple[Any, list[Tensor]]:
    """Steps 1 and 2: an RPN, and a Fast R-CNN trained on its proposals, each with its own convolutions."""
    faster: FasterRecipe = setting.experiment.recipe_of("faster_rcnn")
    alone = dataclasses.replace(setting.experiment, procedure="rpn")
    proposer, _ = trained_detector(alone, "faster_rcnn", setting.seed, setting.train, None, setting.say)
    regions = propose_all(proposer, setting.train)
    # The detector of Faster R-CNN's recipe, proposals apart.
    shared = {field.name for field in dataclasses.fields(faster)} & {
        field.name for field in dataclasses.fields(setting.experiment.recipe_of("fast_rcnn"))
    }
    changes = tuple((name, getattr(faster, name)) for name in sorted(shared))
    on_rpn = dataclasses.replace(setting.experiment, changes=changes, regions="RPN")
    detector, _ = trained_detector(on_rpn, "fast_rcnn", setting.seed, setting.train, regions, setting.say)
    detector.__class__ = FastRCNNOnRPN
    detector.proposer = proposer
    with torch.inference_mode():
        given = [proposer.propose(setting.test[i][0].to(setting.experiment.device)) for i in range(len(setting.test))]
    return detector, [boxes.clone() for boxes in given]
