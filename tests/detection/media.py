"""Pictures and videos of a few pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image


def write_picture(path: Path, width: int = 40, height: int = 30, value: int = 100, **options) -> Path:
    """A grey picture with one white pixel in its top left corner, in the format of the suffix."""
    pixels = np.full((height, width, 3), value, np.uint8)
    pixels[0, 0] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_video(path: Path, frames: int = 12, width: int = 64, height: int = 48, rate: float = 10.0) -> Path:
    """Frame i is grey, 20 i of 255."""
    codec = {".avi": "MJPG"}.get(path.suffix, "mp4v")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV has no {codec} codec")
    for number in range(frames):
        writer.write(np.full((height, width, 3), 20 * number, np.uint8))
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames (H, W, 3) RGB, and their rate."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (answer := capture.read())[0]:
        frames.append(answer[1][..., ::-1])
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return frames, rate


class FakeCapture:
    """What cv2.VideoCapture answers for a camera that gives grey pictures, until it has given ``frames`` of them."""

    opened, frames, declared = True, 1000, 0

    def __init__(self, source) -> None:
        self.source, self.number = source, 0

    def isOpened(self) -> bool:
        return self.opened

    def grab(self) -> bool:
        self.number += 1
        return self.number <= self.frames

    def retrieve(self):
        return True, np.full((30, 40, 3), self.number % 256, np.uint8)

    def get(self, what: int) -> float:
        size = {cv2.CAP_PROP_FRAME_WIDTH: 40.0, cv2.CAP_PROP_FRAME_HEIGHT: 30.0}
        return {cv2.CAP_PROP_FPS: 20.0, cv2.CAP_PROP_FRAME_COUNT: float(self.declared), **size}[what]

    def release(self) -> None:
        pass
