"""From every format to every other and back: nothing is lost that both can say."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from coco_folder import ground_truth, picture, write_json
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lineage.common.locks import FOLDER
from lineage.data.catalogue import open_dataset
from lineage.data.convert import WRITERS, convert, ensure_voc, find_source
from lineage.data.findings import VOCFormatError
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import Object, Picture, Records, add_decimals, split_names, with_trainval
from lineage.data.voc import VOCDataset
from lineage.data.voc_records import open_voc

KINDS = tuple(WRITERS)
LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp", "Co"))
NAMES = st.one_of(
    st.sampled_from(
        ["dog", "nut, hex", "w/o mask", "mask: ok?", "螺栓", "no", "1", "'quoted\"", "a #b", "{x: y}", "<a&b>"]
    ),
    st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(bool),
)
IDS = (
    "a",
    "b.v1",
    "cam1/a",
    "cam1/images/c",
    "日本/é",
    "images/d",
    "labels/e",
    "train/f",
    "UPPER",
    "img (1)",
    "img",
    "a.png x",
)
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
        path = folder / f"{number}{draw(st.sampled_from(['.png', '.jpg', '.PNG', '.tif']))}"
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
    assert found.splits == expected.splits
    assert set(found.pictures) == set(expected.pictures)
    for name, one in expected.pictures.items():
        again = found.pictures[name]
        assert (again.width, again.height, again.path.suffix) == (one.width, one.height, one.path.suffix)
        assert again.path.read_bytes() == one.path.read_bytes()
        assert [thing.name for thing in again.objects] == [thing.name for thing in one.objects]
        for now, before in zip(again.objects, one.objects):
            assert now.difficult == (before.difficult and difficult)
            assert now.box == pytest.approx(before.box, abs=1e-9 if lossless else 1e-3)
            if lossless and all(value == round(value, 3) for value in before.box):
                assert now.box == before.box, "decimals come back to the bit"


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


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Splits train (a, b) and val (c); a.png has a nut and b.png a wolf, which is listed last; c.png has nothing."""
    root = tmp_path / "my set"
    for split, names in (("train", ["b.png", "a.png"]), ("val", ["c.png"])):
        document = ground_truth(names, first=1 if split == "train" else 3)
        document["categories"] = [{"id": 1, "name": "wolf"}, {"id": 2, "name": "nut"}, {"id": 3, "name": "ape"}]
        for one in document["annotations"]:
            one["category_id"] = one["image_id"]
        if split == "val":
            document["annotations"] = []
        write_json(root / "annotations" / f"instances_{split}.json", document)
    for name in "abc":
        picture(root / "images" / f"{name}.png")
    return root


def state(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_data_as_it_lies(coco: Path, tmp_path: Path) -> None:
    before, cache = state(coco), tmp_path / "cache"
    train = open_dataset(str(coco), "train", cache)
    assert train.ids == ["b", "a"] and train.classes == ("wolf", "nut", "ape"), "in the order of their ids, all of them"
    assert train.target(1)["labels"].tolist() == [2] and train.target(0)["boxes"].tolist() == [[1, 2, 11.5, 22]]
    assert train.image_path(0).is_symlink() and train.image_path(0).samefile(coco / "images" / "b.png")
    both = open_dataset(str(coco), "trainval", cache)
    assert both.ids == ["b", "a", "c"] and len(both.target(2)["labels"]) == 0
    assert open_dataset(str(coco), "val", cache, classes=("nut",)).classes == ("nut",)
    assert sorted(path.name for path in (cache / "converted").iterdir()) == [FOLDER, both.root.name]
    assert both.root.name.startswith("my set-")
    assert state(coco) == before
    with pytest.raises(FormatError, match=r"my set: has no split 'test'; it has train, trainval, val"):
        open_dataset(str(coco), "test", cache)


def test_a_file_and_yolo_as_they_lie(coco: Path, tmp_path: Path) -> None:
    file = coco / "annotations" / "instances_train.json"
    assert open_dataset(str(file), "trainval", tmp_path / "cache").ids == ["b", "a"]
    convert(coco, tmp_path / "yolo", "yolo")
    for place in (tmp_path / "yolo", tmp_path / "yolo" / "data.yaml"):
        dataset = open_dataset(str(place), "trainval", tmp_path / "cache")
        assert dataset.ids == ["b", "a", "c"] and dataset.classes == ("wolf", "nut", "ape")
        assert dataset.target(1)["boxes"].tolist() == [[1, 2, 11.5, 22]]


def test_a_conversion_is_kept_until_a_change(coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_voc(coco, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("lineage.data.convert.write_voc", lambda *_, **__: pytest.fail("written again"))
        patch.chdir(coco.parent)
        assert ensure_voc(coco, tmp_path) == first == ensure_voc(Path("my set"), tmp_path)
    os.utime(coco / "images" / "a.png", (1, 1))
    second = ensure_voc(coco, tmp_path)
    file = coco / "annotations" / "instances_train.json"
    file.write_text(file.read_text().replace("10.5", "12.5"))
    third = ensure_voc(coco, tmp_path)
    assert third is not None and len({first, second, third}) == 3
    assert VOCDataset(third, "train", ("wolf", "nut", "ape")).target(0)["boxes"].tolist() == [[1, 2, 13.5, 22]]
    elsewhere = shutil.copytree(coco, tmp_path / "my copy" / "my set")
    assert ensure_voc(elsewhere, tmp_path) not in (first, second, third), "its pictures lie elsewhere"


def test_interrupted_or_wrong_nothing_stays(coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr("lineage.data.voc_records._write_lines", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ensure_voc(coco, cache)
        with pytest.raises(KeyboardInterrupt):
            convert(coco, tmp_path / "out", "voc")
    (coco / "images" / "a.png").write_bytes(b"")
    for kind in KINDS:
        with pytest.raises(FormatError, match="cannot be read as a picture"):
            convert(coco, tmp_path / "out", kind)
    with pytest.raises(FormatError):
        ensure_voc(coco, cache)
    assert [path.name for path in (cache / "converted").iterdir()] == [FOLDER] and not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "my set"]


def test_what_is_there_is_not_written_over(coco: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    convert(coco, tmp_path / "out", "coco")
    before = state(tmp_path / "out")
    for target in (tmp_path / "out", tmp_path / "out" / "annotations" / "instances_val.json", coco):
        with pytest.raises(FileExistsError, match="is there already and not empty"):
            convert(coco, target, "yolo")
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_linked_where_that_can_be(
    coco: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(coco, tmp_path / "copied", kind)
    convert(coco, tmp_path / "linked", kind, link=True)
    monkeypatch.setattr("os.symlink", lambda *_: (_ for _ in ()).throw(OSError("no right to")))
    convert(coco, tmp_path / "not linked", kind, link=True)
    found = [sorted((tmp_path / name).rglob("a.png"))[0] for name in ("copied", "linked", "not linked")]
    assert [path.is_symlink() for path in found] == [False, True, False]
    assert {path.read_bytes() for path in found} == {(coco / "images" / "a.png").read_bytes()}


def test_no_such_source(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="gone: no such file or folder"):
        convert(tmp_path / "gone", tmp_path / "out", "voc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: not in VOC layout"):
        convert(tmp_path / "empty", tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()


def test_a_voc_folder_is_read_as_it_is_written(make_voc: Callable[..., Path]) -> None:
    root = make_voc({"b": [("wolf", (1.1, 2.123456789, 30, 20))], "a": [("ape", (20, 5, 47, 9))], "c": []})
    annotations = root / "Annotations"
    text = annotations.joinpath("b.xml").read_text()
    flags = "<truncated>1</truncated><difficult>1</difficult><part><name>head</name></part>"
    annotations.joinpath("b.xml").write_text(text.replace("<bndbox>", f"{flags}<bndbox>", 1))
    (annotations / "z.xml").write_text(text)
    (root / "ImageSets" / "Main" / "wolf_train.txt").write_text("b 1\na -1\nc -1\n")
    (root / "ImageSets" / "Main" / "hard_train.txt").write_text("a\n")
    (root / "ImageSets" / "Main" / "none.txt").write_text("\n")
    with pytest.warns(UserWarning, match="clipped"):
        found = read(root)
    assert found.splits == {"train": ("b", "a", "c"), "hard_train": ("a",)} and found.classes == ("ape", "wolf")
    assert found.pictures["b"].objects == (Object("wolf", (0.1, 1.123456789, 30.0, 20.0), True),)
    assert found.pictures["a"].objects == (Object("ape", (19.0, 4.0, 40.0, 9.0)),), "clipped, as the loader does"
    assert found.unsaid == {"VOC's truncated": 1, "VOC's part": 1, "annotations of pictures that no split names": 1}


def test_all_mistakes_of_a_voc_folder_at_once(make_voc: Callable[..., Path], tmp_path: Path) -> None:
    root = make_voc({"a": [("ape", (5, 5, 2, 9))], "b": [("ape", (1, 1, 9, 9))], "c": [("ape", (99, 5, 120, 9))]})
    with pytest.raises(FormatError, match=r"2 mistakes:\n  a\.xml.*xmax 2 < xmin 5\n  c\.xml.*outside the picture"):
        convert(root, tmp_path / "out", "coco")
    with pytest.warns(UserWarning, match="2 with mistakes are left out: a.xml"):
        convert(root, tmp_path / "out", "coco", skip_bad=True)
    assert read(tmp_path / "out").splits == {"train": ("b",)}


def test_boxes_narrower_than_a_pixel_are_widened_and_counted(coco: Path, tmp_path: Path) -> None:
    file = coco / "annotations" / "instances_train.json"
    document = json.loads(file.read_text())
    for one, box in zip(document["annotations"], ([39.9, 2, 0.1, 20], [0.125, 3, 1, 0.5])):
        one["bbox"] = box
    file.write_text(json.dumps(document))
    _, unsaid = convert(coco, tmp_path / "voc", "voc")
    assert unsaid == ["boxes narrower than a pixel, which are widened to one: 2"]
    boxes = [picture.objects[0].box for picture in read(tmp_path / "voc").pictures.values() if picture.objects]
    assert boxes == [(39, 2, 40, 22), (0.125, 2.75, 1.125, 3.75)]
    with pytest.warns(UserWarning, match="my set: boxes narrower than a pixel, which are widened to one: 2"):
        ensure_voc(coco, tmp_path)


def test_a_list_of_classes_says_their_order(coco: Path, tmp_path: Path) -> None:
    root = tmp_path / "voc"
    convert(coco, root, "voc")
    assert open_dataset(str(root), "train", tmp_path).classes == ("wolf", "nut", "ape")
    assert open_dataset(str(root), "train", tmp_path, classes=("ape", "nut", "wolf")).classes == ("ape", "nut", "wolf")
    (root / "ImageSets" / "classes.txt").write_text("wolf\nape\n")
    with pytest.raises(VOCFormatError, match=r"classes\.txt: lacks 'nut', which annotations have"):
        open_dataset(str(root), "train", tmp_path)


def test_what_is_voc_is_left_to_its_reader(make_voc: Callable[..., Path], coco: Path, tmp_path: Path) -> None:
    root = make_voc({"a": [("ape", (1, 1, 9, 9))]})
    shutil.copytree(coco / "annotations", root / "annotations")
    assert find_source(root, Mistakes(root)) is None, "ImageSets/Main says what it is"
    shutil.rmtree(root / "ImageSets")
    assert find_source(root, Mistakes(root)) is None, "so do its annotations"
    shutil.rmtree(root / "Annotations")
    (root / "annotations.xml").write_text("<annotations/>")
    found = find_source(root, Mistakes(root))
    assert found is not None and found.kind == "coco"


@pytest.mark.parametrize("name", ["a/../../b", "/etc/x", "a\nb", " a", "", "a//b"])
def test_a_pictures_name_cannot_lead_out_of_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="its name"):
        Records(("a",), {name: Picture(tmp_path / "x.png", 1, 1, ())}, {})


def test_small_things() -> None:
    assert add_decimals(0.1, 0.2) == 0.3 and add_decimals(1, -0.9) == 0.1
    assert split_names(["train2017", "valid", "night"]) == ["train", "val", "night"]
    assert split_names(["val1", "val2"]) == ["val1", "val2"]
    splits = {"train": ("a", "b"), "val": ("b", "c")}
    assert with_trainval(Records((), {}, splits)).splits == {"trainval": ("a", "b", "c"), **splits}
    assert with_trainval(Records((), {}, {"val": ("a",)})).splits == {"val": ("a",)}


def test_boxes_of_a_picture_of_another_size_are_not_taken_for_right(
    make_voc: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_voc({"a": [("ape", (1, 1, 9, 9))], "b": [("ape", (1, 1, 9, 9))]})
    file = root / "Annotations" / "b.xml"
    file.write_text(file.read_text().replace(">40<", ">80<").replace(">30<", ">60<"))
    with pytest.raises(FormatError, match=r"b\.xml: size says 80 x 60, the picture is 40 x 30"):
        convert(root, tmp_path / "out", "coco")
    with pytest.warns(UserWarning, match="size says 80 x 60"):
        convert(root, tmp_path / "out", "coco", accept=("size differs",))
    assert read(tmp_path / "out").pictures["b"].objects == (Object("ape", (0.0, 0.0, 9.0, 9.0)),)


def test_a_voc_folder_without_a_list_is_one_split(make_voc: Callable[..., Path], tmp_path: Path) -> None:
    root = make_voc({"b": [("ape", (1, 1, 9, 9))], "a": [("ape", (2, 2, 9, 9))], "c": []})
    shutil.rmtree(root / "ImageSets")
    (root / "Annotations" / "c.xml").unlink()
    with pytest.raises(FormatError, match=r"c\.xml: no such annotation"):
        convert(root, tmp_path / "out", "coco")
    convert(root, tmp_path / "out", "coco", unannotated="negative")
    assert read(tmp_path / "out").splits == {"trainval": ("a", "b", "c")}
    convert(root, tmp_path / "annotated", "coco", unannotated="skip")
    assert read(tmp_path / "annotated").splits == {"trainval": ("a", "b")}
