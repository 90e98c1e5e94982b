"""The loop: what is said, what is kept when it ends early, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from media import FakeCapture, read_video, write_picture, write_video
from PIL import Image
from tiny_models import Fixed

from lineage.detection.plan import make_plan
from lineage.detection.run import Settings, run
from lineage.detection.shots import ShotError

SETTINGS = Settings(least=0.5, labels=None, every=3, frames=None)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fixed(then=None) -> Fixed:
    return Fixed([[5, 6, 30, 25], [0, 0, 10, 10]], [0.75, 0.25], [2, 1], then)


def go(detector, *pictures, out=None, results=None, camera=None, settings=SETTINGS) -> tuple[int, list[str]]:
    said: list[str] = []
    given = {kind: Path(path) for kind, path in (results or {}).items()}
    plan = make_plan([str(path) for path in pictures], camera, out and Path(out), given)
    return run(detector, plan, settings, said.append), said


def test_a_folder_is_drawn_and_written_line_by_line(here):
    for name in ("a/x.jpg", "b/x.jpg", "y.png"):
        write_picture(here / "in" / name)
    code, said = go(fixed(), "in", out="out", results={"json": "r.json"})
    assert code == 0
    assert said == [
        "in/a/x.jpg: 1 dog", "in/b/x.jpg: 1 dog", "in/y.png: 1 dog",
        "3 of 6 detections score 0.5 or more; written: out, r.json",
    ]  # fmt: skip
    entries = json.loads(Path("r.json").read_text())
    assert [entry["file"] for entry in entries] == ["in/a/x.jpg", "in/b/x.jpg", "in/y.png"]
    assert entries[1]["detections"] == [{"label": "dog", "score": 0.75, "box": [5, 6, 30, 25]}]
    for name in ("a/x.jpg", "b/x.jpg", "y.png"):
        with Image.open(Path("out") / name) as picture:
            assert picture.size == (40, 30)


def test_one_unreadable_file_is_named_twice_and_the_exit_code_is_1(here):
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        write_picture(here / "in" / name)
    Path("in/2.jpg").write_bytes(b"")
    code, said = go(fixed(), "in", out="out", results={"json": "r.json"})
    assert code == 1
    assert said[1].startswith("warning: in/2.jpg: cannot be read as a picture")
    assert said[-1] == "error: 1 of 3 files could not be read: in/2.jpg"
    assert [entry["file"] for entry in json.loads(Path("r.json").read_text())] == ["in/1.jpg", "in/3.jpg"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["1.jpg", "3.jpg"]


def test_where_nothing_can_be_read_nothing_is_written(here):
    for name in ("in/1.jpg", "in/2.jpg"):
        write_picture(here / name).write_bytes(b"no picture")
    assert go(fixed(), "in", out="out", results={"json": "r.json"})[0] == 1
    with pytest.raises(ShotError, match=r"in/1\.jpg: cannot be read as a picture"):
        go(fixed(), "in/1.jpg", results={"json": "r.json"})
    assert [path.name for path in here.iterdir()] == ["in"]


def stop_at(number: int):
    def then(call: int) -> None:
        if call == number:
            raise KeyboardInterrupt

    return then


def test_ctrl_c_keeps_what_is_done(here):
    for number in range(5):
        write_picture(here / "in" / f"{number}.jpg")
    results = {"json": "r.json", "csv": "r.csv", "coco": "c.json", "yolo": "y"}
    code, said = go(fixed(stop_at(4)), "in", out="out", results=results)
    assert code == 130
    assert said[3] == "ended after 3 pictures: what was done is kept" and "written: out, r.json" in said[4]
    assert len(json.loads(Path("r.json").read_text())) == 3
    assert len(json.loads(Path("c.json").read_text())) == 3
    assert len(Path("r.csv").read_text().splitlines()) == 4
    assert sorted(path.name for path in Path("out").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]
    assert sorted(path.name for path in Path("y").iterdir()) == ["0.txt", "1.txt", "2.txt", "classes.txt"]


def test_ctrl_c_before_anything_is_done_writes_nothing(here):
    write_video(here / "clip.avi")
    code, said = go(fixed(stop_at(1)), "clip.avi", out="out.avi", results={"json": "r.json"})
    assert (code, said) == (130, ["ended before the first picture: nothing is written"])
    assert [path.name for path in here.iterdir()] == ["clip.avi"]


def test_an_error_in_the_middle_keeps_the_results_too(here):
    for number in range(3):
        write_picture(here / "in" / f"{number}.jpg")

    def fail(call: int) -> None:
        if call == 3:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        go(fixed(fail), "in", results={"json": "r.json"})
    assert len(json.loads(Path("r.json").read_text())) == 2


def test_a_video_becomes_a_video_of_its_every_third_frame(here):
    write_video(here / "clip.avi", frames=12, rate=30.0)
    code, said = go(fixed(), "clip.avi", out="out.avi", results={"json": "r.json"})
    assert code == 0 and said[1] == "clip.avi frame 3: 1 dog"
    frames, rate = read_video(Path("out.avi"))
    assert len(frames) == 4 and rate == pytest.approx(10)
    assert [round(float(np.median(frame)) / 20) for frame in frames] == [0, 3, 6, 9]
    entries = json.loads(Path("r.json").read_text())
    assert [(entry["file"], entry["frame"]) for entry in entries] == [("clip.avi", number) for number in (0, 3, 6, 9)]
    assert entries[0].keys() == {"file", "frame", "detections"}


def test_pictures_and_videos_go_together_into_a_folder(here):
    write_picture(here / "in" / "x.jpg")
    write_video(here / "in" / "clip.avi", frames=4)
    go(fixed(), "in/x.jpg", "in/clip.avi", out="out", results={"yolo": "y"})
    written = sorted(path.relative_to(here).as_posix() for path in here.rglob("*0*") if path.is_file())
    assert written == [
        f"{folder}/clip.avi/{n}.{s}" for folder, s in (("out", "jpg"), ("y", "txt")) for n in ("000000", "000003")
    ]


def test_a_cameras_end_is_ctrl_c(here, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    code, said = go(fixed(stop_at(3)), camera=0, out="out", results={"json": "r.json"})
    assert code == 0 and said[2] == "ended after 2 pictures"
    assert [(entry["file"], entry["frame"]) for entry in json.loads(Path("r.json").read_text())] == [
        ("camera 0", 0), ("camera 0", 3),
    ]  # fmt: skip
    assert sorted(path.name for path in Path("out").iterdir()) == ["000000.jpg", "000003.jpg"]


def test_a_class_name_that_no_font_has_is_said_once(here):
    for name in ("1.jpg", "2.jpg"):
        write_picture(here / "in" / name)
    detector = fixed()
    detector.classes = ("cat", "\U0010fffd", "cow")  # for private use
    _, said = go(detector, "in", out="out")
    assert sum("no font of this machine has all letters of" in line for line in said) == 1
    assert "(class 2)" in said[0]
