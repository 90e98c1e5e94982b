"""What OUT is, decided before any work; and that nothing is written over what is read."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from media import write_picture

from lineage.detection.destination import Destination, check_outputs, destination, picture_file
from lineage.detection.plan import make_plan
from lineage.detection.sources import Source, camera

ONE = [Source(Path("x.jpg"), PurePosixPath("x.jpg"))]
TWO = [*ONE, Source(Path("y.gif"), PurePosixPath("y.gif"))]
CLIP = [Source(Path("clip.mp4"), PurePosixPath("."), "video")]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stands.png").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("out", "sources", "kind"),
    [
        ("out.png", ONE, "picture"),
        ("out.JPG", ONE, "picture"),
        ("out.svg", ONE, "picture"),
        ("out", ONE, "folder"),
        ("stands.png", ONE, "folder"),
        ("out", TWO, "folder"),
        ("run.3", TWO, "folder"),
        ("out.mp4", CLIP, "video"),
        ("out.avi", [camera(0)], "video"),
        ("frames", CLIP, "folder"),
        (None, ONE, "picture"),
        (None, TWO, "folder"),
        (None, CLIP, "video"),
        (None, [camera(0)], "folder"),
    ],
)
def test_out_is_what_the_sources_need(out, sources, kind):
    assert destination(out and Path(out), sources).kind == kind


@pytest.mark.parametrize(
    ("out", "sources", "message"),
    [
        ("out.png", TWO, r"-o out\.png: 2 files to look at need a folder, and out\.png is a file's name"),
        ("out.mp4", TWO, "need a folder"),
        ("out.mp4", ONE, r"a picture becomes one of \.jpg"),
        ("out.xyz", ONE, "a picture becomes one of"),
        ("out.png", CLIP, r"a video becomes a folder of pictures, or one of \.mp4"),
        ("out.gif", [camera(0)], "a camera becomes a folder"),
    ],
)
def test_an_out_that_cannot_hold_it_is_an_error(out, sources, message):
    with pytest.raises(ValueError, match=message):
        destination(Path(out), sources)


def test_a_drawn_picture_is_called_as_the_picture_was():
    folder = Destination("folder", Path("out"))
    assert picture_file(folder, PurePosixPath("a/x.JPG")) == Path("out/a/x.JPG")
    assert picture_file(folder, PurePosixPath("a/x.gif")) == Path("out/a/x.gif.png")  # x.png may be there as well
    assert picture_file(Destination("picture", Path("o.png")), PurePosixPath("x.jpg")) == Path("o.png")


@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/x.jpg"])
def test_no_name_leads_out_of_the_folder(name):
    with pytest.raises(ValueError, match="does not name a file inside out"):
        picture_file(Destination("folder", Path("out")), PurePosixPath(name))


def test_nothing_is_written_over_what_is_read(here):
    picture = write_picture(here / "in" / "x.jpg")
    for out in ("in", "in/x.jpg", "in/../in"):
        with pytest.raises(ValueError, match=r"-o: .*x\.jpg would be written over what is read"):
            make_plan(["in/x.jpg"], None, Path(out), {})
    with pytest.raises(ValueError, match=r"--json: .*m\.safetensors would be written over"):
        make_plan([str(picture)], None, Path("out"), {"json": Path("m.safetensors")}, keep=[Path("m.safetensors")])
    (here / "link").symlink_to(here / "in")
    with pytest.raises(ValueError, match="would be written over"):
        make_plan(["in/x.jpg"], None, Path("link"), {})


def test_two_results_in_one_file_are_an_error(here):
    write_picture(here / "x.jpg")
    write_picture(here / "x.png")
    with pytest.raises(ValueError, match=r"--csv: a file of --json and one would both be r\.txt"):
        make_plan(["x.jpg"], None, None, {"json": Path("r.txt"), "csv": Path("r.txt")})
    with pytest.raises(ValueError, match=r"--yolo: two of its files would both be labels/x\.txt"):
        make_plan(["x.jpg", "x.png"], None, None, {"yolo": Path("labels")})
    write_picture(here / "classes.jpg")
    with pytest.raises(ValueError, match=r"--yolo: two of its files would both be labels/classes\.txt"):
        make_plan(["classes.jpg"], None, None, {"yolo": Path("labels")})


def test_what_cannot_be_written_is_an_error_before_any_work(here):
    write_picture(here / "x.jpg")
    write_picture(here / "y.jpg")
    (here / "file").write_text("")
    for results, out, message in (
        ({"json": Path("file/r.json")}, None, r"--json: file cannot be a folder: file is a file"),
        ({"json": Path("stands.png")}, None, r"--json: stands\.png is a folder; a file is wanted"),
        ({"yolo": Path("file")}, None, r"--yolo: file cannot be a folder"),
        ({}, Path("file/out"), r"-o: .*cannot be a folder"),
        ({}, Path("file"), r"-o: .*cannot be a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            make_plan(["x.jpg", "y.jpg"], None, out, results)
    assert sorted(path.name for path in here.iterdir()) == ["file", "stands.png", "x.jpg", "y.jpg"]


def test_a_folder_without_the_right_to_write_is_an_error(here, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match=r"-o: .* cannot be written to"):
        check_outputs({"-o": [Path("out/x.jpg")]}, [], {})


def test_either_pictures_or_a_camera():
    for pictures, number in (([], None), (["x.jpg"], 0)):
        with pytest.raises(ValueError, match="give pictures, folders, patterns or videos, or else --camera"):
            make_plan(pictures, number, None, {})


def test_pictures_are_drawn_unless_only_results_are_asked_for(here):
    write_picture(here / "x.jpg")
    assert make_plan(["x.jpg"], None, None, {}).drawn == Destination("picture", Path("detections.png"))
    assert make_plan(["x.jpg"], None, None, {"json": Path("r.json")}).drawn is None
    assert make_plan(["x.jpg"], None, Path("o.jpg"), {"json": Path("r.json")}).drawn == Destination(
        "picture", Path("o.jpg")
    )
