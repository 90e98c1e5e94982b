"""Detections drawn: each picture in a file of its own, or all frames in a video."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lineage.common.checkpoint import replacing, write_atomically
from lineage.detection.destination import PAGES, Destination, picture_file
from lineage.detection.found import Found
from lineage.detection.shots import Shot
from lineage.viz import draw_boxes, paint_boxes, writable

QUALITY = 95  # of JPEG and WebP
CODECS = {".avi": "MJPG"}  # all others:
CODEC = "mp4v"


class Pictures:
    """Writes each picture as it comes, into a folder or as the one file that is wanted."""

    def __init__(self, where: Destination, classes: Sequence[str]) -> None:
        self.where, self.classes = where, classes
        self.count = 0

    def add(self, shot: Shot, found: Found) -> None:
        path = picture_file(self.where, shot.name)
        if path.suffix.lower() in PAGES:
            _write_page(shot, found, self.classes, path)
        else:
            pixels = paint_boxes(shot.image, found.boxes, found.labels, found.scores, self.classes)  # (H, W, 3)
            write_atomically(path, lambda temporary: Image.fromarray(pixels).save(temporary, quality=QUALITY))
        self.count += 1


class Video:
    """Writes frames of one size to a video file, ``rate`` of them a second.

    Raises:
        ValueError: this OpenCV cannot write the first frame.
    """

    def __init__(self, path: Path, rate: float, classes: Sequence[str]) -> None:
        self.path, self.rate, self.classes = path, rate, classes
        self.count = 0
        self._writer: cv2.VideoWriter | None = None

    def add(self, shot: Shot, found: Found) -> None:
        pixels = paint_boxes(shot.image, found.boxes, found.labels, found.scores, self.classes)  # (H, W, 3)
        height, width = pixels.shape[:2]
        whole = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # codecs cut an odd row off
        if self._writer is None:
            self._writer = _writer(self.path, self.rate, (whole.shape[1], whole.shape[0]))
        self._writer.write(np.ascontiguousarray(whole[..., ::-1]))
        self.count += 1

    def release(self) -> None:
        if self._writer is not None:
            self._writer.release()


@contextmanager
def drawing(where: Destination, rate: float, classes: Sequence[str]) -> Iterator[Pictures | Video]:
    """What draws to ``where``. A video takes its place at the end of the block, and vanishes if the block fails."""
    if where.kind != "video":
        yield Pictures(where, classes)
        return
    with suppress(_NoFrame), replacing(where.path) as temporary:
        video = Video(temporary, rate, classes)
        try:
            yield video
        finally:
            video.release()
        if video.count == 0:
            raise _NoFrame


class _NoFrame(Exception):
    """There is nothing to keep."""


def check_codec(path: Path) -> None:
    """Raise ValueError unless this OpenCV can write a video of the path's suffix."""
    with tempfile.TemporaryDirectory() as folder:
        _writer(Path(folder, f"try{path.suffix}"), 25.0, (64, 64)).release()


def _writer(path: Path, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    codec = CODECS.get(path.suffix.lower(), CODEC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size)
    if not writer.isOpened():
        raise ValueError(f"this OpenCV cannot write {path.suffix} videos ({codec}); a folder of pictures always works")
    return writer


def _write_page(shot: Shot, found: Found, classes: Sequence[str], path: Path) -> None:
    """A figure with lines and letters as vectors, for a document."""
    names = [writable(name, label) for label, name in enumerate(classes, start=1)]
    figure = draw_boxes(shot.image, found.boxes, found.labels, found.scores, names)
    suffix = path.suffix.lower().lstrip(".")
    write_atomically(path, lambda temporary: figure.savefig(temporary, format=suffix, bbox_inches="tight"))
