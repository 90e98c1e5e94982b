import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lineage.common.augment import Augmentation, augment, draw_mirror
from lineage.common.image import flip_horizontally
from lineage.common.sampling import seeded_generator


def marked(height=60, width=80):
    """A grey picture with a bright rectangle, and the rectangle's box."""
    image = torch.full((3, height, width), 0.2)
    image[:, 10:30, 40:70] = 0.9
    return image, torch.tensor([[40.0, 10, 70, 30]])


def bright(image):
    """The box around what is brighter than half way between the rectangle and its ground."""
    gray = image.mean(dim=0)
    rows, columns = torch.where(gray > (gray.min() + gray.max()) / 2)
    return [float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


EVERYTHING = Augmentation(colour=0.3, scale=1.6, vertical=True)


def changed(image, boxes, seed):
    generator = seeded_generator(seed)
    return augment(image, boxes, draw_mirror(True, generator), EVERYTHING, generator)


@given(st.integers(0, 2**32 - 1))
def test_the_boxes_stay_on_what_they_were_drawn_around(seed):
    image, boxes = changed(*marked(), seed)
    assert image.shape[0] == 3 and image.min() >= 0 and image.max() <= 1
    assert boxes[0].tolist() == pytest.approx(bright(image), abs=1.01)  # an edge between two pixels
    assert image.shape[1] / 60 == pytest.approx(image.shape[2] / 80, abs=0.02)
    assert 1 / 1.6 - 0.02 < image.shape[1] / 60 < 1.6 + 0.02


def test_every_change_happens_sometimes_and_not_always():
    image, boxes = marked()
    found = [changed(image, boxes, seed) for seed in range(60)]
    upside_down = [float(box[0, 1]) > 0.4 * i.shape[1] for i, box in found]
    mirrored = [float(box[0, 0]) < i.shape[2] / 4 for i, box in found]
    larger = [i.shape[1] > 60 for i, _ in found]
    brighter = [float(i.mean()) > float(image.mean()) for i, _ in found]
    for happened in (upside_down, mirrored, larger, brighter):
        assert 12 < sum(happened) < 48


def test_by_default_only_the_papers_flip_and_its_one_draw():
    image, boxes = marked()
    for seed in range(10):
        generator, again = seeded_generator(seed), seeded_generator(seed)
        found, moved = augment(image, boxes, draw_mirror(True, generator), Augmentation(), generator)
        mirrored = torch.rand((), generator=again) < 0.5
        expected, where = flip_horizontally(image, boxes) if mirrored else (image, boxes)
        assert torch.equal(found, expected) and torch.equal(moved, where)
        assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=again))
    generator, untouched = seeded_generator(0), seeded_generator(0)
    same, still = augment(image, boxes, draw_mirror(False, generator), Augmentation(), generator)
    assert same is image and still is boxes
    assert torch.equal(generator.get_state(), untouched.get_state())


def test_a_picture_without_boxes():
    image, boxes = changed(torch.rand(3, 20, 30), torch.zeros(0, 4), 0)
    assert boxes.shape == (0, 4) and image.shape[0] == 3


@pytest.mark.parametrize(("fields", "message"), [({"colour": 1.0}, "colour 1"), ({"scale": 0.5}, r"scale 0\.5")])
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**fields)
