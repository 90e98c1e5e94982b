"""PAPER against the papers' values, written down here a second time and from the papers' side."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lineage.backbones import build_backbone
from lineage.common.boxes import box_iou
from lineage.common.optimise import make_optimiser
from lineage.detectors import build_detector, named_recipe
from lineage.fast_rcnn.sampling import sample_rois
from lineage.selective_search import FAST

SELECTIVE_SEARCH = {
    "proposals.mode": "fast", "proposals.width": 500, "proposals.min_side": 20, "proposals.limit": 2000,
}  # fmt: skip
SVMS = {
    "svm.C": 1e-3, "svm.bias": 10, "svm.positive_weight": 2, "svm.feature_norm": 20, "svm.negative_iou": 0.3,
    "svm.hard_above": -1.0001, "svm.evict_below": -1.2, "svm.refit_after": 2000, "svm.epochs": 1,
    "regression.ridge": 1000,
}  # fmt: skip
CAFFE = {"optimiser": "sgd", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 5e-4, "decay": "step"}
HEADS = {
    "shorter": 600, "longer": 1000, "rois_per_image": 64, "foreground_fraction": 0.25, "foreground_iou": 0.5,
    "background_iou": (0.1, 0.5), "target_stds": (0.1, 0.1, 0.2, 0.2), "regression_weight": 1, "class_std": 0.01,
    "offset_std": 0.001, "flip": True, "nms_iou": 0.3,
}  # fmt: skip


def solver(name: str, **values):
    return {f"{name}.{field}": value for field, value in {**CAFFE, **values}.items()}


VALUES = {
    "rcnn": {
        **SELECTIVE_SEARCH, **SVMS, **solver("finetune", steps=70_000, images_per_step=32),
        "crops_per_image": 4,  # 32 pictures x 4 = 128 windows
        "foreground_fraction": 0.25, "foreground_iou": 0.5, "context": 16, "flip": True, "nms_iou": 0.3,
        "regression.min_iou": 0.6,
    },
    "sppnet": {
        **SELECTIVE_SEARCH, **SVMS, **solver("finetune", steps=300_000, decay_at=(250_000,)),
        "scales": (480, 576, 688, 864, 1200), "view": 224, "levels": (6, 3, 2, 1), "foreground_fraction": 0.25,
        "foreground_iou": 0.5, "background_iou": (0.1, 0.5), "nms_iou": 0.3, "regression.min_iou": 0.5,
    },
    "fast_rcnn": {
        **SELECTIVE_SEARCH, **HEADS,
        **solver("solver", steps=40_000, images_per_step=2, decay_at=(30_000,), bias_rate=2),
    },
    "faster_rcnn": {
        **HEADS, "procedure": "alternating",
        **solver("rpn_solver", steps=80_000, images_per_step=1, decay_at=(60_000,)),
        **solver("head_solver", steps=40_000, images_per_step=2, decay_at=(30_000,), bias_rate=2),
        "rpn.base_size": 16, "rpn.scales": (8, 16, 32), "rpn.ratios": (0.5, 1, 2), "rpn.channels": 512,
        "rpn.std": 0.01, "rpn.foreground_iou": 0.7, "rpn.background_iou": (0, 0.3), "rpn.anchors_per_image": 256,
        "rpn.foreground_fraction": 0.5, "rpn.regression_weight": 10, "rpn.smooth_l1_beta": 1, "rpn.dilation": 1,
        "rpn.keep_border_anchors": False, "rpn.min_size": 16, "rpn.nms_iou": 0.7, "rpn.before_nms_train": 12_000,
        "rpn.after_nms_train": 2000, "rpn.before_nms_test": 6000, "rpn.after_nms_test": 300,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("generation", "name", "value"),
    [(g, name, value) for g, values in VALUES.items() for name, value in values.items()],
)
def test_paper_has_the_papers_value(generation, name, value):
    found = named_recipe(generation, "paper")
    for part in name.split("."):
        found = getattr(found, part)
    assert found == value


def test_fast_mode_is_two_colour_spaces_two_measures_and_two_scales():
    assert len(FAST) == 8
    assert {strategy.colour_space for strategy in FAST} == {"HSV", "Lab"}
    assert {strategy.k for strategy in FAST} == {50, 100}
    assert {strategy.similarities for strategy in FAST} == {"CTSF", "TSF"}


def vgg16(generation: str):
    return build_detector(generation, build_backbone("vgg16"), ("cat", "dog"), named_recipe(generation, "paper"))


@pytest.mark.parametrize("generation", ["fast_rcnn", "faster_rcnn"])
def test_one_step_on_vgg16_leaves_conv1_and_conv2_and_moves_the_rest(generation):
    """Fast R-CNN section 4.5; biases go twice as far and do not decay."""
    torch.manual_seed(0)
    detector = vgg16(generation)
    detector.backbone.freeze_leading_layers()
    optimiser = make_optimiser([detector], named_recipe(generation, "paper").solver)
    weights, biases = optimiser.param_groups
    assert weights["scale"] == 1 and weights["weight_decay"] == 5e-4
    assert biases["scale"] == 2 and biases["weight_decay"] == 0
    before = {name: tensor.clone() for name, tensor in detector.named_parameters()}
    detector.train()
    image = torch.rand(3, 120, 160)
    target = {"boxes": torch.tensor([[20.0, 20, 100, 100]]), "labels": torch.tensor([1])}
    losses = detector([image], [target], [torch.tensor([[22.0, 18, 96, 104], [60, 40, 150, 110]])])
    sum(losses.values()).backward()
    optimiser.step()
    moved = {name for name, tensor in detector.named_parameters() if not torch.equal(tensor, before[name])}
    convs = [name for name, layer in detector.backbone.conv.named_children() if isinstance(layer, nn.Conv2d)]
    still, rest = convs[:4], convs[4:]  # conv1_1, conv1_2, conv2_1, conv2_2
    assert not any(f"backbone.conv.{name}.weight" in moved for name in still)
    assert all(f"backbone.conv.{name}.weight" in moved for name in rest)
    assert {"head.cls_score.weight", "head.bbox_pred.weight"} <= moved
    if generation == "faster_rcnn":
        assert {"rpn.conv.weight", "rpn.cls_score.weight"} <= moved


@pytest.mark.parametrize("generation", ["fast_rcnn", "faster_rcnn"])
def test_a_minibatch_has_64_rois_of_a_picture_at_most_16_of_them_foreground(generation):
    recipe, generator = named_recipe(generation, "paper"), torch.Generator().manual_seed(0)
    target = {"boxes": torch.tensor([[100.0, 100, 300, 300]]), "labels": torch.tensor([2])}
    shifts = torch.rand(600, 4, generator=generator)
    near, beside = (
        target["boxes"] + 20 * shifts[:300],
        target["boxes"] + torch.tensor([60.0, 60, 160, 160]) * shifts[300:],
    )
    boxes, labels, _ = sample_rois(torch.cat([near, beside]), target, recipe, generator)
    assert len(boxes) == 64 and int((labels > 0).sum()) == 16
    overlaps = box_iou(boxes, target["boxes"])[:, 0]
    assert (overlaps[labels > 0] >= 0.5).all()
    assert (overlaps[labels == 0] >= 0.1).all() and (overlaps[labels == 0] < 0.5).all()


def test_spp_nets_convolutions_never_learn():
    assert not any(parameter.requires_grad for parameter in vgg16("sppnet").backbone.conv.parameters())


def test_new_layers_start_as_the_papers_say():
    detector = vgg16("faster_rcnn")
    stds = {
        detector.head.cls_score: 0.01, detector.head.bbox_pred: 0.001, detector.rpn.conv: 0.01,
        detector.rpn.cls_score: 0.01, detector.rpn.bbox_pred: 0.01,
    }  # fmt: skip
    for layer, std in stds.items():
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert (layer.bias == 0).all()
