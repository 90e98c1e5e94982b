import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from strategies import scored_boxes

from lineage.common.nms import batched_nms, batched_nms_reference, nms, nms_reference, suppress_per_class


@given(scored_boxes(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_nms_equals_its_definition_and_torchvisions(case, threshold):
    boxes, scores, _ = case
    expected = nms_reference(boxes, scores, threshold)
    assert torch.equal(nms(boxes, scores, threshold), expected)
    assert torch.equal(torchvision.ops.nms(boxes, scores, threshold), expected)


@given(scored_boxes(), st.sampled_from([0.0, 0.3, 0.7]))
def test_batched_nms_equals_its_definition_and_torchvisions(case, threshold):
    boxes, scores, groups = case
    expected = batched_nms_reference(boxes, scores, groups, threshold)
    assert torch.equal(batched_nms(boxes, scores, groups, threshold), expected)
    assert torch.equal(torchvision.ops.batched_nms(boxes, scores, groups, threshold), expected)


def test_a_box_that_only_touches_the_threshold_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])  # IoU exactly 0.5
    assert nms(boxes, torch.tensor([2.0, 1.0]), 0.5).tolist() == [0, 1]
    assert nms(boxes, torch.tensor([2.0, 1.0]), 0.49).tolist() == [0]


def test_suppression_is_per_class_sorted_and_bounded():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [30, 30, 40, 40]])[:, None].expand(-1, 2, -1)
    scores = torch.tensor([[0.9, 0.2], [0.8, 0.95], [0.01, 0.5]])
    found = suppress_per_class(boxes, scores, score_threshold=0.05, iou_threshold=0.3, max_detections=10)
    assert found["labels"].tolist() == [2, 1, 2]
    assert found["scores"].tolist() == torch.tensor([0.95, 0.9, 0.5]).tolist()
    best = suppress_per_class(boxes, scores, score_threshold=0.05, iou_threshold=0.3, max_detections=1)
    assert best["boxes"].tolist() == [[1, 0, 10, 10]]


def test_nothing_above_the_threshold_gives_empty_tensors():
    found = suppress_per_class(
        torch.zeros(5, 3, 4), torch.zeros(5, 3), score_threshold=0.05, iou_threshold=0.3, max_detections=10
    )
    assert found["boxes"].shape == (0, 4)
    assert found["scores"].shape == (0,)
    assert found["labels"].dtype == torch.int64
