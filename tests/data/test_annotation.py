"""What people's tools write for annotations: read, or said in one sentence; nothing wrong in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from voc_folder import annotation

from lineage.data.annotation import parse_annotation, place
from lineage.data.repair import turn

DOG = annotation([("dog", (1, 1, 9, 9))])


def parse(tmp_path: Path, text: str | bytes):
    path = tmp_path / "a.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return parse_annotation(path)


def kinds(found) -> list[str]:
    return [finding.kind for finding in found.findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Unspecified", False), ("true", True), ("False", False), ("yes", True), ("", False), (" 1 ", True)],
)
def test_difficult_in_words(tmp_path: Path, text: str, expected: bool) -> None:
    found = parse(tmp_path, annotation([("dog", (1, 1, 9, 9))], extra=f"<difficult>{text}</difficult>"))
    assert [one.difficult for one in found.objects] == [expected] and not found.findings


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("utf8", "utf-8"), ("gb2312", "gb2312"), ("GBK", "gbk"), ("utf-16", "utf-16"), ("latin-1", "latin-1"),
     ("windows-1252", "cp1252")],
)  # fmt: skip
def test_encodings_by_any_name(tmp_path: Path, declared: str, codec: str) -> None:
    name = "Größe" if codec in ("latin-1", "cp1252") else "螺栓"
    text = f"<?xml version='1.0' encoding='{declared}'?>\n" + annotation([(name, (1, 1, 9, 9))])
    assert [one.name for one in parse(tmp_path, text.encode(codec)).objects] == [name]


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>", b"\n\n"])
def test_marks_and_blank_lines_before_it_are_forgiven(tmp_path: Path, before: bytes) -> None:
    found = parse(tmp_path, before + DOG.encode())
    assert [one.name for one in found.objects] == ["dog"] and not found.findings


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("<annotations><image><box label='dog'/></image></annotations>", "not VOC's XML", "again as PASCAL VOC"),
        (DOG.replace("<annotation>", "<annotation xmlns='http://x.y'>"), "not VOC's XML", "namespace (http://x.y)"),
        (DOG.replace("annotation", "Annotation"), "not VOC's XML", "small letters"),
        (DOG.replace("object", "Object"), "not VOC's XML", "<Object>"),
        ("<html><body/></html>", "not VOC's XML", "its root is <html>"),
        ("<?xml version='1.0'?>\n-" + DOG, "unreadable annotation", "copied from a browser"),
        ("", "unreadable annotation", "empty"),
        (DOG[:-20], "unreadable annotation", "not well-formed"),
        (DOG.encode().replace(b"dog", b"\xff\xfe\xfd"), "unreadable annotation", "a.xml"),
        (DOG.replace("bndbox", "polygon"), "no box", "has a <polygon> and no <bndbox>"),
        (DOG.replace("bndbox", "robndbox"), "no box", "has a <robndbox>"),
        (annotation([("dog", (0.1, 0.2, 0.5, 0.9))]), "shares of the picture", "not in pixels"),
        (annotation([("dog", (9, 1, 1, 9))]), "inverted box", "xmax 1 < xmin 9"),
        (DOG.replace("dog", " "), "bad value", "name is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error_of_its_kind(
    tmp_path: Path, text: str | bytes, kind: str, message: str
) -> None:
    found = parse(tmp_path, text)
    assert kinds(found) == [kind] and found.objects == []
    (finding,) = found.findings
    assert finding.severity == "error" and finding.file == "a.xml"
    assert finding.message.startswith("a.xml") and message in finding.message and "\n" not in finding.message


def test_one_bad_object_does_not_hide_the_next(tmp_path: Path) -> None:
    items = [("dog", (9, 1, 1, 9)), ("cat", (1, 1, 9, 9)), ("dog", (1, 9, 9, 1))]
    found = parse(tmp_path, annotation(items))
    assert kinds(found) == ["inverted box"] * 2 and [one.number for one in found.objects] == [2]
    assert found.names == {"dog", "cat"}
    assert [box for _, box in found.doubtful] == [(0, 0, 9, 9), (0, 0, 9, 9)]


@pytest.mark.parametrize("size", ["0", "", "x", "-4", "3.5"])
def test_a_size_that_says_nothing_costs_nothing(tmp_path: Path, size: str) -> None:
    found = parse(tmp_path, DOG.replace("<width>40<", f"<width>{size}<"))
    assert found.size is None and len(found.objects) == 1
    assert kinds(found) == ([] if size in ("0", "") else ["bad size"])


def placed(tmp_path: Path, items, size, claimed=(30, 40), sideways=False):
    found = parse(tmp_path, annotation(items, width=claimed[1], height=claimed[0]))
    return list(place(found, size, sideways)), found


@pytest.mark.parametrize(
    ("size", "claimed", "sideways", "box", "expected"),
    [
        ((30, 40), (30, 40), False, (5, 5, 20, 20), []),
        ((60, 80), (30, 40), False, (5, 5, 20, 20), ["size differs"]),  # enlarged after it was annotated
        ((30, 40), (60, 80), False, (5, 5, 70, 50), ["size differs"]),  # made smaller
        ((30, 40), (20, 20), False, (5, 5, 38, 28), ["size is wrong"]),  # the box fits the picture only
        ((40, 30), (30, 40), False, (5, 5, 20, 20), ["size is wrong"]),  # exchanged by the tool
        ((40, 30), (30, 40), True, (5, 5, 20, 20), ["annotated lying"]),  # cannot be told: asked
        ((40, 30), (30, 40), True, (5, 5, 38, 20), ["annotated lying"]),
        ((40, 30), (30, 40), True, (5, 5, 20, 38), ["size is wrong"]),  # the box fits the upright picture only
    ],
)  # fmt: skip
def test_a_size_that_is_not_the_pictures(tmp_path: Path, size, claimed, sideways, box, expected) -> None:
    _, found = placed(tmp_path, [("dog", box)], size, claimed, sideways)
    assert [kind for kind in kinds(found) if kind != "box outside"] == expected


def test_odd_boxes_are_told_apart(tmp_path: Path) -> None:
    items = [
        ("dog", (-5, 3, 99, 20)), ("cat", (5, 5, 5, 9)), ("dog", (50, 2, 60, 9)), ("cat", (1, 1, 9, 9)),
        ("cat", (1, 1, 9, 9)), ("dog", (1, 1, 9, 9)),
    ]  # fmt: skip
    objects, found = placed(tmp_path, items, (30, 40))
    assert [one.box for one in objects] == [(0, 2, 40, 20), (4, 4, 5, 9), (0, 0, 9, 9), (0, 0, 9, 9), (0, 0, 9, 9)]
    severities = {finding.kind: finding.severity for finding in found.findings}
    assert severities == {
        "box of a pixel": "warning", "box outside": "error", "same box twice": "warning", "box clipped": "warning",
    }  # fmt: skip
    assert {kind for kind, _ in found.doubtful} == set(severities)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_boxes_turn_with_the_picture(orientation: int) -> None:
    stored = np.zeros((30, 40), np.uint8)
    stored[4:10, 7:21] = 255  # rows 5 to 10, columns 8 to 21 as VOC counts
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(image))
    rows, columns = np.where(shown == 255)
    expected = [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]
    assert turn([8, 5, 21, 10], orientation, (30, 40)) == expected
