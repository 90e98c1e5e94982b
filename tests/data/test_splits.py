"""Split files as people write them: every line is the picture that was meant, or none."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from voc_folder import annotation

from lineage.data.findings import VOCFormatError
from lineage.data.layout import find_layout
from lineage.data.splits import make_split, missing_splits, read_split, split_names
from lineage.data.voc import VOCDataset

MakeVOC = Callable[..., Path]


def write(root: Path, split: str, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (root / "ImageSets" / "Main" / f"{split}.txt").write_bytes(data)


@pytest.mark.parametrize(
    "line",
    ["a", "a.jpg", "a.JPG", "a.xml", "JPEGImages/a.jpg", "./data/JPEGImages/a.jpg", "C:\\data\\a.jpg", "a -1", "a  1",
     "a 0", "a.jpg 1", "  a  "],
)  # fmt: skip
def test_every_way_to_name_a_picture(make_voc: MakeVOC, line: str) -> None:
    root = make_voc({"a": [], "b": []})
    write(root, "train", f"{line}\nb\n")
    assert read_split(find_layout(root), "train")[0] == ["a", "b"]


def test_a_name_with_spaces_is_not_the_name_before_the_space(make_voc: MakeVOC) -> None:
    names = ["img", "img (1)", "img (2)", "img 1", "img 0.5"]
    root = make_voc(dict.fromkeys(names, ()))
    write(root, "train", "img (1)\nimg (2)\nimg 1\nimg 0.5\n")
    assert read_split(find_layout(root), "train")[0] == ["img (1)", "img (2)", "img 1", "img 0.5"]
    write(root, "train", "img (2) -1\nimg 0\n")  # columns of a class
    assert read_split(find_layout(root), "train")[0] == ["img (2)", "img"]


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_text_as_windows_writes_it(make_voc: MakeVOC, codec: str) -> None:
    marks = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    root = make_voc({"ä": [], "b": []})
    write(root, "train", marks.get(codec, b"") + "ä\r\nb\r\n".encode(codec))
    assert read_split(find_layout(root), "train")[0] == ["ä", "b"]


def test_a_file_that_is_no_text_is_named(make_voc: MakeVOC) -> None:
    root = make_voc({"a": []})
    write(root, "train", b"a\xff\xfe\n")
    with pytest.raises(VOCFormatError, match=r"train\.txt: not text in UTF-8 or UTF-16"):
        read_split(find_layout(root), "train")


@pytest.mark.parametrize(("on_disk", "written"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_letters_of_two_parts(tmp_path: Path, make_voc: MakeVOC, on_disk: str, written: str) -> None:
    root = make_voc({unicodedata.normalize(on_disk, "Größe"): [("dog", (1, 1, 9, 9))]})
    write(root, "train", unicodedata.normalize(written, "Größe"))
    dataset = VOCDataset(root, "train")
    assert dataset.image_path(0).is_file() and dataset.target(0)["boxes"].tolist() == [[0, 0, 9, 9]]


def test_pictures_in_subfolders(make_voc: MakeVOC) -> None:
    root = make_voc({"x": []})
    for camera in ("cam1", "cam2"):
        for part, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
            (root / part / camera).mkdir()
            path = root / part / camera / f"p{suffix}"
            if suffix == ".jpg":
                Image.new("RGB", (40, 30)).save(path)
            else:
                path.write_text(annotation([(camera, (1, 1, 9, 9))]))
    write(root, "train", "cam1/p\ncam2/p.jpg\nx\n")
    dataset = VOCDataset(root, "train")
    assert dataset.ids == ["cam1/p", "cam2/p", "x"]
    assert [dataset.target(i)["labels"].tolist() for i in (0, 1)] == [[1], [2]]
    write(root, "train", "p\n")  # of two cameras: it cannot be told which
    with pytest.raises(VOCFormatError, match=r"p\.jpg: no such picture"):
        VOCDataset(root, "train", ("cam1",)).image_path(0)


def test_a_picture_named_twice_counts_once_and_is_said(make_voc: MakeVOC) -> None:
    root = make_voc({"a": [], "b": []})
    write(root, "train", "a\nb\na.jpg\n")
    ids, findings = read_split(find_layout(root), "train")
    assert ids == ["a", "b"]
    assert [(f.kind, f.severity) for f in findings] == [("listed twice", "warning")]
    assert findings[0].message == "train.txt: names 'a' 2 times"


def test_trainval_is_made_of_train_and_val(make_voc: MakeVOC) -> None:
    root = make_voc({"a": [], "b": [], "c": []})
    write(root, "train", "b\na\n")
    ids, findings = read_split(find_layout(root), "trainval")
    assert ids == ["b", "a"] and findings[0].message == "there is no trainval.txt: train it is"
    write(root, "val", "c\nb\n")
    ids, findings = read_split(find_layout(root), "trainval")
    assert ids == ["b", "a", "c"] and findings[0].message == "there is no trainval.txt: train and val it is"


def test_the_case_of_a_splits_name_does_not_matter(make_voc: MakeVOC) -> None:
    root = make_voc({"a": []})
    (root / "ImageSets" / "Main" / "train.txt").rename(root / "ImageSets" / "Main" / "Train.txt")
    assert read_split(find_layout(root), "train")[0] == ["a"]


def test_a_split_that_is_not_there_says_what_to_do(make_voc: MakeVOC) -> None:
    layout = find_layout(make_voc({"a": []}))
    write(layout.root, "val", "a\n")
    with pytest.raises(VOCFormatError, match=r"there are: train, val; `--validate` trains on train"):
        read_split(layout, "test")
    assert [finding.kind for finding in missing_splits(layout)] == ["no test"]


@pytest.mark.parametrize(
    ("pictures", "annotations"), [("images", "annotations"), ("JPEGImages", "Annotations"), ("Images", "xml"), ("", "")]
)
def test_folders_by_other_names(tmp_path: Path, pictures: str, annotations: str) -> None:
    for name in ("a", "b"):
        (tmp_path / pictures).mkdir(exist_ok=True)
        (tmp_path / annotations).mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / pictures / f"{name}.jpg")
        (tmp_path / annotations / f"{name}.xml").write_text(annotation([("dog", (1, 1, 9, 9))]))
    layout = find_layout(tmp_path)
    assert sorted(layout.pictures.files) == sorted(layout.annotations.files) == ["a", "b"]
    (finding,) = missing_splits(layout)
    assert finding.severity == "error" and "--make-split" in finding.message
    with pytest.raises(VOCFormatError, match="--make-split"):
        VOCDataset(tmp_path, "trainval")


def test_a_made_split_is_seeded_and_written_down(tmp_path: Path) -> None:
    written = {}
    for folder, seed in (("one", 0), ("two", 0), ("three", 1)):
        (tmp_path / folder).mkdir()
        for i in range(20):
            Image.new("RGB", (4, 3)).save(tmp_path / folder / f"p{i:02}.png")
        layout = find_layout(tmp_path / folder)
        written[folder] = make_split(layout, 0.25, seed)
        assert {split: read_split(layout, split)[0] for split in split_names(layout)} == written[folder]
    assert written["one"] == written["two"] != written["three"]
    splits = written["one"]
    assert {name: len(ids) for name, ids in splits.items()} == {"trainval": 15, "test": 5, "train": 11, "val": 4}
    assert sorted(splits["trainval"] + splits["test"]) == [f"p{i:02}" for i in range(20)]
    assert sorted(splits["train"] + splits["val"]) == splits["trainval"]
    with pytest.raises(VOCFormatError, match="there are splits already: test, train"):
        make_split(layout, 0.25)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_is_none(make_voc: MakeVOC, share: float) -> None:
    with pytest.raises(ValueError, match="no share between 0 and 1"):
        make_split(find_layout(make_voc({"a": []})), share)


@pytest.mark.parametrize("suffix", [".JPG", ".bmp", ".tif", ".webp", ".PNG", ".gif"])
def test_pictures_of_any_suffix(make_voc: MakeVOC, suffix: str) -> None:
    dataset = VOCDataset(make_voc({"a": [("dog", (1, 1, 9, 9))]}, suffix=suffix), "train")
    assert dataset.image_path(0).name == f"a{suffix}" and dataset[0][0].shape == (3, 30, 40)


def test_annotations_of_any_suffix(make_voc: MakeVOC) -> None:
    root = make_voc({"a": [("dog", (1, 1, 9, 9))]})
    (root / "Annotations" / "a.xml").rename(root / "Annotations" / "a.XML")
    assert VOCDataset(root, "train").target(0)["labels"].tolist() == [1]


@pytest.mark.parametrize(("policy", "left"), [("negative", ["a", "b"]), ("skip", ["a"])])
def test_pictures_without_annotation(make_voc: MakeVOC, policy: str, left: list[str]) -> None:
    root = make_voc({"a": [("dog", (1, 1, 9, 9))], "b": []})
    (root / "Annotations" / "b.xml").unlink()
    dataset = VOCDataset(root, "train", unannotated=policy)
    assert dataset.ids == left and [len(dataset.target(i)["labels"]) for i in range(len(left))] == [1, 0][: len(left)]
    with pytest.raises(VOCFormatError, match=r"b\.xml: no such annotation; .*--unannotated negative"):
        VOCDataset(root, "train").target(1)


@pytest.mark.parametrize("inner", [("", ""), ("images", "annotations")])
def test_splits_by_folder(tmp_path: Path, inner: tuple[str, str]) -> None:
    """As Roboflow exports Pascal VOC: a folder a split, with pictures and annotations side by side."""
    for split, names in {"train": "ab", "valid": "c", "test": "a"}.items():
        for folder in inner:
            (tmp_path / split / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            Image.new("RGB", (40, 30)).save(tmp_path / split / inner[0] / f"{name}.jpg")
            (tmp_path / split / inner[1] / f"{name}.xml").write_text(annotation([(split, (1, 1, 9, 9))]))
    layout = find_layout(tmp_path)
    assert split_names(layout) == ["test", "train", "val"] and missing_splits(layout) == []
    assert read_split(layout, "val")[0] == ["valid/c"]
    dataset = VOCDataset(tmp_path, "trainval")
    assert dataset.ids == ["train/a", "train/b", "valid/c"] and dataset.classes == ("test", "train", "valid")
    assert [dataset.target(i)["labels"].tolist() for i in range(3)] == [[2], [2], [3]]
    assert VOCDataset(tmp_path, "test").target(0)["labels"].tolist() == [1]
