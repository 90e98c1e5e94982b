"""From every format to every other and back: nothing is lost that both can say."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lineage.data.convert import WRITERS, convert, find_source
from lineage.data.mistakes import Mistakes
from lineage.data.records import Object, Picture, Records
from lineage.data.voc_records import open_voc

KINDS = tuple(WRITERS)
LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp", "Co"))
NAMES = st.one_of(
    st.sampled_from(
        ["dog", "nut, hex", "w/o mask", "mask: ok?", "螺栓", "no", "1", "'quoted\"", "a #b", "{x: y}", "<a&b>"]
    ),
    st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(bool),
)
IDS = ("a", "b.v1", "cam1/a", "cam1/images/c", "日本/é", "images/d", "labels/e", "train/f", "UPPER")
SPLIT_CHOICES = ("trainval", "train", "val", "test", "hard_test", "夜")


def read(path: Path) -> Records:
    mistakes = Mistakes(path)
    return (find_source(path, mistakes) or open_voc(path, mistakes)).read()


def coordinate(most: int) -> st.SearchStrategy[float]:
    """Whole pixels, decimals as tools write them, and any float."""
    return st.one_of(
        st.integers(0, most).map(float),
        st.integers(0, most * 1000).map(lambda value: value / 1000),
        st.floats(0, most),
    )


@st.composite
def records(draw: st.DrawFn, folder: Path) -> Records:
    classes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    names = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=5, unique=True))
    pictures = {}
    for number, name in enumerate(names):
        width, height = draw(st.integers(1, 50)), draw(st.integers(1, 50))
        path = folder / f"{number}{draw(st.sampled_from(['.png', '.jpg', '.PNG']))}"
        Image.new("RGB", (width, height)).save(path, format="PNG")
        objects = []
        for _ in range(draw(st.integers(0, 3))):
            x1, x2 = sorted((draw(coordinate(width)), draw(coordinate(width))))
            y1, y2 = sorted((draw(coordinate(height)), draw(coordinate(height))))
            if x2 - x1 >= 1 and y2 - y1 >= 1:  # VOC has none narrower than a pixel
                objects.append(Object(draw(st.sampled_from(classes)), (x1, y1, x2, y2), draw(st.booleans())))
        pictures[name] = Picture(path, width, height, tuple(objects))
    # VOC's reader wants an object somewhere, or there is nothing to learn.
    first = pictures[names[0]]
    whole = Object(classes[0], (0.0, 0.0, float(first.width), float(first.height)))
    pictures[names[0]] = Picture(first.path, first.width, first.height, (*first.objects, whole))
    splits = {"train": tuple(names)}
    for split in draw(st.lists(st.sampled_from(SPLIT_CHOICES), max_size=3, unique=True)):
        splits[split] = tuple(draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))
    splits["train"] = tuple(names)
    return Records(tuple(classes), pictures, splits)


def same(found: Records, expected: Records, lossless: bool, difficult: bool) -> None:
    assert found.classes == expected.classes
    assert found.splits == {name: expected.splits[name] for name in found.splits} and len(found.splits) == len(
        expected.splits
    )
    assert set(found.pictures) == set(expected.pictures)
    for name, picture in expected.pictures.items():
        again = found.pictures[name]
        assert (again.width, again.height, again.path.suffix) == (picture.width, picture.height, picture.path.suffix)
        assert again.path.read_bytes() == picture.path.read_bytes()
        assert [one.name for one in again.objects] == [one.name for one in picture.objects]
        for one, other in zip(again.objects, picture.objects):
            assert one.difficult == (other.difficult and difficult)
            assert one.box == pytest.approx(other.box, abs=1e-9 if lossless else 1e-3)
            if lossless and all(value == round(value, 3) for value in other.box):
                assert one.box == other.box, "decimals come back to the bit"


@pytest.mark.parametrize(("first", "second"), itertools.permutations(KINDS, 2))
@settings(max_examples=15)
@given(data=st.data())
def test_all_six_ways_and_back(data: st.DataObject, first: str, second: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        original = data.draw(records(folder))
        for kind in (first, second):
            (folder / kind).mkdir()
        WRITERS[first](original, folder / first, False)
        convert(folder / first, folder / second / "there", second, link=True)
        convert(folder / second / "there", folder / "back", first)
        lossless = "yolo" not in (first, second)
        same(read(folder / second / "there"), original, lossless, lossless)
        same(read(folder / "back"), original, lossless, lossless)
