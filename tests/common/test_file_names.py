"""Texts of the data as file names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.common.file_names import FORBIDDEN, inside, is_picture, safe_name, stays_inside, without_suffix
from lineage.data.voc import VOC_CLASSES


@pytest.mark.parametrize("name", [*VOC_CLASSES, "RBC", "hex nut M6", "nut, hex", "螺栓", "a.b", "x_y-z (1)"])
def test_plain_names_stay(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w/o mask", "w%2Fo mask"),
        ("mask: ok?", "mask%3A ok%3F"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("a ", "a%20"),
        ("100%", "100%25"),
        ("a\nb", "a%0Ab"),
        ("", "%"),
    ],
)
def test_what_a_file_name_cannot_have_is_encoded(text: str, expected: str) -> None:
    assert safe_name(text) == expected


@given(st.text(max_size=30))
def test_a_safe_name_is_one_part_and_says_its_text(text: str) -> None:
    name = safe_name(text)
    assert name and not set(name) & (FORBIDDEN - {"%"}) and name not in (".", "..") and name[-1] not in ". "
    assert unquote(name, errors="surrogatepass") == text or text == ""


def test_long_names_are_cut_and_stay_apart() -> None:
    names = {safe_name(letter * 400 + end) for letter in ("x", "字", "/") for end in ("a", "b")}
    assert len(names) == 6 and all(len(name.encode()) <= 150 for name in names)


@pytest.mark.parametrize(
    ("path", "within"),
    [("a", True), ("a/b.c", True), ("..a/b", True), ("", False), ("/a", False), ("a/../b", False), ("a//b", False),
     ("./a", False), ("a/", False)],
)  # fmt: skip
def test_only_places_below_a_folder_are_inside(path: str, within: bool) -> None:
    assert stays_inside(path) == within


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", ".", "", PurePosixPath("/x"), PurePosixPath("a/..")])
def test_nothing_is_written_outside(name: str | PurePosixPath, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not name a file inside"):
        inside(tmp_path, name)
    assert inside(tmp_path, "a/b") == inside(tmp_path, PurePosixPath("a/b")) == tmp_path / "a" / "b"


def test_a_suffix_is_a_pictures_only(tmp_path) -> None:
    assert [without_suffix(name) for name in ("a.jpg", "a.b/c.v1.JPEG", "a.v1", "a")] == ["a", "a.b/c.v1", "a.v1", "a"]
    assert [is_picture(tmp_path / name) for name in ("a.PNG", "a.txt", ".a.png")] == [True, False, False]
