"""A whole data set looked at: every fault once, whatever it is, before anybody trains."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner
from voc_folder import annotation

from lineage import check as command
from lineage.data import check as module
from lineage.data.check import check, open_splits, size_table
from lineage.data.repair import repair
from lineage.data.voc import VOCDataset

GOOD = [("dog", (3, 3, 30, 25)), ("cat", (5, 4, 28, 24))]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A sound data set of six different pictures, four to learn from, with some of its files changed."""

    def make(name: str = "data", **changed: str | bytes | None) -> Path:
        root = tmp_path / name
        for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (root / part).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for i in range(6):
            pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "JPEGImages" / f"p{i}.png")
            (root / "Annotations" / f"p{i}.xml").write_text(annotation(GOOD))
        splits = {"trainval": "0123", "train": "01", "val": "23", "test": "45"}
        for split, numbers in splits.items():
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"p{n}\n" for n in numbers))
        for file, content in changed.items():
            stem, _, suffix = file.rpartition("_")
            place = {"png": "JPEGImages", "xml": "Annotations", "txt": "ImageSets/Main"}[suffix]
            path = root / place / f"{stem}.{suffix}"
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return make


def report_of(root: Path, tmp_path: Path, classes=None, unannotated="error"):
    splits, learnt, tested = open_splits(str(root), tmp_path / "cache", classes, unannotated)
    return check(splits, learnt, tested, tmp_path / "cache" / "checks", stated=classes is not None)


def found(report) -> set[tuple[str, str, str]]:
    return {(finding.kind, finding.severity, finding.file) for finding in report.findings}


def test_a_sound_data_set(folder, tmp_path: Path) -> None:
    report = report_of(folder(), tmp_path)
    assert report.findings == [] and report.pictures == 6 and report.classes == ("cat", "dog")
    assert {split: dict(count) for split, count in report.objects.items()}["trainval"] == {"dog": 4, "cat": 4}
    count, *sizes = size_table(report)["dog"]
    assert count == 6 and sizes == pytest.approx([(28 * 23) ** 0.5] * 3)


SAME = annotation([("dog", (3, 3, 30, 25)), ("dog", (3, 3, 30, 25)), ("cat", (5, 4, 28, 24))])
CASES = {
    "missing picture": ({"p1_png": None}, ("no picture", "error", "trainval.txt")),
    "no picture at all": ({"p1_png": b"not a picture"}, ("unreadable picture", "error", "p1.png")),
    "empty picture": ({"p5_png": b""}, ("unreadable picture", "error", "p5.png")),
    "missing annotation": ({"p1_xml": None}, ("no annotation", "error", "p1.xml")),
    "bad annotation of the test": ({"p5_xml": "<annotation>"}, ("unreadable annotation", "error", "p5.xml")),
    "same box twice": ({"p1_xml": SAME}, ("same box twice", "warning", "p1.xml")),
    "outside": ({"p1_xml": annotation([("dog", (90, 3, 99, 9))])}, ("box outside", "error", "p1.xml")),
    "background": (
        {"p1_xml": annotation([*GOOD, ("__background__", (1, 1, 40, 30))])},
        ("background as a class", "warning", "p1.xml"),
    ),
    "spelling": (
        {"p1_xml": annotation([("Dog", (3, 3, 30, 25))]), "p4_xml": annotation([*GOOD, ("Dog", (3, 3, 30, 25))])},
        ("classes spelled alike", "warning", "Dog"),
    ),
    "in test alone": (
        {"p4_xml": annotation([("cow", (3, 3, 30, 25))])}, ("class not in training", "warning", "cow"),
    ),
    "in training alone": ({"p1_xml": annotation([("cow", (3, 3, 30, 25))])}, ("class not in test", "warning", "cow")),
    "leak": ({"test_txt": "p4\np0\n"}, ("in two splits", "warning", "p0")),
    "twice in a split": ({"trainval_txt": "p0\np1\np0\n"}, ("listed twice", "warning", "trainval.txt")),
    "annotation alone": ({"zz_xml": annotation([])}, ("annotation without picture", "warning", "zz.xml")),
    "small": ({"p1_xml": annotation([*GOOD, ("dog", (3, 3, 5, 5))])}, ("smaller than a cell", "warning", "p1.xml")),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_each_fault_is_found_once_and_nothing_else(folder, tmp_path: Path, kind: str) -> None:
    changes, expected = CASES[kind]
    report = report_of(folder(**changes), tmp_path)
    assert found(report) == {expected}
    assert [f.kind for f in report.findings].count(expected[0]) == len(report.findings)


def test_a_broken_annotation_that_no_split_names_does_not_matter(folder, tmp_path: Path) -> None:
    root = folder(zz_xml="<annotation>")
    (root / "JPEGImages" / "zz.png").write_bytes(b"nor this")
    assert report_of(root, tmp_path).findings == []


def test_the_same_picture_under_two_names(folder, tmp_path: Path) -> None:
    root = folder()
    (root / "JPEGImages" / "p4.png").write_bytes((root / "JPEGImages" / "p1.png").read_bytes())
    (finding,) = report_of(root, tmp_path).findings
    assert (
        finding.kind == "same picture twice" and finding.message == "p4 and p1: the same picture, in trainval and test"
    )


@pytest.mark.parametrize(
    ("objects", "why"), [([], "no picture has an object"), (GOOD, "every object is marked difficult")]
)
def test_nothing_to_learn(folder, tmp_path: Path, objects, why: str) -> None:
    hard = annotation(objects, extra="<difficult>1</difficult>")
    report = report_of(folder(**{f"p{i}_xml": hard for i in range(4)}), tmp_path)
    assert ("nothing to learn", "error", "trainval.txt") in found(report)
    assert f"trainval: nothing to learn: {why}" in [finding.message for finding in report.findings]


def test_classes_asked_for_by_name(folder, tmp_path: Path) -> None:
    report = report_of(folder(p4_xml=annotation([("cow", (3, 3, 30, 25))])), tmp_path, classes=("dog",))
    assert report.findings == [] and set(report.objects["test"]) == {"dog"}, "others are left alone"
    (finding,) = report_of(folder("other"), tmp_path, classes=("dog", "dgo")).findings
    assert (finding.kind, finding.severity) == (
        "class without objects",
        "warning",
    ) and "'dgo': no annotation has an object of it; others that they have: cat" in finding.message


def test_what_was_decoded_once_is_not_decoded_again(folder, tmp_path: Path, monkeypatch) -> None:
    root = folder(p3_png=b"no picture")
    seen = []
    honest = module.why_unreadable
    monkeypatch.setattr(module, "why_unreadable", lambda path: seen.append(path.name) or honest(path))
    first = report_of(root, tmp_path)
    assert sorted(seen) == [f"p{i}.png" for i in range(6)]
    seen.clear()
    assert found(report_of(root, tmp_path)) == found(first) and seen == ["p3.png"]
    Image.new("RGB", (40, 30)).save(root / "JPEGImages" / "p0.png")
    seen.clear()
    report_of(root, tmp_path)
    assert sorted(seen) == ["p0.png", "p3.png"]
    (tmp_path / "cache" / "checks" / "readable.json").write_text("{damaged")
    assert found(report_of(root, tmp_path)) == found(first)


def test_many_pictures_are_read_by_several_processes(folder, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "IN_PARALLEL_FROM", 2)
    monkeypatch.setattr(module, "CHUNK", 2)
    report = report_of(folder(p3_png=b"no picture"), tmp_path)
    assert found(report) == {("unreadable picture", "error", "p3.png")}


def test_accepting_makes_warnings_of_what_can_be_meant(folder, tmp_path: Path) -> None:
    report = report_of(folder(p1_xml=annotation(GOOD, width=80, height=60)), tmp_path)
    assert found(report) == {("size differs", "error", "p1.xml")}
    report.accept(["size differs"])
    assert found(report) == {("size differs", "warning", "p1.xml")}
    with pytest.raises(ValueError, match="--accept: 'no picture' is none of size differs"):
        report.accept(["no picture"])


# ---- the command ------------------------------------------------------------------------------------


def run(*arguments: str, tmp_path: Path):
    return CliRunner().invoke(command.app, [*arguments, "--cache", str(tmp_path / "cache")])


def test_json_is_one_object_and_the_exit_code_tells(folder, tmp_path: Path) -> None:
    sound = run(str(folder("sound")), "--json", tmp_path=tmp_path)
    assert sound.exit_code == 0 and json.loads(sound.stdout) == {"pictures": 6, "findings": []}
    bad = run(str(folder("bad", p1_xml="<annotation>", p2_xml=SAME)), "--json", tmp_path=tmp_path)
    assert bad.exit_code == 1
    document = json.loads(bad.stdout)
    assert document["pictures"] == 6
    assert [(f["kind"], f["severity"], f["file"]) for f in document["findings"]] == [
        ("unreadable annotation", "error", "p1.xml"), ("same box twice", "warning", "p2.xml"),
    ]  # fmt: skip
    assert all(set(f) == {"kind", "severity", "file", "message"} for f in document["findings"])


def test_a_folder_that_is_no_data_set_is_a_finding_in_json_and_a_message_else(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        result = run(str(tmp_path / name), "--json", tmp_path=tmp_path)
        assert result.exit_code == 1
        (finding,) = json.loads(result.stdout)["findings"]
        assert finding["severity"] == "error" and name in finding["message"]
        plain = run(str(tmp_path / name), tmp_path=tmp_path)
        assert plain.exit_code == 1 and name in plain.output.replace("\n", "") and "Traceback" not in plain.output


def test_the_table_counts_kinds_and_all_prints_each(folder, tmp_path: Path) -> None:
    root = folder(p1_xml=SAME, p2_xml=SAME, p4_xml="<annotation>")
    short = run(str(root), tmp_path=tmp_path)
    assert short.exit_code == 1
    assert "same box twice" in short.output and "p1.xml, p2.xml" in short.output
    assert "6 pictures: 1 errors, 2 warnings; --all prints every one" in short.output
    every = run(str(root), "--all", tmp_path=tmp_path)
    assert every.output.count("the same box as object 1") == 2


def test_doubtful_boxes_and_sizes_are_drawn(folder, tmp_path: Path) -> None:
    root = folder(p1_xml=SAME, p2_xml=annotation([("dog", (30, 3, 3, 25)), ("cat", (35, 4, 70, 24))]))
    run(str(root), "-o", str(tmp_path / "out"), tmp_path=tmp_path)
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert names == {"sizes.png", "doubtful/p1.png", "doubtful/p2.png"}


def test_a_split_on_request(folder, tmp_path: Path) -> None:
    root = folder(trainval_txt=None, train_txt=None, val_txt=None, test_txt=None)
    without = run(str(root), tmp_path=tmp_path)
    assert without.exit_code == 1 and "--make-split" in without.output
    made = run(str(root), "--make-split", "0.3", tmp_path=tmp_path)
    assert made.exit_code == 0 and "trainval 4, test 2" in made.output, made.output
    assert len(VOCDataset(root, "trainval")) == 4


def test_can_it_be_learnt(folder, tmp_path: Path) -> None:
    root = folder()
    for generation in ("faster_rcnn", "fast_rcnn"):
        result = run(str(root), "--detector", generation, tmp_path=tmp_path)
        assert result.exit_code == 0, result.output
        assert "IoU 0.5" in result.output and "foreground" in result.output


# ---- the repaired copy ------------------------------------------------------------------------------


def test_a_repaired_copy_is_sound_and_says_what_was_done(folder, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    root = folder(
        p0_xml=annotation([("dog", (30, 25, 3, 3)), ("cat", (5, 4, 28, 24))]),
        p1_xml=annotation([("dog", (0.05, 0.1, 0.75, 0.8))]),
        p2_xml=annotation([("dog", (5, 5, 60, 50))], width=80, height=60),
        p3_xml=SAME,
        p5_xml=annotation([*GOOD, ("dog", (60, 3, 70, 9))]),
    )
    Image.new("RGB", (40, 30)).save(root / "JPEGImages" / "p4.png", exif=exif)
    before = report_of(root, tmp_path)
    assert {kind for kind, _, _ in found(before)} == {
        "inverted box", "shares of the picture", "size differs", "same box twice", "annotated lying", "box outside",
    }  # fmt: skip
    changes = repair(root, tmp_path / "mended")
    after = report_of(tmp_path / "mended", tmp_path)
    assert after.findings == [] and after.pictures == 6
    trainval = VOCDataset(tmp_path / "mended", "trainval")
    assert trainval.target(0)["boxes"].tolist() == [[2, 2, 30, 25], [4, 3, 28, 24]]
    torch.testing.assert_close(trainval.target(1)["boxes"], torch.tensor([[2.0, 3.0, 30.0, 24.0]]))
    torch.testing.assert_close(trainval.target(2)["boxes"], torch.tensor([[2.0, 2.0, 30.0, 25.0]]))
    assert trainval.target(3)["boxes"].tolist() == [[2, 2, 30, 25], [4, 3, 28, 24]]
    turned = VOCDataset(tmp_path / "mended", "test").target(0)["boxes"]
    assert turned.tolist() == [[5, 2, 28, 30], [6, 4, 27, 28]], "rows 3 to 25 of 30 become columns 6 to 28"
    with open(tmp_path / "mended" / "repairs.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(changes) == 7
    assert rows[0]["file"] == "p0.xml" and rows[0]["found"] == "inverted box" and rows[0]["done"] == "corners exchanged"
    assert (rows[0]["xmin"], rows[0]["new xmin"], rows[0]["new xmax"]) == ("30", "3", "30")
    assert annotation(GOOD) == (tmp_path / "data" / "Annotations" / "p4.xml").read_text(), "the original is untouched"


def test_only_what_is_asked_for_is_repaired_and_nothing_is_overwritten(folder, tmp_path: Path) -> None:
    root = folder(p1_xml=SAME, p2_xml=annotation([("dog", (30, 25, 3, 3))]))
    out = tmp_path / "mended"
    result = run(str(root), "--repair", str(out), "--only", "inverted box", tmp_path=tmp_path)
    assert "1 boxes changed" in result.output
    assert found(report_of(out, tmp_path)) == {("same box twice", "warning", "p1.xml")}
    again = run(str(root), "--repair", str(out), tmp_path=tmp_path)
    assert again.exit_code == 1 and "is there already" in again.output.replace("\n", " ")
    wrong = run(str(root), "--repair", str(tmp_path / "x"), "--only", "no picture", tmp_path=tmp_path)
    assert wrong.exit_code == 1 and "--only: 'no picture' is none of" in wrong.output
    assert not (tmp_path / "x").exists()
