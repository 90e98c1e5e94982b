"""Numbers in COCO results mean what a ground truth says, and nothing without one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pytest

from lineage.evaluation.coco_ids import Numbering, Places, ResultFileError

IDS, CLASSES = ["cam1/p06", "p07.v2", "p08"], ("bolt", "nut")
TRUTH = Numbering(
    "gt.json",
    {12: "p07.v2.jpg", 5: "cam1/p06.png", 9: "data\\x\\p08.JPG", 7: "p99.jpg"},
    {0: "nut", 4: "bolt", 6: "cog"},
)


def places(numbering: Numbering | None = TRUTH) -> Places:
    return Places(IDS, CLASSES, numbering)


@pytest.mark.parametrize(
    ("entry", "index"),
    [({"image_id": 5}, 0), ({"image_id": 12}, 1), ({"image_id": 9}, 2), ({"image_id": "p08.jpg"}, 2),
     ({"image_id": 1, "file_name": "/there/p08.png"}, 2)],
)  # fmt: skip
def test_pictures_by_their_ground_truth(entry: Mapping[str, Any], index: int) -> None:
    assert places().picture(entry, "here") == index


@pytest.mark.parametrize(
    ("entry", "index"),
    [({"image_id": "cam1/p06"}, 0), ({"image_id": "p06"}, 0), ({"image_id": "p07.v2"}, 1),
     ({"image_id": "p07.v2.jpg"}, 1), ({"file_name": "images/p08.png", "image_id": 77}, 2)],
)  # fmt: skip
def test_pictures_by_their_names(entry: Mapping[str, Any], index: int) -> None:
    assert places(None).picture(entry, "here") == index


@pytest.mark.parametrize(
    ("entry", "numbering", "message"),
    [
        ({"image_id": 1}, None, "here: image_id is 1, a number of some ground truth: give the JSON .* --ground-truth"),
        ({"image_id": 1}, TRUTH, r"here: image_id is 1, which gt\.json does not have"),
        ({"image_id": 7}, TRUTH, r"here: image_id 7 is 'p99\.jpg', which is no picture of the split"),
        ({"image_id": "p9"}, None, "here: image_id is 'p9', which is no picture of the split"),
        ({"file_name": "p07.jpg"}, None, r"here: file_name is 'p07\.jpg', which is no picture of the split"),
        ({}, None, "here: image_id is None, not a whole number"),
        ({"image_id": 5.0}, TRUTH, r"here: image_id is 5\.0, not a whole number"),
        ({"image_id": True}, None, "here: image_id is True, not a whole number"),
        ({"image_id": [5]}, TRUTH, r"here: image_id is \[5\], not a whole number"),
    ],
)
def test_a_picture_that_cannot_be_placed(entry: Mapping[str, Any], numbering: Numbering | None, message: str) -> None:
    with pytest.raises(ResultFileError, match=message):
        places(numbering).picture(entry, "here")


@pytest.mark.parametrize(
    ("entry", "numbering", "label"),
    [({"category_id": 0}, TRUTH, 2), ({"category_id": 4}, TRUTH, 1), ({"category_id": "nut"}, None, 2),
     ({"category_id": "nut"}, TRUTH, 2), ({"category_id": 9, "category_name": "bolt"}, None, 1)],
)  # fmt: skip
def test_classes_by_their_ground_truth_or_name(
    entry: Mapping[str, Any], numbering: Numbering | None, label: int, recwarn: pytest.WarningsRecorder
) -> None:
    found = places(numbering)
    assert found.label(entry, "here") == label
    found.warn("r.json")
    assert not recwarn


@pytest.mark.parametrize(
    ("entry", "numbering", "message"),
    [
        ({"category_id": 6}, TRUTH, "here: category_id is 6, 'cog': none of bolt, nut"),
        ({"category_id": 1}, TRUTH, r"here: category_id is 1, which gt\.json does not have"),
        ({"category_id": 0}, None, "here: category_id is 0, a number of some ground truth"),
        ({"category_id": 3}, None, "here: category_id is 3, a number of some ground truth"),
        ({"category_id": "cog"}, None, "here: category_id is 'cog': none of bolt, nut"),
        ({"category_id": None}, TRUTH, "here: category_id is None, not a whole number"),
        ({"category_id": True}, None, "here: category_id is True, not a whole number"),
    ],
)
def test_a_class_that_cannot_be_placed(entry: Mapping[str, Any], numbering: Numbering | None, message: str) -> None:
    with pytest.raises(ResultFileError, match=message):
        places(numbering).label(entry, "here")


def test_labels_by_their_order_only_with_a_warning() -> None:
    found = places(None)
    assert [found.label({"category_id": number}, "here") for number in (1, 2)] == [1, 2]
    with pytest.warns(
        UserWarning, match=r"r\.json: category_id is read by the order of .*: 1 bolt, 2 nut; .*--ground-truth"
    ):
        found.warn("r.json")


def test_a_name_that_two_pictures_share_is_nobodys() -> None:
    found = Places(["a/1", "b/1", "c/2"], CLASSES, None)
    assert found.picture({"image_id": "b/1.jpg"}, "here") == 1
    with pytest.raises(ResultFileError, match="'1', which is no picture"):
        found.picture({"image_id": "1"}, "here")
    with pytest.raises(ResultFileError, match=r"'other/2\.jpg', which is no picture"):
        found.picture({"image_id": "other/2.jpg"}, "here")
    assert [found.picture({"image_id": name}, "here") for name in ("2.jpg", "images/c/2.jpg")] == [2, 2]


def test_a_ground_truth_of_other_pictures() -> None:
    with pytest.raises(ResultFileError, match=r"gt\.json: has 'x\.jpg', and none of the split's pictures: 'cam1/p06'"):
        places(Numbering("gt.json", {1: "x.jpg"}, {}))
    with pytest.raises(
        ResultFileError, match=r"gt\.json: 'a/p08\.jpg' and 'b/p08\.jpg' would both be the picture 'p08'"
    ):
        places(Numbering("gt.json", {1: "a/p08.jpg", 2: "b/p08.jpg"}, {}))


def test_a_ground_truth_that_lacks_pictures_is_said() -> None:
    with pytest.warns(UserWarning, match=r"gt\.json: lacks 2 of the split's 3 pictures \(cam1/p06, \.\.\.\)"):
        places(Numbering("gt.json", {1: "p07.v2.jpg"}, {}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        places()


def test_accents_apart_or_not() -> None:
    assert Places(["u\u0308"], CLASSES, None).picture({"image_id": "\u00fc.jpg"}, "here") == 0
