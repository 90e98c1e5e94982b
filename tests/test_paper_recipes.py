"""PAPER against the papers' values, written down here a second time and from the papers' side."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from lineage.backbones import build_backbone
from lineage.common.boxes import box_iou
from lineage.common.history import History
from lineage.common.image import to_frame
from lineage.common.loading import Loaded
from lineage.common.matching import BACKGROUND, FOREGROUND
from lineage.common.optimise import _step, make_optimiser
from lineage.experiments.generations import build_detector, named_recipe
from lineage.fast_rcnn.minibatch import load_batch
from lineage.fast_rcnn.sampling import sample_rois
from lineage.faster_rcnn.loss import rpn_loss
from lineage.rcnn.finetune import sample_crops
from lineage.selective_search import FAST
from lineage.sppnet.train import finetune_fc

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
        **SELECTIVE_SEARCH, **SVMS, **solver("finetune", steps=300_000, decay_at=(250_000,), learning_rate=1e-4),
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


RATES = [
    ("rcnn", "finetune", {0: 1e-3, 19_999: 1e-3, 20_000: 1e-4, 40_000: 1e-5, 60_000: 1e-6, 69_999: 1e-6}),
    ("sppnet", "finetune", {0: 1e-4, 249_999: 1e-4, 250_000: 1e-5, 299_999: 1e-5}),
    ("fast_rcnn", "solver", {0: 1e-3, 29_999: 1e-3, 30_000: 1e-4, 39_999: 1e-4}),
    ("faster_rcnn", "rpn_solver", {0: 1e-3, 59_999: 1e-3, 60_000: 1e-4, 79_999: 1e-4}),
    ("faster_rcnn", "head_solver", {0: 1e-3, 29_999: 1e-3, 30_000: 1e-4}),
    ("faster_rcnn", "solver", {0: 1e-3, 49_999: 1e-3, 50_000: 1e-4, 69_999: 1e-4}),
]


@pytest.mark.parametrize(
    ("generation", "name", "step", "rate"),
    [(generation, name, step, rate) for generation, name, rates in RATES for step, rate in rates.items()],
)
def test_a_step_moves_weights_and_biases_at_the_papers_rate(generation, name, step, rate):
    """One real step at that place of the schedule, from rest: momentum has nothing to add yet."""
    layer = nn.Linear(1, 1).double()
    nn.init.constant_(layer.weight, 3.0)
    nn.init.constant_(layer.bias, 3.0)
    solver = getattr(named_recipe(generation, "paper"), name)
    assert step < solver.steps

    def losses_of(batch, generator):
        return {"toy": layer(torch.ones(1, 1).double()).sum()}  # both gradients are 1

    history = History("toy", [solver.rate(step) for step in range(solver.steps)], done=step)
    _step([layer], losses_of, solver, make_optimiser([layer], solver), history, Loaded([None], [torch.Generator()]))
    assert 3 - layer.weight.item() == pytest.approx(rate * (1 + 5e-4 * 3), rel=1e-2)
    assert 3 - layer.bias.item() == pytest.approx(2 * rate, rel=1e-2)


def pictures(count, size=(375, 500)):
    """Each with one object, a thousand proposals around it and a thousand beside it."""
    generator = torch.Generator().manual_seed(0)
    target = {"boxes": torch.tensor([[100.0, 100, 300, 300]]), "labels": torch.tensor([2])}
    near = target["boxes"] + 20 * torch.rand(1000, 4, generator=generator)
    beside = target["boxes"] + torch.tensor([60.0, 60, 160, 70]) * torch.rand(1000, 4, generator=generator)
    items = [(torch.rand(3, *size, generator=generator), target) for _ in range(count)]
    return items, [torch.cat([near, beside])] * count


def test_r_cnns_minibatch_is_128_crops_32_of_them_foreground():
    items, proposals = pictures(32, (340, 480))
    recipe, backbone = named_recipe("rcnn", "paper"), build_backbone("alexnet")
    assert recipe.finetune.images_per_step == len(items)
    crops, labels = sample_crops(
        items, proposals, list(range(32)), backbone, recipe, torch.Generator().manual_seed(0)
    )  # fmt: skip
    assert crops.shape == (128, 3, 227, 227)
    assert int((labels > 0).sum()) == 32


def test_spp_nets_minibatch_is_two_pictures_and_a_quarter_foreground(tmp_path, monkeypatch):
    """From the step itself: what the loss is taken of."""
    items, proposals = pictures(2, (64, 85))
    seen = []

    def spy(scores, labels, **options):
        seen.append(labels)
        return cross_entropy(scores, labels, **options)

    cross_entropy = nn.functional.cross_entropy
    monkeypatch.setattr("lineage.sppnet.train.F.cross_entropy", spy)
    recipe = named_recipe("sppnet", "paper")
    recipe = replace(recipe, finetune=replace(recipe.finetune, steps=1), scales=(64,))
    detector = build_detector("sppnet", build_backbone("tiny"), ("cat", "dog"), recipe)

    class Data(list):
        classes = ("cat", "dog")

    finetune_fc(detector, Data(items), proposals, 0, tmp_path / "s.safetensors")
    assert recipe.finetune.images_per_step == 2
    assert len(seen) == 1 and len(seen[0]) == 2 * recipe.regions_per_image
    assert int((seen[0] > 0).sum()) == recipe.regions_per_image // 2


def test_the_rpns_minibatch_is_256_anchors_at_most_half_of_them_positive():
    settings, generator = named_recipe("faster_rcnn", "paper").rpn, torch.Generator().manual_seed(0)
    for positives, expected in ((400, (128, 128)), (30, (30, 226))):
        kind = torch.full((2000,), BACKGROUND, dtype=torch.int8)
        kind[:positives] = FOREGROUND
        scores = torch.zeros(2000, 2, requires_grad=True)
        offsets = torch.zeros(2000, 4, requires_grad=True)
        losses = rpn_loss(scores, offsets, kind, torch.ones(2000, 4), 2400, settings, generator)
        sum(losses.values()).backward()
        taught = scores.grad.abs().sum(dim=1) > 0
        assert (int(taught[:positives].sum()), int(taught[positives:].sum())) == expected
        assert scores.grad.abs().max().item() == pytest.approx(0.5 / 256)  # 1 / N_cls
        moved = offsets.grad.abs().sum(dim=1) > 0
        assert torch.equal(moved[:positives], taught[:positives]) and not moved[positives:].any()
        assert offsets.grad.abs().max().item() == pytest.approx(10 / 2400)  # lambda / N_reg


@pytest.mark.parametrize(
    ("size", "expected"),
    [((375, 500), (600, 800)), ((500, 375), (800, 600)), ((300, 800), (375, 1000)), ((1200, 1200), (600, 600))],
)
@pytest.mark.parametrize("generation", ["fast_rcnn", "faster_rcnn"])
def test_the_shorter_side_becomes_600_and_the_longer_at_most_1000(generation, size, expected):
    recipe = named_recipe(generation, "paper")
    frame = to_frame(torch.zeros(3, *size), recipe.shorter, recipe.longer, (0.0,) * 3, (1.0,) * 3)
    assert frame.size == tuple(frame.pixels.shape[2:]) == expected


def test_box_targets_are_normalised_by_the_repositorys_deviations():
    recipe, target = named_recipe("fast_rcnn", "paper"), {"boxes": torch.tensor([[100.0, 100, 300, 300]])}
    proposal = torch.tensor([[110.0, 90, 290, 330]])
    boxes, labels, offsets = sample_rois(
        proposal, {**target, "labels": torch.tensor([1])}, recipe, torch.Generator().manual_seed(0)
    )
    row = int(torch.where((boxes == proposal[0]).all(dim=1))[0][0])
    centre, size, truth = (200, 210), (180, 240), (200, 200, 200, 200)
    expected = [
        (truth[0] - centre[0]) / size[0] / 0.1, (truth[1] - centre[1]) / size[1] / 0.1,
        math.log(truth[2] / size[0]) / 0.2, math.log(truth[3] / size[1]) / 0.2,
    ]  # fmt: skip
    assert labels[row] == 1 and offsets[row].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("generation", ["fast_rcnn", "faster_rcnn"])
def test_half_of_the_pictures_are_mirrored(generation):
    image = torch.rand(3, 8, 12)
    target = {"boxes": torch.tensor([[1.0, 2, 5, 6]]), "labels": torch.tensor([1])}
    recipe = named_recipe(generation, "paper")
    generator = torch.Generator().manual_seed(0)
    recipe = replace(recipe, shorter=None)
    images, targets, _, _ = load_batch(
        [(image, target)] * 200, list(range(200)), generator, recipe, (0.0,) * 3, (1.0,) * 3
    )
    mirrored = [torch.equal(one, image.flip(2)) for one in images]
    assert 80 < sum(mirrored) < 120
    for flipped, one in zip(mirrored, targets):
        assert one["boxes"].tolist() == ([[7, 2, 11, 6]] if flipped else [[1, 2, 5, 6]])
