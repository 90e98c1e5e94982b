import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes

from lineage.common.boxes import box_iou
from lineage.common.matching import BACKGROUND, FOREGROUND, IGNORED, label_regions, match_boxes
from lineage.common.sampling import sample_balanced, seeded_generator


@given(boxes(), boxes(high=5), st.booleans())
def test_matching_equals_a_loop_over_the_definition(some, truth, force_best):
    matches = match_boxes(some, truth, foreground=0.7, background=(0.1, 0.3), force_best=force_best)
    overlaps = box_iou(some, truth)
    for i in range(len(some)):
        best = max(overlaps[i].tolist(), default=0.0)
        expected = IGNORED
        if 0.1 <= best < 0.3:
            expected = BACKGROUND
        if best >= 0.7:
            expected = FOREGROUND
        if force_best and any(overlaps[i, g] == overlaps[:, g].max() > 0 for g in range(len(truth))):
            expected = FOREGROUND
        assert matches.kind[i] == expected
        if len(truth):
            assert overlaps[i, matches.truth[i]] == best


def test_an_object_that_nothing_touches_claims_no_box():
    matches = match_boxes(
        torch.tensor([[0.0, 0, 5, 5], [5, 5, 9, 9]]), torch.tensor([[50.0, 50, 60, 60]]), foreground=0.7,
        background=(0.0, 0.3), force_best=True,
    )  # fmt: skip
    assert matches.kind.tolist() == [BACKGROUND, BACKGROUND]


def test_regions_of_a_picture_without_objects_are_all_background():
    target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    region = label_regions(torch.rand(6, 4), target, foreground=0.5, background=(0.0, 0.5))
    assert (region.kind == BACKGROUND).all()
    assert (region.labels == 0).all()


def test_difficult_objects_are_not_learnt():
    target = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]]),
        "labels": torch.tensor([3, 1]),
        "difficult": torch.tensor([True, False]),
    }
    region = label_regions(target["boxes"], target, foreground=0.5, background=(0.0, 0.5))
    assert region.labels.tolist() == [1, 0, 1]  # the usable object itself, then both proposals


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 40), st.sampled_from([0.25, 0.5]))
def test_a_sample_is_balanced_distinct_and_repeatable(foreground, background, size, fraction):
    kind = torch.tensor([FOREGROUND] * foreground + [BACKGROUND] * background + [IGNORED] * 3, dtype=torch.int8)
    positive, negative = sample_balanced(kind, size, fraction, seeded_generator(1))
    assert len(positive) == min(foreground, round(size * fraction))
    assert len(negative) == min(background, size - len(positive))
    assert (kind[positive] == FOREGROUND).all() and (kind[negative] == BACKGROUND).all()
    assert len(set(positive.tolist() + negative.tolist())) == len(positive) + len(negative)
    again = sample_balanced(kind, size, fraction, seeded_generator(1))
    assert torch.equal(again[0], positive) and torch.equal(again[1], negative)
