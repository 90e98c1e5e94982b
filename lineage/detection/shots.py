"""Pictures and frames, one after the other, as a detector takes them; a file that cannot be read is one of them too."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import torch
from torch import Tensor

from lineage.data.findings import VOCFormatError
from lineage.data.opened import TooLarge, check_size, opened
from lineage.data.pictures import read_image
from lineage.detection.sources import EVERY, Source

FRAME_RATE = 25.0  # of a video that does not say
PAGED = ("GIF", "PNG", "TIFF", "WEBP")  # a phone's "MPO" has a thumbnail for its second picture: nobody misses that

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what cannot be opened is named here, in one line
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class Shot:
    """One picture, or one frame of a video or camera."""

    source: Source
    image: Tensor  # (3, H, W), 0..1, upright
    frame: int | None = None  # counted from 0

    @property
    def name(self) -> PurePosixPath:
        """Where what is made of it lies inside an output folder: a/x.jpg; a frame is 000120.jpg in its video's."""
        return self.source.name if self.frame is None else self.source.name / f"{self.frame:06d}.jpg"

    @property
    def title(self) -> str:
        return self.source.path.as_posix() + ("" if self.frame is None else f" frame {self.frame}")


@dataclass(frozen=True)
class Unreadable:
    """A file, or the rest of it, that could not be read."""

    source: Source
    reason: str  # one sentence that names the file


class ShotError(ValueError):
    """A picture or video cannot be read; the message names it."""


def shots(sources: Sequence[Source], *, every: int = EVERY, frames: int | None = None) -> Iterator[Shot | Unreadable]:
    """Every picture, and of videos and cameras every so many frames.

    Args:
        every: frame 0, ``every``, 2 ``every`` ... frames: at most so many of each video, or of the camera.
    """
    for source in sources:
        try:
            if source.moves:
                yield from _frames(source, every, frames)
            else:
                yield Shot(source, read_picture(source.path))
        except ShotError as error:
            yield Unreadable(source, str(error))


def count_shots(sources: Sequence[Source], *, every: int = EVERY, frames: int | None = None) -> int | None:
    """How many :func:`shots` there will be, as the videos' headers have it; None where nobody knows."""
    total = 0
    for source in sources:
        if source.kind == "camera":
            return frames
        count = 1 if source.kind == "picture" else math.ceil(_declared_frames(source) / every)
        total += count if not source.moves or frames is None else min(count, frames)
    return total


def read_picture(path: Path) -> Tensor:
    """A picture (3, H, W) in 0..1, upright: :func:`~lineage.data.pictures.read_image`, and a word on other pages.

    Raises:
        ShotError: it is missing, damaged or too large.
    """
    try:
        _tell_pages(path)
        return read_image(path)
    except VOCFormatError as error:
        raise ShotError(str(error)) from None


def _tell_pages(path: Path) -> None:
    try:
        with opened(path) as picture:
            pages = getattr(picture, "n_frames", 1) if picture.format in PAGED else 1
    except Exception:  # read_image says what is wrong with it
        return
    if pages > 1:
        warnings.warn(f"{path}: has {pages} pages or frames; the first is looked at", stacklevel=2)


def frame_rate(source: Source) -> float:
    """Frames a second of a video or camera, as it says; 25 where it does not."""
    capture = _capture(source)
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return rate if 0.1 <= rate <= 1000 else FRAME_RATE


def check_camera(source: Source) -> None:
    """Raise ShotError unless the camera answers."""
    capture = _capture(source)
    opened = capture.isOpened()
    capture.release()
    if not opened:
        raise ShotError(f"--camera {source.camera}: cannot be opened; is it there, and does no other program use it?")


def _capture(source: Source) -> cv2.VideoCapture:
    return cv2.VideoCapture(source.camera if source.camera is not None else str(source.path))


def _declared_frames(source: Source) -> int:
    capture = _capture(source)
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    return max(0, int(count)) if math.isfinite(count) else 0


def _frames(source: Source, every: int, limit: int | None) -> Iterator[Shot]:
    capture = _capture(source)
    number = given = 0
    try:
        check_size(source.path, capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        while given != limit and capture.grab():
            if number % every == 0:
                good, pixels = capture.retrieve()  # (H, W, 3) BGR
                if not good:
                    break
                image = torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)
                yield Shot(source, image.float().div_(255), number)
                given += 1
            number += 1
        declared = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    except TooLarge as error:
        raise ShotError(str(error)) from None
    finally:
        capture.release()
    if given == limit:
        return
    if source.kind == "camera":
        raise ShotError(f"--camera {source.camera}: gives no more pictures, after {number} frames")
    if number == 0:
        raise ShotError(f"{source.path}: cannot be read as a video: not one frame can be decoded")
    if number < 0.95 * declared - 2:  # headers are often off by a frame or two
        raise ShotError(f"{source.path}: ends after {number} of {declared:.0f} frames: truncated or damaged")
