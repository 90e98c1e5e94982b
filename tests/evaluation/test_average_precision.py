from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.evaluation.coco import evaluate_coco, to_coco
from lineage.evaluation.voc import evaluate_voc, voc_ap_11_point, voc_ap_area
from lineage.evaluation.voc_reference import evaluate_voc_reference


def found(boxes, scores, labels):
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor(scores, dtype=torch.float32),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


def truth(boxes, labels, difficult=None):
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "difficult": torch.tensor(difficult or [False] * len(labels), dtype=torch.bool),
    }


# Few coordinates, scores and labels, so that ties, exact hits and taken objects are common.
@st.composite
def boxes(draw):
    x, y = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    return [x, y, x + draw(st.integers(0, 4)), y + draw(st.integers(0, 4))]


@st.composite
def problems(draw):
    num_classes = draw(st.integers(1, 3))
    labels = st.integers(1, num_classes)
    detections, targets = [], []
    for _ in range(draw(st.integers(0, 4))):
        rows = draw(st.lists(st.tuples(boxes(), st.sampled_from([0.1, 0.5, 0.7, 0.9]), labels), max_size=8))
        detections.append(found([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]))
        rows = draw(st.lists(st.tuples(boxes(), labels, st.booleans()), max_size=5))
        targets.append(truth([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]))
    return detections, targets, num_classes


@settings(max_examples=300, deadline=None)
@given(problems(), st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.booleans())
def test_equals_the_plain_loop_exactly(problem, iou_threshold, use_11_point):
    fast = evaluate_voc(*problem, iou_threshold, use_11_point)
    plain = evaluate_voc_reference(*problem, iou_threshold, use_11_point)
    assert fast.ap.keys() == plain.ap.keys() == set(range(1, problem[2] + 1))
    for label, curve in plain.curves.items():
        for ours, theirs in zip(fast.curves[label], curve):
            np.testing.assert_array_equal(ours, theirs)  # to the last bit, nan equal to nan
        np.testing.assert_array_equal(fast.ap[label], plain.ap[label])
    np.testing.assert_array_equal(fast.map, plain.map)


def many(seed, pictures=60, num_classes=4, noise=4.0, difficult=0.15):
    """Detections of about the right place and class, as a fair detector would give."""
    rng = np.random.default_rng(seed)
    detections, targets = [], []
    for _ in range(pictures):
        count = int(rng.integers(0, 6))
        corner, size = rng.uniform(0, 200, (count, 2)), rng.uniform(20, 120, (count, 2))
        gt = np.concatenate([corner, corner + size], axis=1)
        labels = rng.integers(1, num_classes + 1, count)
        targets.append(truth(gt.tolist(), labels.tolist(), (rng.random(count) < difficult).tolist()))
        again = np.concatenate([np.arange(count), rng.integers(0, max(count, 1), 3 if count else 0)])
        moved = gt[again] + rng.normal(0, noise, (len(again), 4))
        wrong = np.where(rng.random(len(again)) < 0.2, rng.integers(1, num_classes + 1, len(again)), labels[again])
        detections.append(found(moved.tolist(), rng.random(len(again)).tolist(), wrong.tolist()))
    return detections, targets, num_classes


@pytest.mark.parametrize("use_11_point", [True, False])
def test_equals_the_plain_loop_on_plausible_detections(use_11_point):
    problem = many(0)
    fast = evaluate_voc(*problem, use_11_point=use_11_point)
    assert fast.ap == evaluate_voc_reference(*problem, use_11_point=use_11_point).ap
    assert 0.3 < fast.map < 1


def test_by_hand():
    """Three detections, best first: hit, repeat of the same object, hit: precision 1, 1/2, 2/3."""
    targets = [truth([[0, 0, 10, 10], [20, 20, 30, 30]], [1, 1])]
    detections = [found([[0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30]], [0.9, 0.8, 0.7], [1, 1, 1])]
    result = evaluate_voc(detections, targets, 1)
    np.testing.assert_allclose(result.curves[1].precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(result.curves[1].recall, [0.5, 0.5, 1])
    assert result.ap[1] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert evaluate_voc(detections, targets, 1, use_11_point=False).ap[1] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_only_the_most_overlapping_object_counts():
    """The second detection overlaps the free object enough, but the taken one more: a false positive."""
    targets = [truth([[0, 0, 10, 10], [2, 0, 12, 10]], [1, 1])]
    detections = [found([[0, 0, 10, 10], [0.5, 0, 10.5, 10]], [0.9, 0.8], [1, 1])]
    assert evaluate_voc(detections, targets, 1).curves[1].recall.tolist() == [0.5, 0.5]


def test_overlap_of_exactly_the_threshold_is_a_match():
    detections = [found([[0, 0, 10, 5]], [0.9], [1])]
    assert evaluate_voc(detections, [truth([[0, 0, 10, 10]], [1])], 1).ap[1] == pytest.approx(1)
    assert evaluate_voc(detections, [truth([[0, 0, 10, 10.001]], [1])], 1).ap[1] == 0


def test_difficult_objects_neither_reward_nor_punish():
    targets = [truth([[0, 0, 10, 10], [20, 20, 30, 30]], [1, 1], [False, True])]
    alone = found([[0, 0, 10, 10]], [0.5], [1])
    both = found([[20, 20, 30, 30], [20, 20, 30, 30], [0, 0, 10, 10]], [0.9, 0.8, 0.5], [1, 1, 1])
    for detections in (alone, both):
        result = evaluate_voc([detections], targets, 1)
        assert result.ap[1] == pytest.approx(1)
        assert len(result.curves[1].scores) == 1


def test_class_without_objects_is_left_out_of_the_mean():
    targets = [truth([[0, 0, 10, 10], [0, 0, 10, 10]], [1, 3], [False, True])]
    result = evaluate_voc([found([[0, 0, 10, 10], [0, 0, 9, 9]], [0.9, 0.9], [1, 2])], targets, 3)
    assert result.ap[1] == result.map == pytest.approx(1)
    assert math.isnan(result.ap[2]) and math.isnan(result.ap[3])


def test_nothing_found_is_zero_and_nothing_at_all_is_nan():
    nothing = found([], [], [])
    assert evaluate_voc([nothing], [truth([[0, 0, 9, 9]], [1])], 1).map == 0
    assert math.isnan(evaluate_voc([nothing], [truth([], [])], 1).map)
    assert math.isnan(evaluate_voc([], [], 2).map)


def test_equal_scores_keep_the_order_of_pictures():
    targets = [truth([[0, 0, 10, 10]], [1]), truth([], [])]
    detections = [found([[0, 0, 10, 10]], [0.5], [1]), found([[0, 0, 10, 10]], [0.5], [1])]
    assert evaluate_voc(detections, targets, 1).ap[1] == pytest.approx(1)
    assert evaluate_voc(detections[::-1], targets[::-1], 1).ap[1] == pytest.approx(0.5)


def devkit_ap(recall, precision, use_07_metric):
    """py-faster-rcnn's voc_ap, as a second opinion on the two averages."""
    if use_07_metric:
        reached = [precision[recall >= t] for t in np.arange(0.0, 1.1, 0.1)]
        ap = 0.0
        for values in reached:
            ap += (values.max() if len(values) else 0.0) / 11.0
        return ap
    r, p = np.concatenate([[0.0], recall, [1.0]]), np.concatenate([[0.0], precision, [0.0]])
    for i in range(len(p) - 1, 0, -1):
        p[i - 1] = max(p[i - 1], p[i])
    changes = np.flatnonzero(r[1:] != r[:-1])
    return np.sum((r[changes + 1] - r[changes]) * p[changes + 1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.booleans(), min_size=0, max_size=40), st.integers(0, 12))
def test_both_averages_equal_the_original(hits, missed):
    objects = sum(hits) + missed
    if objects == 0:
        return
    tp = np.cumsum(np.array(hits, dtype=float))
    recall, precision = tp / objects, tp / np.arange(1, len(hits) + 1)
    assert voc_ap_11_point(recall, precision) == devkit_ap(recall, precision, True)
    assert voc_ap_area(recall, precision) == pytest.approx(devkit_ap(recall, precision, False), abs=1e-12)


GOOD = (found([[0, 0, 5, 5]], [0.5], [1]), truth([[0, 0, 5, 5]], [1]))


@pytest.mark.parametrize(
    ("detection", "target", "message"),
    [
        ({**GOOD[0], "labels": torch.tensor([0])}, GOOD[1], r"detections\[1\]\['labels'\].*1\.\.2.*got 0"),
        ({**GOOD[0], "labels": torch.tensor([3])}, GOOD[1], r"\['labels'\].*got 3"),
        (GOOD[0], {**GOOD[1], "labels": torch.tensor([0])}, r"targets\[1\]\['labels'\].*background"),
        ({**GOOD[0], "labels": torch.tensor([1.0])}, GOOD[1], r"\['labels'\]: expected integers"),
        ({**GOOD[0], "boxes": torch.zeros(4)}, GOOD[1], r"\['boxes'\].*\(N, 4\), got \(4,\)"),
        ({**GOOD[0], "scores": torch.zeros(2)}, GOOD[1], r"\['scores'\].*\(1,\), got \(2,\)"),
        ({**GOOD[0], "scores": torch.tensor([math.nan])}, GOOD[1], r"\['scores'\].*finite.*nan"),
        ({**GOOD[0], "scores": torch.tensor([1])}, GOOD[1], r"\['scores'\]: expected floats"),
        ({**GOOD[0], "boxes": torch.tensor([[9.0, 0, 5, 5]])}, GOOD[1], r"x1 <= x2.*got \[9.0"),
        ({**GOOD[0], "boxes": torch.tensor([[0.0, 0, math.inf, 5]])}, GOOD[1], r"\['boxes'\].*finite"),
        (GOOD[0], {**GOOD[1], "difficult": torch.tensor([0])}, r"\['difficult'\]: expected torch.bool"),
        (GOOD[0], {k: v for k, v in GOOD[1].items() if k != "difficult"}, r"\['difficult'\].*None"),
    ],
)
def test_bad_input_is_one_clear_message(detection, target, message):
    for evaluate in (evaluate_voc, evaluate_voc_reference, evaluate_coco):
        with pytest.raises(ValueError, match=message):
            evaluate([GOOD[0], detection], [GOOD[1], target], 2)


def test_bad_arguments():
    with pytest.raises(ValueError, match="1 pictures, targets of 2"):
        evaluate_voc([GOOD[0]], [GOOD[1]] * 2, 1)
    with pytest.raises(ValueError, match=r"iou_threshold.*50"):
        evaluate_voc([GOOD[0]], [GOOD[1]], 1, iou_threshold=50)
    with pytest.raises(ValueError, match="num_classes"):
        evaluate_voc([], [], 0)
    with pytest.raises(ValueError, match="3 names"):
        to_coco([GOOD[0]], [GOOD[1]], 3, classes=["a"])


# ---- COCO -------------------------------------------------------------------------------------------


def test_coco_equals_pycocotools():
    problem = many(1)
    ground_truth, results = to_coco(*problem)
    with contextlib.redirect_stdout(io.StringIO()):
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        theirs = COCO()
        theirs.dataset = ground_truth
        theirs.createIndex()
        evaluation = COCOeval(theirs, theirs.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ours = evaluate_coco(*problem)
    assert list(ours) == ["AP", "AP50", "AP75"]
    assert list(ours.values()) == pytest.approx(evaluation.stats[:3].tolist(), abs=1e-9)


def test_coco_is_near_voc_but_not_it():
    problem = many(2, pictures=300, noise=2.0, difficult=0)
    voc = evaluate_voc(*problem, use_11_point=False).map
    assert 0 < abs(evaluate_coco(*problem)["AP50"] - voc) < 5e-3


def test_coco_export_says_what_voc_says():
    targets = [truth([], []), truth([[1, 2, 4, 8]], [2], [True])]
    ground_truth, results = to_coco([found([], [], []), GOOD[0]], targets, 2, ["cat", "dog"])
    assert [image["id"] for image in ground_truth["images"]] == [1, 2]
    assert ground_truth["categories"][1] == {"id": 2, "name": "dog"}
    assert ground_truth["annotations"] == [
        {"id": 1, "image_id": 2, "category_id": 2, "bbox": [1, 2, 3, 6], "area": 18, "iscrowd": 1}
    ]
    assert results == [{"image_id": 2, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}]


def test_coco_without_detections_or_objects():
    nothing = found([], [], [])
    assert set(evaluate_coco([nothing], [GOOD[1]], 1).values()) == {0.0}
    assert all(math.isnan(value) for value in evaluate_coco([GOOD[0]], [truth([], [])], 1).values())
    assert evaluate_coco([GOOD[0]], [GOOD[1]], 1)["AP"] == pytest.approx(1)
