"""Boxes painted into a picture's own pixels, and letters for any name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib import get_data_path

from lineage.viz import PALETTE, draw_boxes, lettering, paint_boxes, unwritable, writable

GREY = torch.full((3, 100, 200), 0.5)
PRIVATE = "\U0010fffd"  # a code point that no font has


def one(box, label: int = 1, image: torch.Tensor = GREY, classes=("cat", "dog")) -> np.ndarray:
    return paint_boxes(image, torch.tensor([box]), torch.tensor([label]), torch.tensor([0.5]), classes).astype(int)


def colour(label: int) -> list[int]:
    code = PALETTE[(label - 1) % len(PALETTE)]
    return [int(code[i : i + 2], 16) for i in (1, 3, 5)]


def test_the_box_is_where_its_pixels_are_in_its_class_colour():
    pixels = one([60.0, 40, 120, 80], label=2)
    assert pixels.shape == (100, 200, 3)
    for x, y in ((60, 60), (119, 60), (90, 79), (110, 40)):  # just inside: right and bottom are exclusive
        assert pixels[y, x].tolist() == colour(2), (x, y)
    for x, y in ((58, 60), (121, 60), (90, 82), (90, 60)):
        assert pixels[y, x].tolist() == [128, 128, 128], (x, y)


def test_lines_and_letters_grow_with_the_picture():
    small, large = (one([0.3 * w, 0.4 * w, 0.6 * w, 0.6 * w], image=torch.full((3, w, w), 0.5)) for w in (250, 2000))

    def width(pixels: np.ndarray) -> int:
        row = pixels[pixels.shape[0] // 2, : pixels.shape[1] // 2]
        return int((np.abs(row - colour(1)).max(axis=1) == 0).sum())

    def label_height(pixels: np.ndarray) -> int:
        column = pixels[: int(0.4 * len(pixels)) - 4, int(0.3 * len(pixels)) + 1]
        return int((np.abs(column - colour(1)).max(axis=1) == 0).sum())

    assert (width(small), width(large)) == (1, 8)
    assert label_height(small) < 20 and label_height(large) > 36


def test_the_ninth_class_has_the_firsts_colour_and_a_broken_line():
    classes = [f"c{i}" for i in range(9)]
    solid, dashed = (one([10.0, 30, 190, 90], label, classes=classes) for label in (1, 9))
    assert (solid[89, 10:190] == colour(1)).all()
    hits = (dashed[89, 10:190] == colour(1)).all(axis=1)
    assert 0.5 < hits.mean() < 0.8


def test_the_surest_is_on_top_and_nothing_is_drawn_where_nothing_is():
    boxes = torch.tensor([[60.0, 40, 120, 80], [60.0, 40, 120, 80]])
    pixels = paint_boxes(GREY, boxes, torch.tensor([1, 2]), torch.tensor([0.9, 0.2]), ["cat", "dog"])
    assert pixels[60, 60].tolist() == colour(1)
    nothing = paint_boxes(GREY, boxes[:0], torch.zeros(0, dtype=torch.int64), torch.zeros(0), [])
    assert (nothing == 128).all()


@pytest.mark.parametrize("box", [[0.0, 0, 1, 1], [190.0, 0, 200, 100], [199.5, 99.5, 200, 100], [50.0, 50, 50, 50]])
def test_boxes_at_the_edges_and_of_no_size_are_no_trouble(box):
    pixels = one(box, classes=("a name much longer than the picture is wide, which is cut",))
    assert (pixels == colour(1)).all(axis=2).sum() > 20
    assert one([0.0, 0, 1, 1], image=torch.zeros(3, 1, 1)).shape == (1, 1, 3)


def test_a_label_stays_in_the_picture():
    pixels = one([185.0, 40, 199, 80])
    assert (pixels[30, 200 - 45 : 200 - 20] == colour(1)).all(axis=1).any()


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="scores: expected 1 values"):
        paint_boxes(GREY, torch.zeros(1, 4), torch.tensor([1]), torch.zeros(2), ["cat"])
    with pytest.raises(ValueError, match=r"0\.\.1"):
        paint_boxes(GREY * 255, torch.zeros(1, 4), torch.tensor([1]), torch.zeros(1), ["cat"])


def test_a_name_without_a_font_becomes_its_number():
    assert unwritable(["cat", "größe", "кот", "naïve", PRIVATE, f"cat {PRIVATE}"]) == [PRIVATE, f"cat {PRIVATE}"]
    assert writable(PRIVATE, 7) == "class 7" and writable("two\nlines", 1) == "two lines"
    assert (one([60.0, 40, 120, 80], classes=(PRIVATE,)) == one([60.0, 40, 120, 80], classes=("class 1",))).all()


def test_another_font_of_the_machine_is_taken_where_the_first_lacks_a_letter(monkeypatch):
    folder = f"{get_data_path()}/fonts/ttf"
    own, first = (lettering._letters(file) for file in (f"{folder}/STIXNonUni.ttf", lettering.bundled_font()))
    letter = chr(min(own - first))
    lettering.font_file.cache_clear()
    monkeypatch.setattr(
        lettering, "_fonts_of_this_machine", lambda: (f"{folder}/cmtt10.ttf", f"{folder}/STIXNonUni.ttf")
    )
    monkeypatch.setattr(lettering, "OF_A_SCORE", "")
    assert lettering.font_file(letter) == f"{folder}/STIXNonUni.ttf"
    assert writable(letter, 1) == letter
    painted = one([60.0, 40, 120, 80], classes=(letter,))
    assert (painted != one([60.0, 40, 120, 80], classes=("class 1",))).any()
    figure = draw_boxes(GREY, torch.tensor([[60.0, 40, 120, 80]]), torch.tensor([1]), None, [letter])
    assert figure.axes[0].texts[0].get_fontproperties().get_file() == f"{folder}/STIXNonUni.ttf"
    lettering.font_file.cache_clear()


def test_the_font_of_last_resort_is_none():
    assert not any("LastResort" in file for file in lettering._fonts_of_this_machine())
