"""The four generations answer to one interface."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor

from lineage.backbones import build_backbone
from lineage.common.checkpoint import CheckpointError
from lineage.common.stages import PHASES, Trace, trace
from lineage.common.values import from_dict
from lineage.experiments.checkpoints import load_detector, save_detector
from lineage.experiments.generations import GENERATIONS, RECIPES, TITLES, build_detector, named_recipe

CLASSES = ("cat", "dog", "cow")
STAGES = {
    "rcnn": {
        "selective search": "propose", "warp": "features", "cnn": "features", "svm": "classify", "ridge": "refine",
    },
    "sppnet": {
        "selective search": "propose", "conv": "features", "spp": "features", "fc": "features", "svm": "classify",
        "ridge": "refine",
    },
    "fast_rcnn": {
        "selective search": "propose", "conv": "features", "roi pool": "features", "fc": "features",
        "softmax": "classify", "offsets": "refine",
    },
    "faster_rcnn": {
        "rpn": "propose", "conv": "features", "roi pool": "features", "fc": "features", "softmax": "classify",
        "offsets": "refine",
    },
}  # fmt: skip
every_generation = pytest.mark.parametrize("generation", GENERATIONS)
softmax_generations = pytest.mark.parametrize("generation", ["fast_rcnn", "faster_rcnn"])


def detector_of(generation: str):
    """A detector with random last layers, which finds something of every class."""
    detector = build_detector(generation, build_backbone("tiny"), CLASSES, named_recipe(generation, "quick"))
    g = torch.Generator().manual_seed(1)
    for name, tensor in detector.state_dict().items():
        if name.startswith("svms.") and name != "svms.scale":
            tensor.normal_(0, 0.2, generator=g)
        elif name.startswith("regressors.") and name != "regressors.scale":
            tensor.normal_(0, 0.002, generator=g)
        elif name == "head.cls_score.weight":
            tensor.normal_(0, 0.1, generator=g)
        elif name == "head.bbox_pred.weight":
            tensor.normal_(0, 0.02, generator=g)
    return detector


def find_nothing(detector) -> None:
    """Make every region background."""
    if detector.generation in ("rcnn", "sppnet"):
        detector.svms.weight.zero_()
        detector.svms.bias.fill_(-10)
    else:
        with torch.no_grad():
            detector.head.cls_score.weight.zero_()
            detector.head.cls_score.bias[0] = 100


def picture(height: int = 96, width: int = 128, seed: int = 0) -> Tensor:
    """Two blocks on a noisy ground."""
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) * 0.2
    image[0, height // 5 : height // 2, width // 8 : width // 2] += 0.7
    image[1, height // 2 :, width // 2 : width * 7 // 8] += 0.7
    return image


def some_boxes(count: int, height: int = 96, width: int = 128, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=rng) * torch.tensor([width * 0.6, height * 0.6])
    sizes = 14 + torch.rand(count, 2, generator=rng) * torch.tensor([width * 0.3, height * 0.3])
    return torch.cat([corners, (corners + sizes).minimum(torch.tensor([width, height]))], dim=1)


def targets(count: int) -> list[dict[str, Tensor]]:
    one = {
        "boxes": torch.tensor([[16.0, 19, 64, 48], [64, 48, 112, 96]]),
        "labels": torch.tensor([1, 3]),
        "difficult": torch.tensor([False, False]),
    }
    return [dict(one) for _ in range(count)]


def check_detections(found: dict[str, Tensor], image: Tensor) -> None:
    assert found.keys() == {"boxes", "scores", "labels"}
    boxes, scores, labels = found["boxes"], found["scores"], found["labels"]
    assert boxes.shape == (len(boxes), 4) and scores.shape == labels.shape == (len(boxes),)
    assert (boxes.dtype, scores.dtype, labels.dtype) == (torch.float32, torch.float32, torch.int64)
    assert boxes.isfinite().all() and scores.isfinite().all()
    assert ((labels >= 1) & (labels <= len(CLASSES))).all()
    height, width = image.shape[1:]
    assert (boxes >= 0).all() and (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    assert (scores.diff() <= 0).all()


@every_generation
def test_detections_speak_torchvisions_dialect(generation):
    detector = detector_of(generation)
    images = [picture(), picture(128, 96, seed=1)]  # landscape and portrait
    found = detector(images)
    assert isinstance(found, list) and len(found) == 2
    for one, image in zip(found, images):
        check_detections(one, image)
        assert len(one["boxes"]) > 3
    assert {int(label) for one in found for label in one["labels"]} == {1, 2, 3}
    # A picture's detections do not depend on its neighbours in the list.
    alone = detector(images[1:])[0]
    assert all(torch.equal(alone[field], found[1][field]) for field in alone)


@every_generation
def test_given_proposals_are_the_only_ones_looked_at(generation):
    detector, image = detector_of(generation), picture()
    with trace(detector, count=False) as steps:
        detector([image], proposals=[some_boxes(5)])
    assert "propose" not in steps.total("seconds")
    assert steps["nms"].inputs[0].shape == (5, 3, 4)


@every_generation
@pytest.mark.parametrize("backbone", ["tiny", "resnet18"])
def test_an_untrained_detector_gives_no_nan(generation, backbone):
    detector = build_detector(generation, build_backbone(backbone), CLASSES, named_recipe(generation, "quick"))
    assert not detector.training
    (found,) = detector([picture()], proposals=None if generation == "faster_rcnn" else [some_boxes(6)])
    check_detections(found, picture())


@every_generation
@pytest.mark.parametrize(
    "image",
    [
        picture().mean(dim=0, keepdim=True).repeat(3, 1, 1),  # grey
        torch.zeros(3, 64, 80),
        torch.ones(3, 80, 64),
        picture(20, 200),
        picture(200, 20),
        picture(16, 16),
    ],
    ids=["grey", "black", "white", "wide", "tall", "small"],
)
def test_unusual_pictures_are_no_trouble(generation, image):
    (found,) = detector_of(generation)([image])
    check_detections(found, image)


@every_generation
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 3)])
def test_a_picture_of_a_few_pixels_is_no_trouble(generation, size):
    image = torch.full((3, *size), 0.5)
    (found,) = detector_of(generation)([image])
    check_detections(found, image)


@every_generation
@pytest.mark.parametrize("size", [(96, 128), (20, 50)])
def test_proposals_lie_in_the_picture(generation, size):
    with torch.inference_mode():
        boxes = detector_of(generation).propose(picture(*size))
    assert boxes.shape == (len(boxes), 4) and len(boxes) > 0
    assert (boxes >= 0).all() and (boxes[:, 2] <= size[1]).all() and (boxes[:, 3] <= size[0]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@every_generation
def test_where_nothing_is_found_the_detections_are_empty_tensors(generation):
    detector, image = detector_of(generation), picture()
    for given in (None, [torch.zeros(0, 4)]):  # no region is an object, and: there is no region
        if given is None:
            find_nothing(detector)
        (found,) = detector([image], proposals=given)
        check_detections(found, image)
        assert found["boxes"].shape == (0, 4)
    assert detector([]) == []


@every_generation
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((3, 96, 128), 200, dtype=torch.uint8), r"torch\.uint8; divide by 255"),
        (picture() * 255, r"expected RGB in 0\.\.1, got values in"),
        (picture() * torch.nan, "got values in nan"),
        (picture().permute(1, 2, 0), r"\(3, H, W\), got \(96, 128, 3\)"),
    ],
    ids=["uint8", "0..255", "nan", "HWC"],
)
def test_a_wrong_picture_is_refused_in_one_sentence(generation, image, message):
    with pytest.raises(ValueError, match=message):
        detector_of(generation)([image])


@softmax_generations
def test_train_mode_returns_losses_that_reach_every_trained_layer(generation):
    detector = detector_of(generation).train()
    given = [some_boxes(30, seed=seed) for seed in (0, 1)] if generation == "fast_rcnn" else None
    losses = detector([picture(), picture(seed=1)], targets(2), given)
    names = {"classification", "regression"}
    assert losses.keys() == (names if generation == "fast_rcnn" else names | {"objectness", "rpn_regression"})
    assert all(loss.shape == () and loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@softmax_generations
def test_a_picture_without_objects_trains_the_classifier_only(generation):
    detector = detector_of(generation).train()
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    losses = detector([picture()], [nothing], [some_boxes(30)] if generation == "fast_rcnn" else None)
    assert losses["classification"] > 0 and losses["regression"] == 0
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)


@softmax_generations
def test_wrong_targets_are_refused_in_one_sentence(generation):
    detector = detector_of(generation).train()
    flat, background, unknown, unpaired, endless = (targets(1)[0] for _ in range(5))
    flat["boxes"] = torch.tensor([[16.0, 19, 64, 48], [64, 48, 64, 96]])
    background["labels"] = torch.tensor([1, 0])
    unknown["labels"] = torch.tensor([4, 1])
    unpaired["labels"] = torch.tensor([1])
    endless["boxes"] = torch.tensor([[16.0, 19, float("inf"), 48], [64, 48, 90, 96]])
    cases = [
        (None, "needs one for each of the 1 pictures, got none"),
        (targets(2), "needs one for each of the 1 pictures, got 2"),
        ([flat], r"targets\[0\]: box 1 has no area: \[64"),
        ([background], r"targets\[0\]: labels must be in 1\.\.3 \(0 is the background\), got \[1, 0\]"),
        ([unknown], r"labels must be in 1\.\.3 .* got \[4, 1\]"),
        ([unpaired], r"boxes \(2, 4\) and labels \(1,\) do not match"),
        ([endless], r"targets\[0\]: box 0"),
    ]
    for wrong, message in cases:
        with pytest.raises(ValueError, match=message):
            detector([picture()], wrong, [some_boxes(5)])


@softmax_generations
def test_train_mode_refuses_a_wrong_picture_too(generation):
    with pytest.raises(ValueError, match=r"expected RGB in 0\.\.1, got values in"):
        detector_of(generation).train()([picture() * 255], targets(1), [some_boxes(5)])


@every_generation
def test_proposals_that_are_no_boxes_are_refused(generation):
    if generation == "faster_rcnn":
        pytest.skip("it makes its own")
    wrong = some_boxes(5)
    wrong[3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"proposals\[0\]: box 3 has no area"):
        detector_of(generation).eval()([picture()], proposals=[wrong])


@every_generation
def test_weights_that_are_no_numbers_are_refused_and_not_silent(generation, tmp_path):
    detector, path = detector_of(generation), tmp_path / "detector.safetensors"
    name = next(name for name in detector.state_dict() if name.endswith("weight"))
    for value in (torch.nan, torch.inf):
        weight = detector.state_dict()[name]
        weight[(0,) * weight.dim()] = value
        save_detector(detector, path)
        with pytest.raises(CheckpointError, match=rf"detector\.safetensors: {name} has numbers that are none"):
            load_detector(path)


@every_generation
def test_a_saved_detector_comes_back_as_it_was(generation, tmp_path):
    detector, image = detector_of(generation), picture()
    path = tmp_path / "detector.safetensors"
    save_detector(detector, path, seed=5)
    again, facts = load_detector(path, classes=list(CLASSES), generation=generation)
    assert facts["seed"] == 5 and again.recipe == detector.recipe and again.classes == CLASSES
    before, after = detector([image])[0], again([image])[0]
    assert len(before["boxes"]) > 3
    assert all(torch.equal(before[field], after[field]) for field in before)
    with pytest.raises(CheckpointError, match=r"classes is \['cat', 'dog', 'cow'\], but .*'horse'\] is wanted"):
        load_detector(path, classes=["cat", "dog", "horse"])
    with pytest.raises(CheckpointError, match="generation"):
        load_detector(path, generation="r-cnn 2")


@every_generation
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_being_a_dict(generation, name):
    recipe = named_recipe(generation, name)
    assert from_dict(type(recipe), asdict(recipe)) == recipe
    assert from_dict(type(recipe), json.loads(json.dumps(asdict(recipe)))) == recipe  # as checkpoints keep it
    other = replace(recipe, nms_iou=0.123)
    assert from_dict(type(recipe), asdict(other)) == other != recipe


def test_unknown_names_are_refused_and_every_generation_has_a_title():
    assert tuple(TITLES) == GENERATIONS
    with pytest.raises(ValueError, match="generation 'yolo' is none of rcnn"):
        named_recipe("yolo", "quick")
    with pytest.raises(ValueError, match="recipe 'slow' is none of quick, evening, paper"):
        named_recipe("rcnn", "slow")


def traced(generation: str, count: int | None, image: Tensor | None = None) -> Trace:
    detector = detector_of(generation)
    with trace(detector) as steps:
        detector([picture() if image is None else image], proposals=None if count is None else [some_boxes(count)])
    return steps


@every_generation
def test_a_trace_shows_the_phases_of_every_table(generation):
    steps = traced(generation, None)
    assert {record.name: record.phase for record in steps.records} == {**STAGES[generation], "nms": "suppress"}
    assert set(steps.total("flops")) == set(PHASES)
    assert sum(steps.total("flops").values()) > 0
    assert steps.peak_memory_bytes > 0


def test_rcnn_pays_a_convolution_for_each_region():
    one, ten, fifty = (traced("rcnn", count).total("flops", "name")["cnn"] for count in (1, 10, 50))
    assert one > 0
    assert ten == 10 * one and fifty == 50 * one


@pytest.mark.parametrize("generation", ["sppnet", "fast_rcnn", "faster_rcnn"])
def test_from_sppnet_on_the_convolutions_cost_the_same_whatever_the_regions(generation):
    one, fifty = (traced(generation, count).total("flops", "name") for count in (1, 50))
    assert one["conv"] == fifty["conv"] > 0
    assert fifty["fc"] == 50 * one["fc"] > 0  # what is left to each region
    larger = traced(generation, 1, picture(192, 256)).total("flops", "name")["conv"]
    assert larger == 4 * one["conv"]  # it is the picture's size that counts


@every_generation
def test_mixed_precision_finds_the_same_but_for_rounding(generation):
    detector, boxes = detector_of(generation).eval(), [some_boxes(40)]
    (plain,) = detector([picture()], proposals=boxes)
    types = []
    detector.backbone.conv.register_forward_hook(lambda _, inputs, output: types.append(output.dtype))
    detector.amp = "bf16"
    (found,) = detector([picture()], proposals=boxes)
    assert set(types) == {torch.bfloat16}
    assert all(found[name].dtype == plain[name].dtype for name in found)
    assert not torch.equal(found["scores"][:5], plain["scores"][:5])
    torch.testing.assert_close(found["scores"][:5], plain["scores"][:5], rtol=0.05, atol=0.05)
