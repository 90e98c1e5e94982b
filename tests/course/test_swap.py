"""A reader's own functions in the package's place."""

from __future__ import annotations

import importlib
import inspect
import sys

import pytest
import torch

from lineage.backbones import build_backbone
from lineage.common import boxes, nms
from lineage.course import SWAPPABLE, using
from lineage.fast_rcnn.detector import FastRCNN
from lineage.faster_rcnn.detector import FasterRCNN

IMAGE = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))


def detector():
    return FasterRCNN(build_backbone("tiny"), ("cat", "dog")).eval()


def keep_all(boxes, scores, iou_threshold):
    return scores.argsort(descending=True)


def test_every_name_is_a_function_of_the_package():
    for name, module in SWAPPABLE.items():
        function = getattr(importlib.import_module(module), name)
        assert inspect.isfunction(function) and function.__module__ == module, name


def test_every_detection_has_gone_through_the_readers_nms():
    """Every class's boxes, in all of one call a class; the RPN's own suppression too."""
    calls = []

    def mine(boxes, scores, iou_threshold):
        calls.append((len(boxes), iou_threshold))
        return nms.nms_reference(boxes, scores, iou_threshold)

    one = detector()
    expected = one([IMAGE])[0]
    with using(nms=mine):
        found = one([IMAGE])[0]
    assert {threshold for _, threshold in calls} == {one.recipe.rpn.nms_iou, one.recipe.nms_iou}
    assert len(calls) == 1 + 2  # the RPN's, and one a class
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
    before = len(calls)
    one([IMAGE])
    assert len(calls) == before  # outside the block it is the package's again


def test_a_wrong_nms_detects_wrongly():
    one = detector()
    with using(nms=keep_all):
        found = one([IMAGE])[0]
    assert len(found["boxes"]) > len(one([IMAGE])[0]["boxes"])


def test_modules_that_imported_a_function_by_name_get_the_readers():
    one = FastRCNN(build_backbone("tiny"), ("cat",)).eval()
    regions = torch.tensor([[5.0, 5, 40, 40], [20, 10, 90, 60]])
    with using(decode_boxes=lambda offsets, anchors: torch.zeros(len(anchors), offsets.shape[1], 4)):
        assert one([IMAGE], proposals=[regions])[0]["boxes"].abs().max() == 0
    assert one([IMAGE], proposals=[regions])[0]["boxes"].abs().max() > 0


def test_several_at_once_nested_and_restored_after_an_error():
    kept = {name: getattr(boxes, name) for name in ("box_iou", "encode_boxes")}

    def iou(boxes1, boxes2):
        return torch.full((len(boxes1), len(boxes2)), 0.25)

    def encode(targets, anchors):
        return targets - anchors

    with pytest.raises(RuntimeError, match="mine"), using(box_iou=iou, encode_boxes=encode):
        assert boxes.box_iou is iou and boxes.encode_boxes is encode
        with using(nms=keep_all):
            assert nms.nms is keep_all and boxes.box_iou is iou
        assert nms.nms is not keep_all and boxes.box_iou is iou
        raise RuntimeError("mine")
    assert {name: getattr(boxes, name) for name in kept} == kept


def test_the_inner_one_of_two_is_called_everywhere_and_leaves_the_outer_one():
    """Also where the package goes through ``batched_nms``, and where the function is another kind of callable."""
    calls = []

    class Mine:
        def __init__(self, name):
            self.name = name

        def __call__(self, boxes, scores, iou_threshold):
            calls.append(self.name)
            return nms.nms_reference(boxes, scores, iou_threshold)

    one, outer = detector(), Mine("outer")
    with using(nms=outer):
        with using(nms=Mine("inner")):
            one([IMAGE])
        assert set(calls) == {"inner"}
        assert nms.nms is outer
        calls.clear()
        one([IMAGE])
        assert set(calls) == {"outer"}
    calls.clear()
    one([IMAGE])
    assert not calls


def test_a_function_of_the_package_as_the_replacement_stays_what_it_is():
    kept = nms.nms, nms.nms_reference
    with using(nms=nms.nms_reference):
        assert nms.nms is kept[1]
    assert (nms.nms, nms.nms_reference) == kept


def test_a_module_first_imported_within_the_block_has_the_packages_afterwards(monkeypatch):
    import lineage.faster_rcnn as package

    monkeypatch.delitem(sys.modules, "lineage.faster_rcnn.rpn")
    monkeypatch.setattr(package, "rpn", package.rpn)  # importing sets it
    with using(nms=keep_all):
        fresh = importlib.import_module("lineage.faster_rcnn.rpn")
        assert fresh.nms is keep_all
    assert fresh.nms is nms.nms


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"mns": keep_all}, r"using: 'mns' is none of box_iou, .*nms"),
        ({"nms": 3}, "using: nms=3 is not a function"),
        ({"nms": lambda boxes, scores: scores}, r"calls nms\(boxes, scores, iou_threshold\), and yours does not fit"),
        (
            {"match_boxes": lambda boxes, ground_truth: boxes},
            r"calls match_boxes\(boxes, ground_truth, foreground=, background=\)",
        ),
    ],
)
def test_what_cannot_be_used_is_one_clear_message_and_nothing_is_swapped(functions, message):
    before = boxes.box_iou
    with pytest.raises(ValueError, match=message), using(box_iou=lambda boxes1, boxes2: None, **functions):
        pass
    assert boxes.box_iou is before
