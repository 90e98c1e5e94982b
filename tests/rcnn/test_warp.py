import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes

from lineage.rcnn.warp import add_context, warp_crops, warp_crops_reference

# Before version 5, OpenCV rounds a sample's place to 1/32 pixel; on noise that is seen.
TOLERANCE = 2e-3 if int(cv2.__version__.split(".")[0]) >= 5 else 0.1


def picture(height, width, seed):
    return torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))


@given(boxes(low=1, high=6), st.integers(5, 50), st.integers(5, 50), st.sampled_from([(8, 0), (17, 3), (33, 0)]))
def test_opencv_warps_as_the_definition_does(found, height, width, frame):
    """On noise, where a sample a little off its place shows most; many boxes reach beyond the picture."""
    size, context = frame
    image = picture(height, width, seed=0)
    ours = warp_crops(image, found - 15, size, context)
    expected = warp_crops_reference(image, add_context(found - 15, size, context), size)
    assert ours.shape == (len(found), 3, size, size)
    torch.testing.assert_close(ours, expected, rtol=0, atol=TOLERANCE)


def test_a_whole_picture_warped_to_its_own_size_is_itself():
    image = picture(24, 24, 1)
    crop = warp_crops(image, torch.tensor([[0.0, 0, 24, 24]]), 24)
    torch.testing.assert_close(crop[0], image, rtol=0, atol=1e-6)


def test_crops_come_out_channels_last_and_float32():
    crops = warp_crops(picture(30, 40, 0), torch.tensor([[1.0, 2, 20, 25], [5, 5, 9, 9]]), 16, 2)
    assert crops.dtype == torch.float32
    assert crops.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("box", [[40, 30, 80, 70], [20, 40, 100, 60], [45, 10, 55, 90]])
@pytest.mark.parametrize(("size", "context"), [(64, 4), (227, 16), (48, 0)])
def test_the_original_box_lies_context_pixels_inside_the_crop(box, size, context):
    """Drawn white on black, whatever its aspect, the box fills the crop but for a border of ``context``."""
    x1, y1, x2, y2 = box
    image = torch.zeros(3, 100, 120)
    image[:, y1:y2, x1:x2] = 1
    crop = warp_crops(image, torch.tensor([box]).float(), size, context)[0, 0]
    for profile in (crop[size // 2], crop[:, size // 2]):
        white = torch.where(profile > 0.5)[0]
        assert int(white[0]) == context
        assert int(white[-1]) == size - 1 - context
        assert len(white) == size - 2 * context


def test_what_lies_off_the_picture_is_exactly_0():
    image = torch.full((3, 20, 20), 5.0)
    box = torch.tensor([[-20.0, 0, 20, 20]])  # its left half is off the picture
    crop = warp_crops(image, box, 40)[0]
    assert torch.equal(crop[:, :, :19], torch.zeros(3, 40, 19))
    assert (crop[:, 4:-4, 21:] == 5).all()
    beyond = warp_crops(image, torch.tensor([[100.0, 100, 120, 120]]), 16)
    assert torch.equal(beyond, torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize(("size", "context"), [(32, 16), (32, 40), (32, -1)])
def test_a_context_that_leaves_no_room_is_refused(size, context):
    with pytest.raises(ValueError, match=f"context: {context} px on both sides do not fit a crop of {size} px"):
        warp_crops(torch.zeros(3, 50, 50), torch.tensor([[0.0, 0, 9, 9]]), size, context)


def test_no_boxes_give_no_crops():
    assert warp_crops(torch.zeros(3, 50, 50), torch.zeros(0, 4), 32, 4).shape == (0, 3, 32, 32)


def test_context_grows_about_the_centre_by_the_warped_frames_share():
    grown = add_context(torch.tensor([[10.0, 20, 30, 60]]), 64, 16)
    np.testing.assert_allclose(grown.numpy(), [[0, 0, 40, 80]])


def test_the_picture_is_left_as_it_was():
    image = picture(20, 30, 2)
    before = image.clone()
    warp_crops(image, torch.tensor([[-5.0, 1, 20, 40]]), 16)
    assert torch.equal(image, before)
