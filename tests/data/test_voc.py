"""The loader: what VOC's layout means, and one clear message for what it does not allow."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from voc_folder import annotation

from lineage.common.boxes import box_iou
from lineage.data.findings import VOCFormatError
from lineage.data.layout import find_layout
from lineage.data.voc import VOC_CLASSES, VOCDataset, discover_classes, read_annotation

CLASSES = ("cat", "dog")
MakeVOC = Callable[..., Path]


def read(tmp_path: Path, text: str, size: tuple[int, int] | None = None) -> dict[str, torch.Tensor]:
    path = tmp_path / "000123.xml"
    path.write_text(text)
    return read_annotation(path, CLASSES, size)


def test_boxes_count_from_zero_and_exclude_their_end(tmp_path: Path) -> None:
    target = read(tmp_path, annotation([("dog", (1, 1, 40, 30)), ("cat", (5, 6, 5, 6))]))
    assert target["boxes"].tolist() == [[0, 0, 40, 30], [4, 5, 5, 6]] and target["boxes"].dtype == torch.float32
    assert target["labels"].tolist() == [2, 1] and target["labels"].dtype == torch.int64
    assert target["difficult"].tolist() == [False, False] and target["difficult"].dtype == torch.bool
    assert set(target) == {"boxes", "labels", "difficult"}


def inclusive_boxes() -> st.SearchStrategy[tuple[int, int, int, int]]:
    side = st.integers(1, 30)
    return st.tuples(side, side, side, side).map(
        lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
    )


@given(a=inclusive_boxes(), b=inclusive_boxes())
def test_plain_iou_is_the_devkits_plus_one_iou(tmp_path_factory: pytest.TempPathFactory, a: tuple, b: tuple) -> None:
    boxes = read(tmp_path_factory.getbasetemp(), annotation([("dog", a), ("dog", b)]))["boxes"]
    wide, high = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
    common = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    assert float(box_iou(boxes[:1], boxes[1:])) == pytest.approx(common / (sum(areas) - common), abs=1e-6)


@pytest.mark.parametrize(("text", "expected"), [("0", False), ("1", True), (" 1 ", True)])
def test_difficult(tmp_path: Path, text: str, expected: bool) -> None:
    target = read(tmp_path, annotation([("dog", (1, 1, 9, 9))], extra=f"<difficult>{text}</difficult>"))
    assert target["difficult"].tolist() == [expected]


def test_no_object_gives_empty_tensors(tmp_path: Path) -> None:
    target = read(tmp_path, annotation([]))
    assert target["boxes"].shape == (0, 4) and target["boxes"].dtype == torch.float32
    assert target["labels"].shape == (0,) and target["labels"].dtype == torch.int64
    assert target["difficult"].shape == (0,) and target["difficult"].dtype == torch.bool


def test_body_parts_are_not_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    target = read(tmp_path, annotation([("dog", (1, 1, 9, 9))], extra=part))
    assert target["boxes"].tolist() == [[0, 0, 9, 9]] and target["labels"].tolist() == [2]


WELL = annotation([("cat", (1, 1, 9, 9)), ("dog", (40, 5, 12, 9))])
BAD = {
    "inverted": (WELL, '000123.xml: object 2 ("dog"): xmax 12 < xmin 40'),
    "inverted in y": (WELL.replace("40", "4").replace("<ymax>9", "<ymax>2"), "object 2"),
    "outside": (WELL.replace(">12<", ">99<").replace(">40<", ">80<"), 'object 2 ("dog"): box'),
    "left of the picture": (WELL.replace(">12<", ">0<").replace(">40<", ">-9<"), "outside the picture"),
    "unknown class": (WELL.replace("dog", "dragon").replace(">40<", ">4<"), 'object 2 ("dragon"): unknown class'),
    "no name": (WELL.replace("<name>dog</name>", ""), "object 2"),
    "no xmax": (WELL.replace("<xmax>12</xmax>", ""), 'object 2 ("dog"): xmax is missing'),
    "no bndbox": (WELL.replace("bndbox", "polygon"), 'object 1 ("cat"): has a <polygon> and no <bndbox>'),
    "words": (WELL.replace(">12<", ">wide<"), "xmax is 'wide'"),
    "nothing": (WELL.replace(">12<", "><"), "xmax"),
    "not a number": (WELL.replace(">12<", ">nan<"), "xmax is 'nan'"),
    "infinite": (WELL.replace(">12<", ">inf<"), "xmax is 'inf'"),
    "difficult in words": (
        WELL.replace("<name>cat</name>", "<name>cat</name><difficult>maybe</difficult>"), "difficult is 'maybe'",
    ),
    "truncated": (WELL[: len(WELL) // 2], "not well-formed XML"),
    "empty": ("", "not well-formed XML"),
    "entity bomb": ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "XML"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_annotations_get_one_line_that_names_the_file(tmp_path: Path, kind: str) -> None:
    text, message = BAD[kind]
    with pytest.raises(VOCFormatError) as error:
        read(tmp_path, text, (30, 50))
    assert message in str(error.value) and "000123.xml" in str(error.value) and "\n" not in str(error.value)


def test_missing_annotation(tmp_path: Path) -> None:
    with pytest.raises(VOCFormatError, match=r"gone\.xml: no such annotation"):
        read_annotation(tmp_path / "gone.xml", CLASSES)


def test_box_partly_outside_is_clipped_with_one_warning_a_file(tmp_path: Path) -> None:
    text = annotation([("dog", (-5, 3, 99, 20)), ("cat", (2, 2, 9, 9)), ("cat", (30, 20, 60, 50))])
    with pytest.warns(UserWarning, match=r"000123\.xml.*clipped.*40 x 30") as caught:
        target = read(tmp_path, text)
    assert len(caught) == 1
    assert target["boxes"].tolist() == [[0, 2, 40, 20], [1, 1, 9, 9], [29, 19, 40, 30]]


def test_counting_from_zero_is_forgiven_in_silence(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target = read(tmp_path, annotation([("dog", (0, 0, 40, 30))]))
    assert target["boxes"].tolist() == [[0, 0, 40, 30]]


def test_dataset(make_voc: MakeVOC) -> None:
    root = make_voc({"b": [("dog", (1, 2, 30, 20))], "a": [], "c": [("cat", (5, 5, 9, 9)), ("dog", (1, 1, 4, 4))]})
    dataset = VOCDataset(root, "train", CLASSES)
    assert len(dataset) == 3 and list(dataset.ids) == ["b", "a", "c"] and dataset.classes == CLASSES
    assert dataset.split == "train" and dataset.root == root
    image, target = dataset[0]
    assert image.shape == (3, 30, 40) and image.dtype == torch.float32 and image.min() >= 0 and image.max() <= 1
    assert target["boxes"].tolist() == [[0, 1, 30, 20]] and target["labels"].tolist() == [2]
    assert dataset[1][1]["boxes"].shape == (0, 4)
    assert [len(t["labels"]) for _, t in (dataset[i] for i in range(3))] == [1, 0, 2]
    with pytest.raises(IndexError):
        dataset[3]


def test_targets_need_no_decoding(make_voc: MakeVOC, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = VOCDataset(make_voc({"a": [("dog", (1, 2, 30, 20))]}), "train", CLASSES)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded the picture"))
    assert dataset.target(0)["boxes"].tolist() == [[0, 1, 30, 20]]
    (dataset.root / "Annotations" / "a.xml").unlink()
    assert dataset.target(0)["labels"].tolist() == [2], "kept in memory"


@pytest.mark.parametrize("first", ["target", "picture"])
def test_a_target_is_the_same_however_it_is_asked_for(make_voc: MakeVOC, first: str) -> None:
    """Tools write wrong sizes into annotations. The picture's own size decides, whoever asks first."""
    root = make_voc({"a": []})
    (root / "Annotations" / "a.xml").write_text(annotation([("dog", (5, 5, 38, 28))], width=20, height=20))
    dataset = VOCDataset(root, "train", CLASSES)
    target = dataset.target(0) if first == "target" else dataset[0][1]
    assert target["boxes"].tolist() == [[4, 4, 38, 28]]


def test_annotations_refer_to_the_displayed_picture(make_voc: MakeVOC) -> None:
    root = make_voc({"a": []})
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 40 x 30, shown 30 x 40
    Image.new("RGB", (40, 30)).save(root / "JPEGImages" / "a.jpg", exif=exif)
    (root / "Annotations" / "a.xml").write_text(annotation([("dog", (2, 2, 20, 39))]))  # too high for 40 x 30
    for ask in (lambda d: d.target(0), lambda d: d[0][1]):
        assert ask(VOCDataset(root, "train", CLASSES))["boxes"].tolist() == [[1, 1, 20, 39]]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png"])
def test_suffixes(make_voc: MakeVOC, suffix: str) -> None:
    dataset = VOCDataset(make_voc({"a": [("dog", (1, 1, 9, 9))]}, suffix=suffix), "train", CLASSES)
    assert dataset.image_path(0).name == f"a{suffix}" and dataset[0][0].shape == (3, 30, 40)


def test_jpg_comes_first(make_voc: MakeVOC) -> None:
    root = make_voc({"a": []})
    Image.new("RGB", (4, 3)).save(root / "JPEGImages" / "a.png")
    assert VOCDataset(root, "train", CLASSES).image_path(0).name == "a.jpg"


def test_missing_picture(make_voc: MakeVOC) -> None:
    root = make_voc({"a": []})
    (root / "JPEGImages" / "a.jpg").unlink()
    with pytest.raises(VOCFormatError, match=r"a\.jpg: no such picture"):
        VOCDataset(root, "train", CLASSES)[0]


@pytest.mark.parametrize("content", ["", "\n", "  \n\n\t\n"])
def test_empty_split(make_voc: MakeVOC, content: str) -> None:
    root = make_voc({"a": []})
    (root / "ImageSets" / "Main" / "train.txt").write_text(content)
    with pytest.raises(VOCFormatError, match=r"train\.txt: the split names no picture"):
        VOCDataset(root, "train", CLASSES)


@pytest.mark.parametrize("content", ["\na\n\n\nb\n", "a  1\nb -1\n", "a\r\nb\r\n", "\ufeffa\nb\n"])
def test_forgiven_in_a_split(make_voc: MakeVOC, content: str) -> None:
    root = make_voc({"a": [], "b": []})
    (root / "ImageSets" / "Main" / "train.txt").write_bytes(content.encode())
    assert list(VOCDataset(root, "train", CLASSES).ids) == ["a", "b"]


def test_missing_split_lists_those_that_exist(make_voc: MakeVOC) -> None:
    with pytest.raises(VOCFormatError, match=r"val\.txt: no such split; there are: train"):
        VOCDataset(make_voc({"a": []}), "val", CLASSES)


def test_no_voc_layout(tmp_path: Path) -> None:
    with pytest.raises(VOCFormatError, match=r"nowhere"):
        VOCDataset(tmp_path / "nowhere", "train")
    with pytest.raises(VOCFormatError, match=r"ImageSets/Main"):
        VOCDataset(tmp_path, "train")


@pytest.mark.parametrize("above", ["VOCdevkit/VOC2007", "VOC2007", "VOC2012"])
def test_devkit_folders(make_voc: MakeVOC, tmp_path: Path, above: str) -> None:
    root = make_voc({"a": []}, folder=f"kit/{above}")
    assert VOCDataset(tmp_path / "kit", "train", CLASSES).root == root


def test_classes_are_discovered(make_voc: MakeVOC) -> None:
    own = make_voc({"a": [("wolf", (1, 1, 9, 9))], "b": [("dog", (1, 1, 9, 9)), ("wolf", (1, 1, 9, 9))]})
    assert discover_classes(find_layout(own)) == ("dog", "wolf")
    assert VOCDataset(own, "train").target(1)["labels"].tolist() == [1, 2]


def test_one_of_vocs_classes_is_one_class(make_voc: MakeVOC) -> None:
    dataset = VOCDataset(make_voc({"a": [("person", (1, 1, 9, 9))]}), "train")
    assert dataset.classes == ("person",) and dataset.target(0)["labels"].tolist() == [1]


def test_objects_of_other_classes_are_left_alone(make_voc: MakeVOC) -> None:
    root = make_voc({"a": [("dog", (1, 1, 9, 9)), ("wolf", (3, 3, 12, 12)), ("cat", (2, 2, 8, 8))]})
    target = VOCDataset(root, "train", ("cat", "dog")).target(0)
    assert target["labels"].tolist() == [2, 1] and target["boxes"].tolist() == [[0, 0, 9, 9], [1, 1, 8, 8]]


def test_one_picture_in_so_many(make_voc: MakeVOC) -> None:
    dataset = VOCDataset(make_voc({name: [(name, (1, 1, 9, 9))] for name in "abcde"}), "train")
    fewer = dataset.every(2)
    assert fewer.ids == ["a", "c", "e"] and len(dataset) == 5
    assert [int(fewer.target(row)["labels"]) for row in range(3)] == [1, 3, 5]  # and not of rows 0, 1, 2 before
    assert fewer.classes == dataset.classes and dataset.every(9).ids == ["a"]


def test_an_object_without_a_name_is_no_class(make_voc: MakeVOC) -> None:
    root = make_voc({"a": [("wolf", (1, 1, 9, 9))], "b": [("", (1, 1, 9, 9))]})
    with pytest.raises(VOCFormatError, match=r"b\.xml: object 1.*name is missing"):
        VOCDataset(root, "train").target(1)


def test_nothing_to_learn(make_voc: MakeVOC) -> None:
    with pytest.raises(VOCFormatError, match="no classes"):
        VOCDataset(make_voc({"a": []}), "train")


def test_twenty_classes() -> None:
    assert len(set(VOC_CLASSES)) == 20 and list(VOC_CLASSES) == sorted(VOC_CLASSES)


def test_every_blood_cell_picture_loads(bccd: Path) -> None:
    smallest = []
    for split, count in (("trainval", 292), ("test", 72)):
        dataset = VOCDataset(bccd, split)
        assert len(dataset) == count and dataset.classes == ("Platelets", "RBC", "WBC")
        for index in range(count):
            boxes = dataset.target(index)["boxes"]
            assert (boxes >= 0).all() and (boxes <= torch.tensor([640, 480, 640, 480])).all()
            smallest.append((boxes[:, 2:] - boxes[:, :2]).min())
        assert dataset[0][0].shape == (3, 480, 640)
    assert min(smallest) == 1, "its two one-pixel boxes (xmin = xmax) keep an area"
