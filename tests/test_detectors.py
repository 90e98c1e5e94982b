"""What all four generations have in common: the dialect, the stages, checkpoints, and odd pictures."""

import dataclasses

import pytest
import torch
from pictures import FewPictures

from lineage.backbones import build_backbone
from lineage.common.checkpoint import CheckpointError
from lineage.common.stages import PHASES, trace
from lineage.detectors import GENERATIONS, build_detector, from_dict, load_detector, named_recipe, save_detector

CLASSES = ("cat", "dog")
BOXES = torch.tensor([[5.0, 5, 60, 50], [30, 10, 90, 70], [0, 0, 100, 80]])


@pytest.fixture(params=GENERATIONS)
def detector(request):
    recipe = named_recipe(request.param, "quick")
    threshold = -1e9 if request.param in ("rcnn", "sppnet") else 0.0
    return build_detector(
        request.param, build_backbone("tiny"), CLASSES, dataclasses.replace(recipe, score_threshold=threshold)
    )


def regions(detector, count=1):
    return None if detector.generation == "faster_rcnn" else [BOXES] * count


def test_all_speak_torchvisions_dialect(detector):
    images = [torch.rand(3, 80, 100), torch.rand(3, 80, 100)]
    for found in detector(images, proposals=regions(detector, 2)):
        assert found["boxes"].dtype == torch.float32 and found["boxes"].shape == (len(found["scores"]), 4)
        assert found["labels"].dtype == torch.int64 and set(found["labels"].tolist()) <= {1, 2}
        assert len(found["boxes"]) > 0
        assert (found["scores"].diff() <= 0).all()
        assert (
            (found["boxes"][:, 2] <= 100).all() and (found["boxes"][:, 3] <= 80).all() and (found["boxes"] >= 0).all()
        )


def test_every_phase_is_there_and_the_work_is_counted(detector):
    with trace(detector) as t:
        detector([torch.rand(3, 80, 100)])
    assert {record.phase for record in t.records} == set(PHASES)
    assert t.total("flops")["features"] > 0
    assert t.peak_memory_bytes > 0


def test_only_rcnns_convolutions_grow_with_the_proposals():
    image, flops = torch.rand(3, 80, 100), {}
    for name, stage in (("rcnn", "cnn"), ("sppnet", "conv"), ("fast_rcnn", "conv")):
        detector = build_detector(name, build_backbone("tiny"), CLASSES, named_recipe(name, "quick"))
        for count in (10, 20):
            with trace(detector) as t:
                detector([image], proposals=[BOXES[:1].repeat(count, 1)])
            flops[name, count] = t[stage].flops
    assert flops["rcnn", 20] == 2 * flops["rcnn", 10]
    assert flops["sppnet", 20] == flops["sppnet", 10]
    assert flops["fast_rcnn", 20] == flops["fast_rcnn", 10]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (40, 30), (300, 40)])
def test_odd_pictures_are_handled(detector, size):
    (found,) = detector([torch.rand(3, *size)])
    assert found["boxes"].isfinite().all() and found["scores"].isfinite().all()


def test_no_proposals_give_no_detections(detector):
    (found,) = detector([torch.rand(3, 80, 100)], proposals=[torch.zeros(0, 4)])
    assert found["boxes"].shape == (0, 4)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(3, 8, 8) * 255, "0..1"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "divide by 255"),
        (torch.rand(8, 8, 3), r"\(3, H, W\)"),
        (torch.full((3, 8, 8), torch.nan), "0..1"),
    ],
)
def test_wrong_pictures_are_refused(detector, image, message):
    with pytest.raises(ValueError, match=message):
        detector([image])


@pytest.mark.parametrize("name", ["fast_rcnn", "faster_rcnn"])
def test_train_mode_gives_losses_that_backpropagate(name):
    pictures = FewPictures(2)
    detector = build_detector(name, build_backbone("tiny"), pictures.classes, named_recipe(name, "quick")).train()
    images, targets = zip(*pictures.items)
    losses = detector(list(images), list(targets), pictures.proposals if name == "fast_rcnn" else None)
    expected = {"classification", "regression"} | ({"objectness", "rpn_regression"} if name == "faster_rcnn" else set())
    assert set(losses) == expected
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters())


@pytest.mark.parametrize("name", ["fast_rcnn", "faster_rcnn"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "needs one for each of the 1 pictures"),
        ({"boxes": torch.tensor([[5.0, 5, 5, 9]]), "labels": torch.tensor([1])}, r"targets\[0\]: box 0 has no area"),
        ({"boxes": torch.tensor([[5.0, 5, 8, 9]]), "labels": torch.tensor([0])}, r"labels must be in 1\.\.2"),
        ({"boxes": torch.tensor([[5.0, 5, 8, 9]]), "labels": torch.tensor([1, 2])}, "do not match"),
    ],
)
def test_wrong_targets_are_refused(name, target, message):
    detector = build_detector(name, build_backbone("tiny"), CLASSES, named_recipe(name, "quick")).train()
    with pytest.raises(ValueError, match=message):
        detector([torch.rand(3, 80, 100)], None if target is None else [target], [BOXES])


def test_a_checkpoint_gives_the_same_detections_and_refuses_other_classes(detector, tmp_path):
    image, path = torch.rand(3, 80, 100), tmp_path / "model.safetensors"
    save_detector(detector, path, seed=7)
    again, facts = load_detector(path, classes=list(CLASSES))
    assert facts["seed"] == 7
    assert again.recipe == detector.recipe
    (first,), (second,) = (d([image], proposals=regions(d)) for d in (detector, again))
    for field in first:
        torch.testing.assert_close(first[field], second[field])
    with pytest.raises(CheckpointError, match=r"classes is \['cat', 'dog'\], but \['cat'\] is wanted"):
        load_detector(path, classes=["cat"])


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", ["quick", "paper"])
def test_recipes_survive_json(generation, name):
    recipe = named_recipe(generation, name)
    assert from_dict(type(recipe), dataclasses.asdict(recipe)) == recipe
