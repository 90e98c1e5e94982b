"""Drawn pictures keep their size; a video is one, and whole or not there."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from media import read_video
from PIL import Image

from lineage.detection.destination import MOVIES, Destination
from lineage.detection.drawn import check_codec, drawing
from lineage.detection.found import found_in
from lineage.detection.shots import Shot
from lineage.detection.sources import Source
from lineage.viz import PALETTE

CLASSES = ("cat", "dog")
BOXES = torch.tensor([[10.0, 20, 60, 50]])


def shot(name: str = "x.jpg", height: int = 64, width: int = 96, value: float = 0.5, frame: int | None = None):
    kind = "picture" if frame is None else "video"
    return Shot(Source(PurePosixPath(name), PurePosixPath(name), kind), torch.full((3, height, width), value), frame)


def draw(where: Destination, *shots: Shot, rate: float = 5.0) -> None:
    with drawing(where, rate, CLASSES) as pen:
        for one in shots:
            detections = {"boxes": BOXES, "scores": torch.tensor([0.9]), "labels": torch.tensor([1])}
            pen.add(one, found_in(one, detections, 0.5))


@pytest.fixture
def codec(tmp_path):
    def has(suffix: str) -> None:
        try:
            check_codec(tmp_path / f"x{suffix}")
        except ValueError as error:
            pytest.skip(str(error))

    return has


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_a_drawn_picture_has_the_pictures_size_and_a_box_in_its_class_colour(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    draw(Destination("picture", path), shot())
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape == (64, 96, 3)
    wanted = [int(PALETTE[0][i : i + 2], 16) for i in (1, 3, 5)]
    tolerance = 3 if suffix in (".png", ".bmp", ".tif") else 100
    assert np.abs(pixels[49, 30] - wanted).max() <= tolerance  # the box's lower side
    assert np.abs(pixels[60, 90] - 128).max() <= 3  # away from it


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_a_page_for_a_document_has_vectors(tmp_path, suffix):
    draw(Destination("picture", tmp_path / f"out{suffix}"), shot())
    start = (tmp_path / f"out{suffix}").read_bytes()[:200]
    assert start.startswith(b"%PDF") or b"<svg" in (tmp_path / f"out{suffix}").read_bytes()


def test_a_folder_keeps_subfolders_and_numbers_frames(tmp_path):
    draw(Destination("folder", tmp_path), shot("a/x.jpg"), shot("b/x.jpg"), shot("y.gif"), shot("c.mp4", frame=30))
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file())
    assert written == ["a/x.jpg", "b/x.jpg", "c.mp4/000030.jpg", "y.gif.png"]


@pytest.mark.parametrize("suffix", MOVIES)
def test_frames_become_a_video_of_their_size_and_rate(tmp_path, codec, suffix):
    codec(suffix)
    path = tmp_path / f"out{suffix}"
    draw(Destination("video", path), *(shot(value=number / 10, frame=number) for number in range(6)), rate=5.0)
    frames, rate = read_video(path)
    assert len(frames) == 6 and rate == pytest.approx(5)
    assert frames[0].shape == (64, 96, 3)
    assert [round(float(frame[56:, 70:].mean()) / 25.5) for frame in frames] == [0, 1, 2, 3, 4, 5]
    orange = frames[3][49, 20:50].mean(axis=0)
    assert orange[0] > orange[1] > orange[2] + 40  # red and blue are not swapped
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_an_odd_picture_loses_no_row_in_a_video(tmp_path, codec):
    codec(".avi")
    draw(Destination("video", tmp_path / "o.avi"), shot(height=63, width=95))
    assert read_video(tmp_path / "o.avi")[0][0].shape == (64, 96, 3)


def test_a_video_without_a_frame_or_with_an_error_is_not_there(tmp_path):
    where = Destination("video", tmp_path / "o.avi")
    where.path.write_bytes(b"older")
    draw(where)
    with pytest.raises(RuntimeError, match="out of memory"), drawing(where, 5.0, CLASSES):
        raise RuntimeError("out of memory")
    assert where.path.read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 1


def test_a_video_that_cannot_be_written_is_said_before_any_work(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write \.xyz videos"):
        check_codec(tmp_path / "o.xyz")
