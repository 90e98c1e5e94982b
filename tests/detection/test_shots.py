"""Pictures, frames, and files that are neither."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from media import FakeCapture, write_picture, write_video
from PIL import Image

from lineage.detection import shots as module
from lineage.detection.shots import (
    Shot,
    ShotError,
    Unreadable,
    check_camera,
    count_shots,
    frame_rate,
    read_picture,
    shots,
)
from lineage.detection.sources import camera, find_sources


def taken(*paths, **options) -> list[Shot | Unreadable]:
    return list(shots(find_sources([str(path) for path in paths]), **options))


def test_a_picture_is_upright_and_its_name_is_kept(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: to be turned clockwise
    path = write_picture(tmp_path / "x.png", 40, 30, exif=exif)
    (shot,) = taken(path)
    assert shot.image.shape == (3, 40, 30) and shot.frame is None
    assert shot.image[:, 0, 29].tolist() == [1, 1, 1]  # the corner that was top left
    assert str(shot.name) == "x.png" and shot.title == path.as_posix()


def test_one_unreadable_file_is_named_and_the_rest_goes_on(tmp_path):
    first, last = write_picture(tmp_path / "a.jpg"), write_picture(tmp_path / "c.jpg")
    (tmp_path / "b.jpg").write_bytes(first.read_bytes()[:100])
    one, two, three = taken(first, tmp_path / "b.jpg", last)
    assert isinstance(one, Shot) and isinstance(three, Shot)
    assert isinstance(two, Unreadable) and "b.jpg: cannot be read as a picture" in two.reason


def test_a_picture_and_a_video_beyond_the_limit_are_refused_by_their_headers(tmp_path, monkeypatch):
    paths = [write_picture(tmp_path / "x.png", 200, 100), write_video(tmp_path / "x.avi", 3)]
    monkeypatch.setenv("LINEAGE_MAX_MEGAPIXELS", "0.001")
    for path, found in zip(paths, taken(*paths)):
        assert isinstance(found, Unreadable) and f"{path.name}: " in found.reason
        assert "megapixels, more than the limit of 0.001; --max-megapixels raises it" in found.reason


def test_of_several_pages_the_first_is_taken_and_that_is_said(tmp_path):
    pages = [Image.new("RGB", (20, 10), (value, 0, 0)) for value in (255, 0)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(UserWarning, match=r"x\.tif: has 2 pages or frames; the first is looked at"):
        assert read_picture(tmp_path / "x.tif")[0].min() == 1


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_of_a_video_every_third_frame_is_taken(tmp_path, suffix):
    path = write_video(tmp_path / f"clip{suffix}", frames=12)
    found = taken(path, every=3)
    assert [shot.frame for shot in found] == [0, 3, 6, 9]
    assert [str(shot.name) for shot in found] == ["000000.jpg", "000003.jpg", "000006.jpg", "000009.jpg"]
    assert [round(float(shot.image.mean()) * 255 / 20) for shot in found] == [0, 3, 6, 9]
    assert found[0].image.shape == (3, 48, 64)
    assert found[1].title == f"{path.as_posix()} frame 3"
    assert [shot.frame for shot in taken(path, every=3, frames=2)] == [0, 3]
    assert frame_rate(find_sources([str(path)])[0]) == pytest.approx(10)


def test_a_frames_colours_are_red_green_blue(tmp_path, monkeypatch):
    class Red(FakeCapture):
        frames = 1

        def retrieve(self):
            return True, np.full((2, 2, 3), (0, 0, 255), np.uint8)  # OpenCV's order

    monkeypatch.setattr(cv2, "VideoCapture", Red)
    (tmp_path / "clip.mp4").touch()
    (shot,) = taken(tmp_path / "clip.mp4")
    assert shot.image[:, 0, 0].tolist() == [1, 0, 0]


def test_the_count_is_what_will_be_taken(tmp_path):
    paths = [write_picture(tmp_path / "x.jpg"), write_video(tmp_path / "clip.avi", frames=12)]
    sources = find_sources([str(path) for path in paths])
    for every, frames, expected in ((5, None, 4), (5, 2, 3), (1, None, 13)):
        assert count_shots(sources, every=every, frames=frames) == expected
        assert len(list(shots(sources, every=every, frames=frames))) == expected
    assert count_shots([camera(0)]) is None and count_shots([camera(0)], frames=7) == 7


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(200))
    (only,) = taken(tmp_path / "clip.mp4")
    assert isinstance(only, Unreadable) and only.reason.endswith(
        "clip.mp4: cannot be read as a video: not one frame can be decoded"
    )


def test_a_video_that_ends_early_says_so_after_the_frames_it_had(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "frames", 30)
    (tmp_path / "clip.mp4").touch()
    for declared, cut in ((31, False), (100, True)):
        monkeypatch.setattr(FakeCapture, "declared", declared)
        *frames, last = taken(tmp_path / "clip.mp4", every=10)
        assert isinstance(last, Unreadable) == cut
        assert [shot.frame for shot in frames][:2] == [0, 10]
    assert "ends after 30 of 100 frames" in last.reason


def test_a_camera_gives_frames_until_enough_and_is_an_error_where_there_is_none(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    found = list(shots([camera(0)], every=4, frames=3))
    assert [shot.frame for shot in found] == [0, 4, 8]
    assert found[0].source.path.as_posix() == "camera 0" and str(found[1].name) == "000004.jpg"
    check_camera(camera(0))
    monkeypatch.setattr(FakeCapture, "opened", False)
    with pytest.raises(ShotError, match="--camera 2: cannot be opened"):
        check_camera(camera(2))


def test_a_camera_that_stops_says_so(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "frames", 5)
    *_, last = shots([camera(0)], every=1)
    assert isinstance(last, Unreadable) and last.reason == "--camera 0: gives no more pictures, after 5 frames"


@pytest.mark.parametrize(("said", "expected"), [(0.0, 25.0), (float("nan"), 25.0), (90000.0, 25.0), (29.97, 29.97)])
def test_a_frame_rate_that_cannot_be_is_25(monkeypatch, said, expected):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "get", lambda self, what: said)
    assert frame_rate(camera(0)) == expected
    assert module.FRAME_RATE == 25.0
