"""COCO's JSON, as COCO, CVAT, Roboflow and Label Studio export it; and one list of all that is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_folder import ground_truth, picture, write_json
from PIL import Image
from pycocotools.coco import COCO

from lineage.data.coco import open_coco, write_coco
from lineage.data.coco_json import read_numbers
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import Object, Records

BOX = (1.0, 2.0, 11.5, 22.0)


def read(path: Path, skip: bool = False) -> Records:
    source = open_coco(path, Mistakes(path, skip))
    assert source is not None and source.kind == "coco"
    return source.read()


@pytest.fixture
def alone(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a JSON beside the pictures a.png and b.png."""

    def write(document: Any, name: str = "labels.json") -> Path:
        for one in ("a.png", "b.png"):
            picture(tmp_path / "set" / one)
        return write_json(tmp_path / "set" / name, document)

    return write


def test_a_file_alone(alone: Callable[[Any], Path]) -> None:
    document = ground_truth(["b.png", "a.png"])
    document["annotations"][1].update(iscrowd=1, category_id=7)
    found = read(alone(document))
    assert found.classes == ("bolt", "nut"), "in the order of their ids"
    assert found.splits == {"trainval": ("b", "a")}, "in the file's order"
    assert found.pictures["b"].objects == (Object("bolt", BOX, False),)
    assert found.pictures["a"].objects == (Object("nut", BOX, True),)
    assert (found.pictures["a"].width, found.pictures["a"].height) == (40, 30)


@pytest.mark.parametrize(
    ("file", "pictures", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/instances_val.json", "images/val", "val"),
        ("annotations/instances_default.json", "images", "trainval"),  # CVAT
        ("annotations/instances_default.json", "images/default", "trainval"),
        ("annotations/instances_night.json", "JPEGImages", "night"),
        ("annotations/test.json", ".", "test"),
        ("valid/_annotations.coco.json", "valid", "val"),  # Roboflow
        ("result.json", "images", "trainval"),  # Label Studio
        ("labels_my-project.json", ".", "trainval"),  # makesense.ai
    ],
)
def test_layouts(tmp_path: Path, file: str, pictures: str, split: str) -> None:
    picture(tmp_path / pictures / "x" / "a.png")
    picture(tmp_path / pictures / "b.c.png")
    write_json(tmp_path / file, ground_truth(["x/a.png", "b.c.png"]))
    assert read(tmp_path).splits == {split: ("x/a", "b.c")} == read(tmp_path / file).splits


def test_several_files_are_splits_and_a_name_in_two_of_them_is_two_pictures(tmp_path: Path) -> None:
    for split in ("test", "train", "valid"):
        picture(tmp_path / split / "0001.png", size=(40, 30 + len(split)))
        document = ground_truth(["0001.png"])
        document["images"][0]["height"] = 30 + len(split)
        write_json(tmp_path / split / "_annotations.coco.json", document)
    found = read(tmp_path)
    assert found.splits == {"train": ("train/0001",), "val": ("valid/0001",), "test": ("test/0001",)}
    assert found.pictures["valid/0001"].height == 35


def test_one_picture_in_two_files_is_one(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    for number, split in enumerate(("train", "test")):
        write_json(tmp_path / "annotations" / f"instances_{split}.json", ground_truth(["a.png"], first=number))
    assert list(read(tmp_path).pictures) == ["a"]
    other = ground_truth(["a.png"])
    other["annotations"] = []
    write_json(tmp_path / "annotations" / "instances_test.json", other)
    with pytest.raises(FormatError, match="picture 'a' has other objects in another split's file"):
        read(tmp_path)


def test_the_folder_that_holds_all_pictures_is_the_one(tmp_path: Path) -> None:
    """images/train/ is a likely place for the pictures of train, and a folder in images/ as well."""
    for name in ("train/a.png", "b.png"):
        picture(tmp_path / "images" / name)
    write_json(tmp_path / "annotations" / "instances_train.json", ground_truth(["train/a.png", "b.png"]))
    assert read(tmp_path).splits == {"train": ("train/a", "b")}


def test_pictures_in_two_places_are_not_guessed(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    picture(tmp_path / "train" / "a.png", size=(41, 30))
    write_json(tmp_path / "annotations" / "instances_train.json", ground_truth(["a.png"]))
    with pytest.raises(FormatError, match=r"'a\.png' is in .*train and another one in .*images"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["/data/upload/1/a.png", r"C:\me\a.png", "../elsewhere/a.png", "images\\a.png"])
def test_another_machines_paths(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "images" / "a.png")
    found = read(write_json(tmp_path / "result.json", ground_truth([name])))
    assert set(found.splits["trainval"]) <= {"a", "images/a"} and len(found.pictures) == 1


def test_accents_apart_or_not(tmp_path: Path) -> None:
    picture(tmp_path / "u\u0308.png")
    found = read(write_json(tmp_path / "a.json", ground_truth(["\u00fc.png"])))
    assert len(found.pictures) == 1


def test_what_is_no_coco(tmp_path: Path) -> None:
    write_json(tmp_path / "package.json", {"name": "x"})
    write_json(tmp_path / "results.json", [])
    write_json(tmp_path / "broken.json", "{")
    assert open_coco(tmp_path, Mistakes(tmp_path)) is None
    assert open_coco(tmp_path / "gone", Mistakes(tmp_path)) is None
    picture(tmp_path / "a.png")
    assert open_coco(tmp_path / "a.png", Mistakes(tmp_path)) is None


def test_the_projects_name_is_no_class(alone: Callable[[Any], Path]) -> None:
    """Roboflow's category 0."""
    document = ground_truth(["a.png"])
    document["categories"] = [{"id": 0, "name": "parts", "supercategory": "none"},
                              {"id": 3, "name": "bolt", "supercategory": "parts"},
                              {"id": 4, "name": "nut", "supercategory": "parts"}]  # fmt: skip
    with pytest.warns(UserWarning, match=r"only name a group of others.*'parts'"):
        assert read(alone(document)).classes == ("bolt", "nut")
    document["annotations"].append({"image_id": 1, "category_id": 0, "bbox": [1, 1, 5, 5]})
    assert read(alone(document)).classes == ("parts", "bolt", "nut")


@pytest.mark.parametrize("polygons", [[[1, 2, 11.5, 2, 11.5, 22]], [[1, 2, 9, 2, 9, 9], [5, 5, 11.5, 22, 5, 22]]])
def test_a_missing_box_is_the_polygons_extent(alone: Callable[[Any], Path], polygons: list) -> None:
    document = ground_truth(["a.png"])
    document["annotations"][0]["segmentation"] = polygons
    del document["annotations"][0]["bbox"]
    with pytest.warns(UserWarning, match=r"without bbox.*: 1 \(labels\.json: annotations\[0\]"):
        assert read(alone(document)).pictures["a"].objects[0].box == BOX


def test_what_only_coco_says_is_counted(alone: Callable[[Any], Path]) -> None:
    document = ground_truth(["a.png", "b.png"])
    document["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5, 6]], keypoints=[], attributes={"occluded": True})
    assert read(alone(document)).unsaid == {"COCO's segmentation": 1, "COCO's attributes": 1}


def test_decimals_add_up(alone: Callable[[Any], Path]) -> None:
    document = ground_truth(["a.png"])
    document["annotations"][0]["bbox"] = [0.1, 0.7, 0.2, 0.1]
    assert read(alone(document)).pictures["a"].objects[0].box == (0.1, 0.7, 0.3, 0.8)


def test_a_box_that_reaches_outside_is_clipped(alone: Callable[[Any], Path], recwarn: pytest.WarningsRecorder) -> None:
    document = ground_truth(["a.png", "b.png"])
    document["annotations"][0]["bbox"] = [-0.4, 2, 41, 20]
    assert read(alone(document)).pictures["a"].objects[0].box == (0, 2, 40, 22)
    assert not recwarn, "by less than a pixel: without a word"
    document["annotations"][0]["bbox"] = [20, 2, 41, 20]
    with pytest.warns(
        UserWarning, match=r"reach outside their picture.*1 \(labels\.json: annotations\[0\] \(id 101\)\)"
    ):
        assert read(alone(document)).pictures["a"].objects[0].box == (20, 2, 40, 22)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('[{"image_id": 1}]', "is a list, as COCO results are; a ground truth has images, annotations, categories"),
        ('"x"', "is 'x', not an object"),
        ('{"images": [], "annotations": []}', "categories is None, not a list"),
        ('{"images": {}, "annotations": [], "categories": []}', r"images is \{\}, not a list"),
        ('{"images": [], "annotations": [], "categories": []}', "images: the list is empty"),
    ],
)
def test_what_is_no_ground_truth(alone: Callable[[Any], Path], text: str, message: str) -> None:
    with pytest.raises(FormatError, match=rf"labels\.json: {message}"):
        read(alone(text))


def changed(where: str, number: int, **fields: Any) -> dict[str, Any]:
    document = ground_truth(["a.png", "b.png"])
    if number < len(document[where]):
        document[where][number].update(fields)
    else:
        document[where].append(fields)
    return document


A = {"image_id": 1, "category_id": 3}
WRONG = [
    (changed("images", 1, id=1), "images[1]: id 1 is there twice, first at labels.json: images[0]"),
    (changed("images", 1, id=None), "images[1]: id is None, not a whole number"),
    (changed("images", 1, id=[2]), "images[1]: id is [2], not a whole number"),
    (changed("images", 1, file_name=3), "images[1] (id 2): file_name is 3, not the name of a picture"),
    (changed("images", 1, file_name="gone.png"), "images[1] (id 2): file_name 'gone.png': no such picture in "),
    (changed("images", 1, file_name="labels.json"), "file_name 'labels.json': no picture that is read here (.jpg, "),
    (changed("images", 1, file_name="a.png"), "images[1] (id 2): file_name 'a.png': the same picture as "),
    (changed("images", 1, file_name="../b.png"), "file_name '../b.png': no such picture in "),
    (changed("images", 1, file_name="x" * 5000), "no such picture in "),
    (changed("images", 1, width=80, height=60), "images[1] (id 2): width 80, height 60, but b.png is 40 x 30: was it"),
    (changed("images", 1, width=30, height=40), "images[1] (id 2): width 30, height 40, but b.png is shown as 40 x 30"),
    (changed("images", 1, width="40"), "images[1] (id 2): width '40', height 30, but b.png is 40 x 30"),
    (changed("categories", 1, name="nut"), "categories[1]: class 'nut' is there twice, first at [0]"),
    (changed("categories", 1, id=7), "categories[1]: id 7 is there twice"),
    (changed("categories", 1, name=" "), "categories[1]: class '' is empty"),
    (changed("categories", 1, name=5), "categories[1]: class 5 is not a text"),
    (changed("categories", 1, name="a\nb"), "categories[1]: class 'a\\nb' has a line break"),
    (changed("annotations", 1, id=101), "annotations[1] (id 101): its id is there twice, first at annotations[0]"),
    (changed("annotations", 1, id=1.5), "annotations[1]: id is 1.5, not a whole number"),
    (changed("annotations", 1, image_id=9), "annotations[1]: image_id is 9, which none of the images has"),
    (changed("annotations", 1, image_id=True), "annotations[1]: image_id is True, which none of the images has"),
    (changed("annotations", 1, category_id=1), "annotations[1]: category_id is 1, which none of the categories has"),
    (changed("annotations", 1, category_id="3"), "category_id is '3', which none of the categories has"),
    (changed("annotations", 1, iscrowd=2), "annotations[1]: iscrowd is 2, not 0 or 1"),
    (changed("annotations", 1, bbox=None), "annotations[1] (id 102): bbox is None, not four numbers"),
    (changed("annotations", 1, bbox=[1, 2, 3]), "bbox is [1, 2, 3], not four numbers: x, y, width, height"),
    (changed("annotations", 1, bbox=[1, 2, 3, "4"]), "bbox is [1, 2, 3, '4'], not four numbers"),
    (changed("annotations", 1, bbox=[1, 2, 3, True]), "bbox is [1, 2, 3, True], not four numbers"),
    (changed("annotations", 1, bbox=[1, 2, 3, float("nan")]), "bbox is [1, 2, 3, nan], not four numbers"),
    (changed("annotations", 1, bbox=[1, 2, 3, 1e999]), "bbox is [1, 2, 3, inf], not four numbers"),
    (changed("annotations", 1, bbox=[1, 2, 3, 10**400]), "not four numbers"),
    (changed("annotations", 1, bbox=[1, 2, 0, 5]), "annotations[1] (id 102): bbox [1, 2, 0, 5]: its width is 0"),
    (changed("annotations", 1, bbox=[1, 2, 5, -3.5]), "bbox [1, 2, 5, -3.5]: its height is -3.5"),
    (changed("annotations", 1, bbox=[50, 2, 5, 5]), "(x1 y1 x2 y2 = 50, 2, 55, 7) has nothing inside the picture, 40"),
    (changed("annotations", 1, bbox=[], segmentation={"counts": "x"}), "bbox is missing, and segmentation is no"),
    (changed("annotations", 1, bbox=[], segmentation=[[1, 2, 3]]), "bbox is missing, and segmentation is no polygon"),
    (changed("annotations", 2), "annotations[2]: image_id is None"),
    ({**ground_truth(["a.png"]), "annotations": ["dog"]}, "annotations[0]: is 'dog', not an object with image_id"),
    ({**ground_truth(["a.png"]), "images": ["dog"]}, "images[0]: is 'dog', not an object with an id"),
    ({**ground_truth(["a.png"]), "categories": [], "annotations": []}, "there is no category, so there are no classes"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_mistake_is_one_sentence(alone: Callable[[Any], Path], document: Any, message: str) -> None:
    with pytest.raises(FormatError, match=re.escape(message)) as error:
        read(alone(document))
    lines = str(error.value).splitlines()
    first = lines[1] if "mistakes:" in lines[0] else lines[0]  # what only follows from it comes after it
    assert message in first and ("labels.json" in first or "no category" in first)


def test_all_mistakes_are_counted_and_twenty_named(alone: Callable[[Any], Path]) -> None:
    document = ground_truth(["a.png", "b.png"])
    document["annotations"] += [{**A, "bbox": [1, 1, 0, number]} for number in range(1, 31)]
    document["images"].append({"id": 5, "file_name": "c.png"})
    with pytest.raises(FormatError, match=r"set.labels\.json: 31 mistakes, the first 20 of them:\n") as error:
        read(alone(document))
    lines = str(error.value).splitlines()
    assert (
        len(lines) == 22
        and "images[2] (id 5)" in lines[1]
        and "annotations[2]" in lines[2]
        and "--skip-bad" in lines[-1]
    )


def test_bad_ones_can_be_left_out(alone: Callable[[Any], Path]) -> None:
    document = ground_truth(["a.png", "b.png", "gone.png"])
    document["annotations"].append({**A, "bbox": [1, 1, 0, 5]})
    with pytest.warns(UserWarning, match=r"2 with mistakes are left out: .*gone\.png.*width is 0"):
        found = read(alone(document), skip=True)
    assert found.splits == {"trainval": ("a", "b")} and found.count() == 2
    document["categories"][0]["name"] = ""
    with pytest.raises(FormatError, match="is empty"):
        read(alone(document), skip=True)


def test_a_picture_that_is_none_is_named(alone: Callable[[Any], Path]) -> None:
    path = alone(ground_truth(["a.png", "b.png"]))
    path.with_name("b.png").write_bytes(b"")
    with pytest.raises(FormatError, match=r"images\[1\] \(id 2\): .*b\.png: cannot be read as a picture"):
        read(path)


def test_sizes_are_those_of_the_displayed_picture(alone: Callable[[Any], Path]) -> None:
    path = alone(ground_truth(["a.jpg"]))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(path.with_name("a.jpg"), exif=exif)
    with pytest.raises(FormatError, match=r"width 40, height 30, but a\.jpg is shown as 30 x 40: .*EXIF"):
        read(path)
    document = ground_truth(["a.jpg"])
    del document["images"][0]["width"], document["images"][0]["height"]
    found = read(write_json(path, document))
    assert (found.pictures["a"].width, found.pictures["a"].height) == (30, 40)


def test_numbers_of_a_ground_truth_need_no_pictures(tmp_path: Path) -> None:
    file = write_json(tmp_path / "gt.json", ground_truth(["x/a.png", "b.png"], first=10))
    assert read_numbers(file) == ({10: "x/a.png", 11: "b.png"}, {3: "bolt", 7: "nut"})
    write_json(file, changed("images", 1, id=1))
    with pytest.raises(FormatError, match="twice"):
        read_numbers(file)


def test_pycocotools_reads_what_is_written(alone: Callable[[Any], Path], tmp_path: Path) -> None:
    document = ground_truth(["b.png", "a.png"])
    document["annotations"][1]["iscrowd"] = 1
    out = tmp_path / "out"
    out.mkdir()
    assert write_coco(read(alone(document)), out) == []
    truth = COCO(str(out / "annotations" / "instances_trainval.json"))
    assert [truth.imgs[number]["file_name"] for number in truth.getImgIds()] == ["b.png", "a.png"]
    assert [category["name"] for category in truth.loadCats(truth.getCatIds())] == ["bolt", "nut"]
    boxes = {one["image_id"]: (one["bbox"], one["area"], one["iscrowd"]) for one in truth.anns.values()}
    assert boxes == {1: ([1, 2, 10.5, 20], 210, 0), 2: ([1, 2, 10.5, 20], 210, 1)}
    assert (out / "images" / "a.png").read_bytes() == (tmp_path / "set" / "a.png").read_bytes()
    assert json.loads((out / "annotations" / "instances_trainval.json").read_text())["images"][0]["width"] == 40
