import pytest
import torch
import torchvision
from hypothesis import given
from strategies import boxes

from lineage.common.boxes import (
    box_area,
    box_iou,
    box_iou_reference,
    clip_boxes_to_image,
    decode_boxes,
    encode_boxes,
    remove_small_boxes,
)


@given(boxes(), boxes())
def test_iou_equals_torchvisions_and_the_hand_computed_one(first, second):
    ours = box_iou(first, second)
    torch.testing.assert_close(ours, torchvision.ops.box_iou(first, second), rtol=0, atol=1e-6)
    for i in range(len(first)):
        for j in range(len(second)):
            assert ours[i, j].item() == pytest.approx(box_iou_reference(first[i], second[j]), abs=1e-6)


def test_iou_with_the_right_edge_exclusive_equals_the_devkits_inclusive_one():
    """VOC's (1, 1, 10, 10) and (6, 1, 15, 10) share 5 of 15 columns under the devkit's "+ 1"."""
    ours = box_iou(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 15, 10]]))
    assert ours.item() == pytest.approx(5 / 15)


def test_boxes_without_area_have_iou_0_and_not_nan():
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert box_iou(point, point).item() == 0.0
    assert box_iou(point, torch.tensor([[0.0, 0, 9, 9]])).item() == 0.0


def test_far_apart_boxes_do_not_overlap_though_both_sides_are_negative():
    assert box_iou(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[5.0, 5, 9, 9]])).item() == 0.0


@given(boxes())
def test_area_clip_and_small_equal_torchvisions(some):
    moved = some - 20
    assert torch.equal(box_area(some), torchvision.ops.box_area(some))
    assert torch.equal(clip_boxes_to_image(moved, (30, 40)), torchvision.ops.clip_boxes_to_image(moved, (30, 40)))
    assert torch.equal(remove_small_boxes(some, 7.0), torchvision.ops.remove_small_boxes(some, 7.0))


@given(boxes(low=1))
def test_decoding_inverts_encoding(anchors):
    targets = anchors.flip(0) + 1
    torch.testing.assert_close(decode_boxes(encode_boxes(targets, anchors), anchors), targets, rtol=1e-4, atol=1e-3)


@given(boxes(low=1))
def test_encoding_equals_torchvisions_coder(anchors):
    targets = anchors.flip(0) + 1
    coder = torchvision.models.detection._utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
    torch.testing.assert_close(
        encode_boxes(targets, anchors), coder.encode_single(targets, anchors), rtol=1e-4, atol=1e-5
    )


def test_decoding_a_class_dimension_and_a_huge_offset():
    anchors = torch.tensor([[0.0, 0, 10, 10]])
    offsets = torch.zeros(1, 3, 4)
    offsets[0, 1, 2] = 1e4
    boxes_ = decode_boxes(offsets, anchors)
    assert boxes_.shape == (1, 3, 4)
    assert boxes_.isfinite().all()
    assert torch.equal(boxes_[0, 0], anchors[0])
