"""YOLO's text files, as Ultralytics, Roboflow, CVAT, labelImg and makesense.ai export them; and what can be wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from coco_folder import picture
from PIL import Image

from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import Object, Picture, Records
from lineage.data.yolo import open_yolo, write_yolo

LINE = "1 0.25 0.5 0.5 0.2\n"  # of 40 x 30 pixels
BOX = (0.0, 12.0, 20.0, 18.0)
YAML = "names: [nut, bolt]\n"


def read(path: Path, skip: bool = False) -> Records:
    source = open_yolo(path, Mistakes(path, skip))
    assert source is not None and source.kind == "yolo"
    return source.read()


def write(root: Path, files: dict[str, str]) -> Path:
    """Texts, and pictures where the name is a picture's."""
    for name, text in files.items():
        if name.endswith((".png", ".jpg")):
            picture(root / name)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return root


def flat(**files: str) -> dict[str, str]:
    """images/ + labels/ + data.yaml, a.png with a bolt and b.png without an object."""
    named = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    return {"data.yaml": YAML, "images/a.png": "", "images/b.png": "", "labels/a.txt": LINE, **named}


LAYOUTS = {
    "Ultralytics": (
        {"data.yaml": "path: ../datasets/mine\ntrain: images/train\nval: images/val\ntest:\nnames: {0: nut, 1: bolt}\n",
         "images/train/x/a.png": "", "labels/train/x/a.txt": LINE, "images/val/b.png": "", "labels/val/b.txt": LINE},
        {"train": ("x/a",), "val": ("b",)},
    ),
    "Roboflow": (
        {"data.yaml": "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\n"
         "names: ['nut', 'bolt']\n",
         "train/images/a.png": "", "train/labels/a.txt": LINE, "valid/images/b.png": "", "valid/labels/b.txt": LINE,
         "test/images/c.png": "", "test/labels/c.txt": LINE, "README.roboflow.txt": "5 images"},
        {"train": ("a",), "val": ("b",), "test": ("c",)},
    ),
    "a list of pictures": (
        {"data.yaml": f"train: train.txt\nval: [val.txt, more]\n{YAML}",
         "train.txt": "./images/b.png\n./images/a.png\n\n",
         "val.txt": "/content/mine/images/a.png\n", "images/a.png": "", "images/b.png": "", "labels/b.txt": LINE,
         "more/c.png": "", "more/c.txt": LINE},
        {"train": ("b", "a"), "val": ("a", "c")},
    ),
    "another machine's folder": (
        {"data.yaml": f"path: /content/mine\ntrain: /content/mine/images/train\n{YAML}",
         "images/train/a.png": "", "labels/train/a.txt": LINE},
        {"train": ("a",)},
    ),
    "CVAT's YOLO 1.1": (
        {"obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
         "obj.names": "nut\nbolt\n", "train.txt": "data/obj_train_data/a.png\ndata/obj_train_data/x/b.png\n",
         "obj_train_data/a.png": "", "obj_train_data/a.txt": LINE, "obj_train_data/x/b.png": "",
         "obj_train_data/x/b.txt": ""},
        {"train": ("a", "x/b")},
    ),
    "labelImg": ({"a.png": "", "a.txt": LINE, "b.png": "", "classes.txt": "nut\nbolt\n"}, {"trainval": ("a", "b")}),
    "labelImg, labels apart": (
        {"images/a.png": "", "labels/a.txt": LINE, "labels/classes.txt": "nut\nbolt\n"}, {"trainval": ("a",)},
    ),
    "darknet's VOC": (
        {"JPEGImages/a.png": "", "labels/a.txt": LINE, "train.txt": "JPEGImages/a.png", "classes.txt": "nut\nbolt"},
        {"train": ("a",)},
    ),
    "names only": ({"data.yaml": YAML, "images/a.png": "", "labels/a.txt": LINE}, {"trainval": ("a",)}),
    "folders that say their split": (
        {"data.yaml": YAML, "images/train/a.png": "", "labels/train/a.txt": LINE, "images/valid/b.png": "",
         "labels/valid/b.txt": LINE},
        {"train": ("a",), "val": ("b",)},
    ),
    "a split of one's own": (
        {"data.yaml": f"train: images\nnight: night.txt\n{YAML}", "night.txt": "images/a.png", "images/a.png": "",
         "labels/a.txt": LINE, "extra.txt": "hello"},
        {"train": ("a",), "night": ("a",)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts(tmp_path: Path, kind: str) -> None:
    files, splits = LAYOUTS[kind]
    found = read(write(tmp_path / "set", files))
    assert found.splits == splits and found.classes == ("nut", "bolt")
    for name, one in found.pictures.items():
        label = next((text for file, text in files.items() if Path(file).name == f"{Path(name).name}.txt"), "")
        assert one.objects == ((Object("bolt", BOX),) if label else ()), name


def test_data_yaml_may_be_named_itself(tmp_path: Path) -> None:
    root = write(tmp_path, flat())
    (root / "data.yaml").rename(root / "mine.yaml")
    assert read(root / "mine.yaml").splits == {"trainval": ("a", "b")}


@pytest.mark.parametrize("files", [{"a.png": ""}, {"a.txt": "hello"}, {"x.yaml": "names: [a]"}, {"data.yaml": "a: 1"}])
def test_what_is_no_yolo(tmp_path: Path, files: dict[str, str]) -> None:
    assert open_yolo(write(tmp_path, files), Mistakes(tmp_path)) is None
    assert open_yolo(tmp_path / "gone", Mistakes(tmp_path)) is None


def test_class_names_are_what_is_written(tmp_path: Path) -> None:
    """YAML makes False of no, and 8 of 010."""
    root = write(tmp_path, flat(data_dot_yaml="names: [no, 010, 1.50, 'w/o mask, old']"))
    assert read(root).classes == ("no", "010", "1.50", "w/o mask, old")


def test_a_name_in_two_splits_is_two_pictures(tmp_path: Path) -> None:
    files = {f"{split}/images/{name}.png": "" for split in ("train", "val") for name in ("1", "2")}
    labels = {f"{split}/labels/1.txt": LINE for split in ("train", "val")}
    found = read(write(tmp_path, {**files, **labels, "data.yaml": YAML}))
    assert found.splits == {"train": ("train/images/1", "train/images/2"), "val": ("val/images/1", "val/images/2")}


@pytest.mark.parametrize(
    ("line", "box", "warning"),
    [
        ("0 0.5 0.5 1 1", (0, 0, 40, 30), None),
        ("0.0 5e-1 .5 1.0 1", (0, 0, 40, 30), None),
        ("0 0.350000 0.5 0.7 1", (0, 0, 28, 30), None),  # 28.000000000000004 without rounding
        ("0 0.1 0.5 0.20005 1", (0, 0, 8.001, 30), None),
        ("0 0.1 0.5 0.4 1", (0, 0, 12, 30), "reach outside their picture"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.9", (4, 3, 20, 27), "polygons, or turned boxes: their extent is the box"),
        ("0 0.1 0.5 0.3 0.1 0.5 0.5 0.3 0.9", (4, 3, 20, 27), "polygons, or turned boxes"),
        ("\ufeff0 0.5 0.5 1 1", (0, 0, 40, 30), None),
    ],
)
def test_lines(tmp_path: Path, line: str, box: tuple, warning: str | None, recwarn: pytest.WarningsRecorder) -> None:
    found = read(write(tmp_path, flat(labels__a_dot_txt=f"\n  {line}\r\n\n" if line[0] != "\ufeff" else line)))
    (one,) = found.pictures["a"].objects
    assert one.box == pytest.approx(box, abs=1e-9) and one.name == "nut"
    assert [warning is None or warning in str(each.message) for each in recwarn] == [True] * (warning is not None)


def test_key_points_are_left_out(tmp_path: Path) -> None:
    root = write(
        tmp_path, flat(data_dot_yaml=f"kpt_shape: [2, 3]\n{YAML}", labels__a_dot_txt=LINE.strip() + " 0 0 2 1 1 2")
    )
    with pytest.warns(UserWarning, match="key points are left out: 1"):
        assert read(root).pictures["a"].objects == (Object("bolt", BOX),)


def test_utf_16(tmp_path: Path) -> None:
    root = write(tmp_path, flat())
    (root / "labels" / "a.txt").write_bytes(LINE.encode("utf-16"))
    assert read(root).count() == 1


A = "labels/a.txt: line 1: "
WRONG = [
    (flat(labels__a_dot_txt="2 0.5 0.5 1 1"), A + "class 2, but there are 2, counted from 0: nut, bolt"),
    (flat(labels__a_dot_txt="-1 0.5 0.5 1 1"), A + "class -1, but there are 2"),
    (flat(labels__a_dot_txt="0.5 0.5 0.5 1 1"), A + "class 0.5, but there are 2"),
    (flat(labels__a_dot_txt="bolt 0.5 0.5 1 1"), A + "'bolt' is not a number"),
    (flat(labels__a_dot_txt="0 0.5 0.5 1"), A + "4 numbers, not 5: class, x and y of the centre, width, height"),
    (flat(labels__a_dot_txt="0 0.5 0.5 1 1 0.9"), A + "6 numbers, not 5"),
    (flat(labels__a_dot_txt="0 0.5 0.5 1 1 0.9 0.1 0.1"), A + "8 numbers, not 5"),
    (flat(labels__a_dot_txt="0 0.5 nan 1 1"), A + "'nan' is not a number"),
    (flat(labels__a_dot_txt="0 1.5 0.5 1 1"), A + "1.5 is not in 0..1, a share of the picture's width or height"),
    (flat(labels__a_dot_txt="0 20 15 8 6"), A + "20 is not in 0..1, a share of the picture's width or height: pixels?"),
    (flat(labels__a_dot_txt="0 0.5 0.5 -1 1"), A + "-1 is not in 0..1"),
    (flat(labels__a_dot_txt="0 0.5 0.5 0 1"), A + "width 0, height 1: the box has no area"),
    (flat(labels__a_dot_txt="\xff\n"), "labels/a.txt: not text in UTF-8"),
    (flat(labels__c_dot_txt=LINE), "labels/c.txt: the label file of no picture"),
    (flat(data_dot_yaml="names: [nut, bolt]\nnc: 3"), "data.yaml: nc is '3', but there are 2 names"),
    (flat(data_dot_yaml="nc: 2"), "no file says the classes: write data.yaml with names"),
    (flat(data_dot_yaml="names: [nut, nut]"), "data.yaml: names[1]: class 'nut' is there twice, first at [0]"),
    (flat(data_dot_yaml="names: [nut, '']"), "data.yaml: names[1]: class '' is empty"),
    (flat(data_dot_yaml="names: [nut, [bolt]]"), "data.yaml: names[1]: class ['bolt'] is not a text"),
    (flat(data_dot_yaml="names: {1: nut, 2: bolt}"), "data.yaml: names: its numbers are 1, 2, not 0 to 1"),
    (flat(data_dot_yaml="names: {nut: 0, bolt: 1}"), "data.yaml: names: its numbers are nut, bolt, not 0 to 1"),
    (flat(data_dot_yaml="names: mine.txt"), "data.yaml: names is 'mine.txt': no such file, and no list of names"),
    (flat(data_dot_yaml="names: [nut"), "data.yaml: not well-formed YAML: "),
    (flat(data_dot_yaml="- nut"), "data.yaml: is ['nut'], not fields such as names, train and val"),
    (flat(data_dot_yaml=f"train: gone/images\n{YAML}"), "data.yaml: train 'gone/images': no such folder or list"),
    (flat(data_dot_yaml=f"kpt_shape: 17\n{YAML}"), "data.yaml: kpt_shape is '17', not [points, numbers a point]"),
    (flat(data_dot_yaml=f"train: train.txt\n{YAML}", train_dot_txt="images/a.png\nimages/z.png"),
     "train.txt: line 2: 'images/z.png' is no picture here"),
    (flat(images__a_dot_jpg=""), "images/a.png: has the name of "),
    ({"data.yaml": YAML, "images/x.heic": ""}, "no picture is found in it"),
    ({"data.yaml": YAML, "images/a.png": ""}, "no picture has a label file; for a.png looked for "),
    ({"images/a.png": "", "labels/a.txt": LINE}, "no file says the classes"),  # makesense.ai
]  # fmt: skip


@pytest.mark.parametrize(("files", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_mistake_is_one_sentence(tmp_path: Path, files: dict[str, str], message: str) -> None:
    root = write(tmp_path / "set", files)
    if "\xff\n" in files.values():
        (root / "labels" / "a.txt").write_bytes(b"\xff\n")
    with pytest.raises(FormatError, match=re.escape(message)) as error:
        read(root)
    line = str(error.value).split("\n(python -m lineage.convert")[0]
    assert "\n" not in line and (str(root) in line or line.startswith(("data.yaml: ", "train.txt: ")))


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, flat())
    (root / "images" / "b.png").write_bytes(b"")
    with pytest.raises(FormatError, match=r"b\.png: cannot be read as a picture"):
        read(root)


def test_all_mistakes_are_counted_and_bad_ones_can_be_left_out(tmp_path: Path) -> None:
    root = write(tmp_path, flat(labels__a_dot_txt="7 0.5 0.5 1 1\n" * 30 + LINE))
    with pytest.raises(FormatError, match="30 mistakes, the first 20 of them:") as error:
        read(root)
    assert len(str(error.value).splitlines()) == 22
    with pytest.warns(UserWarning, match="30 with mistakes are left out"):
        assert read(root, skip=True).pictures["a"].objects == (Object("bolt", BOX),)


def test_a_split_without_labels_is_said(tmp_path: Path) -> None:
    root = write(tmp_path, {**flat(data_dot_yaml=f"train: images\ntest: more\n{YAML}"), "more/c.png": ""})
    with pytest.warns(UserWarning, match=r"splits without any label file.*: 1 \(test\)"):
        assert read(root).splits == {"train": ("a", "b"), "test": ("c",)}


def test_a_split_that_is_not_there_is_said(tmp_path: Path) -> None:
    root = write(tmp_path, flat(data_dot_yaml=f"train: images\ntest: ../test/images\n{YAML}"))
    with pytest.warns(UserWarning, match=r"named, but not there: 1 \(.*data\.yaml: test '\.\./test/images'\)"):
        assert list(read(root).splits) == ["train"]


def test_labels_of_pictures_in_no_split_are_nobodys_mistake(tmp_path: Path) -> None:
    files = flat(data_dot_yaml=f"train: train.txt\n{YAML}", train_dot_txt="images/a.png", labels__b_dot_txt=LINE)
    assert list(read(write(tmp_path, files)).pictures) == ["a"]


def test_shares_are_of_the_displayed_picture(tmp_path: Path) -> None:
    root = write(tmp_path, flat(images__a_dot_png=""))
    (root / "images" / "a.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(root / "images" / "a.jpg", exif=exif)
    one = read(root).pictures["a"]
    assert (one.width, one.height) == (30, 40) and one.objects[0].box == (0, 16, 15, 24)


def test_what_is_written(tmp_path: Path) -> None:
    objects = (Object("no", (1.0, 2.0, 11.5, 22.0)), Object("a: b", (0.0, 0.0, 40.0, 30.0), difficult=True))
    pictures = {name: Picture(picture(tmp_path / "b.png"), 40, 30, objects) for name in ("b", "images/a")}
    pictures["b"] = Picture(pictures["b"].path, 40, 30, ())
    out = tmp_path / "out"
    out.mkdir()
    records = Records(("a: b", "no"), pictures, {"trainval": ("images/a", "b"), "val": ("b",)})
    assert write_yolo(records, out) == ["difficult: 1 objects are ordinary ones now"]
    facts = yaml.safe_load((out / "data.yaml").read_text())
    assert facts == {"train": "trainval.txt", "trainval": "trainval.txt", "val": "val.txt", "nc": 2,
                     "names": {0: "a: b", 1: "no"}}  # fmt: skip
    assert (out / "trainval.txt").read_text() == "./images/images/a.png\n./images/b.png\n"
    # Ultralytics exchanges the last /images/ of a path.
    lines = (out / "images" / "labels" / "a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["1", "0"]
    assert [float(word) for word in lines[0].split()[1:]] == pytest.approx(
        [6.25 / 40, 12 / 30, 10.5 / 40, 20 / 30], abs=1e-14
    )
    assert (out / "labels" / "b.txt").read_text() == ""


def test_a_split_called_as_a_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"split 'names': data\.yaml has another use"):
        write_yolo(Records(("a",), {}, {"names": ()}), tmp_path)
