"""Which files a command line names, and how what is made of them is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage.detection.sources import find_sources


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def found(*arguments, without=()) -> dict[str, str]:
    """Path and name of each source."""
    sources = find_sources([str(argument) for argument in arguments], [Path(path) for path in without])
    return {source.path.as_posix(): str(source.name) for source in sources}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_gives_its_pictures_with_their_subfolders_in_order(here):
    touch(here / "in", "b.JPG", "a/z.png", "a/y.tif", "c.webp", "notes.txt", "._b.jpg", ".cache/t.png", "d.heic")
    assert found("in") == {
        "in/a/y.tif": "a/y.tif", "in/a/z.png": "a/z.png", "in/b.JPG": "b.JPG", "in/c.webp": "c.webp",
        "in/d.heic": "d.heic",  # it may be refused when it is read, by name; it must not vanish
    }  # fmt: skip


def test_pictures_of_one_name_in_two_folders_do_not_collide(here):
    touch(here, "a/x.jpg", "b/x.jpg")
    names = {"a/x.jpg": "a/x.jpg", "b/x.jpg": "b/x.jpg"}
    for arguments in (["a/x.jpg", "b/x.jpg"], ["a", "b"], ["*/x.jpg"], ["a/../a", here / "b"]):
        assert list(found(*arguments).values()) == list(names.values()), arguments
    assert found("a/x.jpg") == {"a/x.jpg": "x.jpg"}


def test_arguments_keep_their_order_and_a_file_counts_once(here):
    touch(here, "p/b.jpg", "p/a.jpg", "q.png")
    assert list(found("q.png", "p/b.jpg", "p", here / "p/a.jpg", "./q.png")) == ["q.png", "p/b.jpg", "p/a.jpg"]


def test_a_pattern_is_looked_up_here_and_its_names_start_where_it_begins_to_be_one(here):
    touch(here, "in/s/1.jpg", "in/s/2.png", "in/s/t/3.jpg", "in/s/n.txt")
    assert found("in/**/*.jpg") == {"in/s/1.jpg": "s/1.jpg", "in/s/t/3.jpg": "s/t/3.jpg"}
    assert found("in/s/[12].*") == {"in/s/1.jpg": "1.jpg", "in/s/2.png": "2.png"}
    assert list(found("in/*")) == ["in/s/1.jpg", "in/s/2.png", "in/s/t/3.jpg"]  # a folder that matches is opened
    touch(here, "x[1].jpg", "x1.jpg")
    assert list(found("x[1].jpg")) == ["x[1].jpg"]  # a file of that very name goes first


def test_a_lone_videos_frames_lie_in_the_output_folder_itself(here):
    touch(here, "v/clip.mp4", "p.jpg", "v/other.AVI")
    assert found("v/clip.mp4") == {"v/clip.mp4": "."}
    assert found("v/clip.mp4", "p.jpg", "v/*.AVI") == {
        "v/clip.mp4": "v/clip.mp4", "p.jpg": "p.jpg", "v/other.AVI": "v/other.AVI",
    }  # fmt: skip
    assert [source.kind for source in find_sources(["v/clip.mp4", "p.jpg"])] == ["video", "picture"]


def test_a_folders_videos_are_not_passed_over_in_silence(here):
    touch(here / "in", "x.jpg", "clip.mp4")
    with pytest.warns(UserWarning, match=r"in: videos in it \(1\) are not looked at: give them by name"):
        assert list(found("in")) == ["in/x.jpg"]


def test_earlier_results_are_no_pictures_to_look_at_unless_they_are_named(here):
    touch(here / "in", "x.jpg", "out/x.jpg", "drawn.png")
    assert list(found("in", without=["in/out", "in/drawn.png"])) == ["in/x.jpg"]
    assert list(found("in/*", without=["in/out", "in/drawn.png"])) == ["in/x.jpg"]
    assert list(found("in/out", without=["in/out"])) == ["in/out/x.jpg"]
    assert list(found("in/drawn.png", without=["in/drawn.png"])) == ["in/drawn.png"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("none.jpg", "none.jpg: no such picture, folder or video"),
        ("none*.jpg", r"none\*.jpg: no picture or video matches this pattern"),
        ("empty", "empty: no picture in this folder"),
    ],
)
def test_what_names_nothing_is_an_error(here, argument, message):
    touch(here, "empty/notes.txt", "x.jpg")
    with pytest.raises(ValueError, match=message):
        found("x.jpg", argument)
