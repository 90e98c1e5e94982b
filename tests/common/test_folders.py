"""A folder is written wholly or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage.common.folders import is_filled, write_folder


def write(text: str):
    return lambda folder: (folder / "a").write_text(text)


def test_a_folder_comes_with_all_that_is_above_it(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    write_folder(target, write("1"))
    assert (target / "a").read_text() == "1" and target.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    write_folder(tmp_path / "t", write("1"))
    assert is_filled(tmp_path / "t")


def test_who_was_first_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "t", write("1"))
    write_folder(tmp_path / "t", write("2"))
    assert (tmp_path / "t" / "a").read_text() == "1"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_interrupted_nothing_stays(tmp_path: Path, error: type[BaseException]) -> None:
    def stop(folder: Path) -> None:
        write("1")(folder)
        raise error

    with pytest.raises(error):
        write_folder(tmp_path / "t", stop)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("mine")
    with pytest.raises(OSError):
        write_folder(tmp_path / "t", write("1"))
    assert (tmp_path / "t").read_text() == "mine"
