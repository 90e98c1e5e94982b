"""What comes from outside is looked at before anything is computed from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lineage.common.inputs import check_image, check_inputs, check_learnable

GOOD = torch.zeros(3, 8, 8)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((3, 4, 4), 255.0), r"0\.\.1, got values in 255\.\.255"),
        (torch.full((3, 4, 4), -0.5), r"0\.\.1, got values in -0\.5"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), r"torch\.uint8; divide by 255"),
        (torch.zeros(4, 4, 3), r"\(3, H, W\), got \(4, 4, 3\)"),
        (torch.zeros(1, 3, 4, 4), r"got \(1, 3, 4, 4\)"),
        (torch.zeros(4, 4), r"got \(4, 4\)"),
        (torch.zeros(3, 0, 4), r"no pixels, shape \(3, 0, 4\)"),
        (torch.tensor([0.5, float("nan")]).expand(3, 4, 2), "nan"),
        (np.zeros((3, 4, 4), np.float32), r"\(3, H, W\), got ndarray"),
        (None, "got NoneType"),
    ],
)
def test_the_commonest_wrong_pictures_are_refused_in_one_sentence(image, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_image(image)
    assert str(caught.value).startswith("image: ")


@pytest.mark.parametrize("value", [0.0, 1.0, -0.005, 1.005])
def test_pictures_in_0_to_1_pass_with_room_for_interpolations_overshoot(value):
    check_image(torch.full((3, 2, 2), value))


@pytest.mark.parametrize(
    ("proposals", "message"),
    [
        ([torch.tensor([[1.0, 1, 5, 5], [1, math.nan, 5, 5]])], r"proposals\[0\]: box 1 has no area: \[1\.0, nan"),
        ([torch.tensor([[1.0, 1, math.inf, 5]])], r"proposals\[0\]: box 0"),
        ([torch.tensor([[5.0, 1, 1, 5]])], r"proposals\[0\]: box 0 has no area: \[5\.0"),
        ([torch.zeros(4)], r"proposals\[0\]: expected \(R, 4\), got \(4,\)"),
        ([torch.zeros(0, 4)] * 2, r"one \(R, 4\) for each of 1 pictures is needed, got 2"),
    ],
)
def test_wrong_proposals_are_refused_in_one_sentence(proposals, message):
    with pytest.raises(ValueError, match=message):
        check_inputs([GOOD], proposals)
    check_inputs([GOOD], [torch.zeros(0, 4)])
    check_inputs([GOOD], None)


def test_without_an_object_that_counts_there_is_nothing_to_learn():
    box, nothing = torch.tensor([[1.0, 1, 5, 5]]), torch.zeros(0, 4)
    empty = {
        "boxes": nothing,
        "labels": torch.zeros(0, dtype=torch.int64),
        "difficult": torch.zeros(0, dtype=torch.bool),
    }
    one = {"boxes": box, "labels": torch.tensor([1])}
    hard = {**one, "difficult": torch.tensor([True])}
    for targets, message in (
        ([], "no picture has an object"), ([empty, empty], "no picture has an object"),
        ([empty, hard], "every object is marked difficult"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"nothing to learn: {message}"):
            check_learnable(targets)
    check_learnable([empty, hard, one])
