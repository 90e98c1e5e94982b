"""A picture from its file, as a viewer shows it; and what can be said of the file without decoding it."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lineage.data.findings import VOCFormatError
from lineage.data.opened import TooLarge, opened

EXIF_ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)  # orientations that are stored lying on their side
DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits a sample that cameras, microscopes and scanners deliver


class Header(NamedTuple):
    """What a picture's header says."""

    size: tuple[int, int]  # (height, width) as it is shown
    orientation: int  # EXIF's: 1 is as it is shown, 5 to 8 are stored lying on their side

    @property
    def sideways(self) -> bool:
        return self.orientation in SIDEWAYS


def read_image(path: str | Path) -> Tensor:
    """A picture as float32 (3, H, W), RGB, 0..1, as a viewer shows it.

    EXIF rotation is applied (annotations refer to the upright picture), grayscale and palettes become RGB, CMYK
    is converted, transparency is laid on white, of an animation the first frame counts. Samples of more than 8 bits are
    scaled by the least usual depth that holds the picture's largest value (:data:`DEPTHS`): a 12-bit camera's 16-bit
    files are not black. Floats are 0..1, or a depth's range.

    Raises:
        VOCFormatError: the file is missing, truncated or not a picture, larger than
            :func:`~lineage.data.opened.most_megapixels`, or has samples that are no numbers.
    """
    return read_pixels(path).float().div_(255)


def read_pixels(path: str | Path) -> Tensor:
    """The same as uint8 (3, H, W)."""
    path = Path(path)
    try:
        with opened(path) as stored:
            image = _upright(_in_eight_bits(stored, path), stored)
            pixels = np.asarray(_to_rgb(image))
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error... for damage
        raise VOCFormatError(_why(path, error)) from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def read_header(path: str | Path) -> Header:
    """Size and orientation, without decoding.

    Raises:
        VOCFormatError: the file is missing or not a picture.
    """
    try:
        with opened(path) as stored:
            width, height = stored.size
            orientation = stored.getexif().get(EXIF_ORIENTATION, 1)
    except Exception as error:
        raise VOCFormatError(_why(path, error)) from None
    return Header((width, height) if orientation in SIDEWAYS else (height, width), orientation)


def read_size(path: str | Path) -> tuple[int, int]:
    """The displayed picture's (height, width), from its header alone; raises as :func:`read_header`."""
    return read_header(path).size


def why_unreadable(path: str | Path) -> str | None:
    """Why :func:`read_image` would refuse a file; None where it would not. A tenth of its time for a JPEG.

    All of a JPEG's stream is read, but its blocks are decoded at an eighth of their size.
    """
    try:
        with opened(path) as stored:
            if stored.format == "JPEG":
                stored.draft("L", (max(1, stored.width // 8), max(1, stored.height // 8)))
                stored.load()
                return None
    except Exception as error:
        return _why(path, error)
    try:
        read_pixels(path)
    except VOCFormatError as error:
        return str(error)
    return None


def _why(path: str | Path, error: Exception) -> str:
    """Why a picture cannot be read, in a sentence that starts with its path."""
    if isinstance(error, TooLarge):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such picture"
    if isinstance(error, UnidentifiedImageError):
        empty = os.path.getsize(path) == 0
        error = ValueError("the file is empty" if empty else "it is none, or of an unknown format")
    return f"{path}: cannot be read as a picture: {error}"


def contents_digest(path: Path) -> str:
    """Names what a file holds, wherever it lies and however old it is: a copied dataset finds what is known of it."""
    state = path.stat()
    return _digest(str(path), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=200_000)
def _digest(path: str, modified: int, size: int) -> str:
    """Read once a process, unless the file has changed."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def _in_eight_bits(stored: Image.Image, path: Path) -> Image.Image:
    """The picture itself, or one of 8 bits a sample where it has more."""
    if stored.mode.startswith("I") or stored.mode == "F":
        return Image.fromarray(scale_depth(np.asarray(stored)))
    if any(";16" in str(tile[3]) for tile in getattr(stored, "tile", ())):  # of colours Pillow keeps 8 bits
        import cv2

        data = np.frombuffer(path.read_bytes(), np.uint8)
        samples = cv2.imdecode(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if samples is not None and samples.ndim == 3 and samples.shape[2] in (3, 4):
            order = [2, 1, 0, 3][: samples.shape[2]]  # OpenCV's BGR
            colours = scale_depth(samples[:, :, order[:3]])
            alpha = [(samples[:, :, 3:] / 257).astype(np.uint8)] if samples.shape[2] == 4 else []
            return Image.fromarray(np.concatenate([colours, *alpha], axis=2))
    return stored


def scale_depth(samples: np.ndarray) -> np.ndarray:
    """Samples of any depth as uint8, the same shape.

    Raises:
        ValueError: some are no numbers.
    """
    if not np.isfinite(samples).all():
        raise ValueError("it has samples that are no numbers (NaN or infinite)")
    values = samples.astype(np.float64)
    largest = float(values.max(initial=0))
    if samples.dtype.kind == "f" and largest <= 1:
        return (values * 255).round().clip(0, 255).astype(np.uint8)
    needed = math.ceil(math.log2(largest + 1)) if largest > 0 else 8
    depth = next((bits for bits in DEPTHS if bits >= needed), needed)
    return (values * (255 / (2**depth - 1))).clip(0, 255).astype(np.uint8)


def _upright(image: Image.Image, stored: Image.Image) -> Image.Image:
    orientation = stored.getexif().get(EXIF_ORIENTATION)
    if image is not stored and orientation is not None:
        image.getexif()[EXIF_ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
