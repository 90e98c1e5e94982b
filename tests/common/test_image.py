import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes

from lineage.common.image import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MIN_SIDE,
    detect_each,
    flip_horizontally,
    normalise,
    resize_factor,
    stack_frames,
    to_frame,
)

NO_MEAN, NO_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
sides = st.integers(8, 120)


def test_every_picture_of_a_list_is_checked_and_gets_its_own_proposals():
    good, bad = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 7.0)
    box = torch.tensor([[1.0, 1, 3, 3]])
    found = detect_each(lambda image, boxes: {"boxes": boxes}, [good, good], [box, box.repeat(2, 1)])
    assert [len(one["boxes"]) for one in found] == [1, 2]
    assert detect_each(lambda image, boxes: {"boxes": boxes}, [good], None) == [{"boxes": None}]
    with pytest.raises(ValueError, match=r"got values in 7\.\.7"):
        detect_each(lambda image, boxes: {}, [good, bad], None)
    with pytest.raises(ValueError):
        detect_each(lambda image, boxes: {}, [good, good], [box])


@given(sides, sides, st.sampled_from([None, 16, 61, 150]), st.sampled_from([40, 100, 500]), boxes(low=1))
def test_boxes_go_into_the_frame_and_back(height, width, shorter, longer, found):
    frame = to_frame(torch.zeros(3, height, width), shorter, longer, NO_MEAN, NO_STD)
    torch.testing.assert_close(frame.boxes_out(frame.boxes_in(found)), found, rtol=1e-5, atol=1e-4)
    whole = frame.boxes_in(torch.tensor([0.0, 0, width, height]))
    torch.testing.assert_close(whole, torch.tensor([0.0, 0, frame.size[1], frame.size[0]]), rtol=1e-6, atol=1e-4)


@given(sides, sides, st.sampled_from([None, 16, 61, 150]), st.sampled_from([40, 100, 500]))
def test_the_shorter_side_is_met_unless_the_longer_would_exceed_its_cap(height, width, shorter, longer):
    size = sorted(to_frame(torch.zeros(3, height, width), shorter, longer, NO_MEAN, NO_STD).size)
    assert size[1] <= longer
    wanted = min(height, width) if shorter is None else shorter
    assert size[0] == wanted or (size[0] < wanted and size[1] == longer)


@pytest.mark.parametrize(
    ("height", "width", "shorter", "longer", "factor"),
    [(300, 400, 600, 1000, 2.0), (400, 300, 600, 1000, 2.0), (100, 500, 600, 1000, 2.0), (300, 400, None, 640, 1.0),
     (300, 1280, None, 640, 0.5), (1200, 1800, 600, 1000, 0.5)],
)  # fmt: skip
def test_resize_factors(height, width, shorter, longer, factor):
    assert resize_factor(height, width, shorter, longer) == pytest.approx(factor)


def test_a_marked_object_is_where_its_box_says_after_resizing():
    image = torch.zeros(3, 50, 80)
    image[:, 10:30, 20:60] = 1
    frame = to_frame(image, 125, 1000, NO_MEAN, NO_STD)
    x1, y1, x2, y2 = (round(v) for v in frame.boxes_in(torch.tensor([20.0, 10, 60, 30])).tolist())
    assert (x1, y1, x2, y2) == (50, 25, 150, 75)
    inside = frame.pixels[0, 0, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
    torch.testing.assert_close(inside, torch.ones_like(inside))
    assert frame.pixels[0, 0].round().sum() == pytest.approx(100 * 50, rel=0.03)


def test_a_picture_already_of_the_right_size_is_normalised_only():
    image = torch.rand(3, 39, 41)
    frame = to_frame(image, None, 100, IMAGENET_MEAN, IMAGENET_STD)
    assert (frame.scale_x, frame.scale_y) == (1.0, 1.0)
    back = frame.pixels[0] * torch.tensor(IMAGENET_STD)[:, None, None] + torch.tensor(IMAGENET_MEAN)[:, None, None]
    torch.testing.assert_close(back, image)


def test_normalising_leaves_its_input_alone():
    image = torch.full((3, 2, 2), 0.5)
    assert torch.equal(normalise(image, (0.5, 0.0, 0.25), (1.0, 0.5, 0.25))[:, 0, 0], torch.tensor([0.0, 1.0, 1.0]))
    assert (image == 0.5).all()


@given(sides, sides, boxes())
def test_flipping_twice_is_the_identity(height, width, found):
    image = torch.rand(3, height, width)
    once_image, once = flip_horizontally(image, found)
    again_image, again = flip_horizontally(once_image, once)
    assert torch.equal(again_image, image)
    assert torch.equal(again, found)
    assert (once[:, 0] < once[:, 2]).all()


def test_a_flipped_box_is_around_the_flipped_object():
    image = torch.zeros(3, 20, 31)
    image[:, 4:9, 2:12] = 1
    flipped, found = flip_horizontally(image, torch.tensor([[2.0, 4, 12, 9]]))
    x1, y1, x2, y2 = found[0].int().tolist()
    assert (flipped[:, y1:y2, x1:x2] == 1).all()
    assert flipped.sum() == image.sum() == 3 * (y2 - y1) * (x2 - x1)


def test_frames_are_stacked_from_the_top_left_and_padded_with_the_mean_colour():
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    frames = [to_frame(torch.ones(3, h, w), None, 100, mean, std) for h, w in ((34, 49), (47, 35))]
    batch = stack_frames(frames)
    assert batch.shape == (2, 3, 47, 49)
    assert (batch[0, :, :34, :49] == 2).all() and (batch[0, :, 34:] == 0).all()
    assert (batch[1, :, :47, :35] == 2).all() and (batch[1, :, :, 35:] == 0).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 90), (31, 32)])
def test_a_tiny_picture_is_padded_with_the_mean_colour_but_keeps_its_size(height, width):
    frame = to_frame(torch.ones(3, height, width), None, 100, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert frame.size == (height, width)
    assert frame.pixels.shape == (1, 3, max(height, MIN_SIDE), max(width, MIN_SIDE))
    assert (frame.pixels[0, :, :height, :width] == 2).all()
    assert (frame.pixels[0, :, height:] == 0).all() and (frame.pixels[0, :, :, width:] == 0).all()
