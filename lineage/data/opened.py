"""A picture's file, opened: of the formats that pictures come in, and of no more pixels than there is room for."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

MEGAPIXELS = 100.0  # decoded a pixel takes 20 bytes here: 2 GB
LIMIT = "LINEAGE_MAX_MEGAPIXELS"  # an environment variable, so that processes which are started know it, too
# Pillow knows many more, and some are programs: PostScript, named .jpg, would be run by Ghostscript.
FORMATS = (
    "JPEG", "MPO", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "TGA", "AVIF", "HEIF",
)  # fmt: skip
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF

_pillows_limit = threading.Lock()  # is one for the whole process


class TooLarge(ValueError):
    """A picture has more pixels than the limit; the message is about the picture, and starts with its path."""


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """The picture, its header read and nothing decoded.

    Raises:
        TooLarge: by its header it has more pixels than :func:`most_megapixels`. And whatever Pillow raises.
    """
    with _open(path) as image:
        width, height = image.size
        tags = getattr(image, "tag_v2", {})  # a tile is decoded as a whole, however little of it the picture shows
        check_size(path, width, height)
        check_size(path, tags.get(TILE_WIDTH, 0), tags.get(TILE_LENGTH, 0))
        yield image


def check_size(path: str | Path, width: float, height: float) -> None:
    """Raise :class:`TooLarge` unless a picture, or a video's frame, of so many pixels may be decoded."""
    if width * height > most_megapixels() * 1e6:
        raise TooLarge(
            f"{path}: {width:.0f} x {height:.0f} are {width * height / 1e6:.3g} megapixels, more than the limit of "
            f"{most_megapixels():g}; --max-megapixels raises it"
        )


def most_megapixels() -> float:
    """The limit: ``$LINEAGE_MAX_MEGAPIXELS``, which ``--max-megapixels`` sets, or :data:`MEGAPIXELS`.

    Raises:
        ValueError: the variable is no number above 0.
    """
    said = os.environ.get(LIMIT)
    try:
        limit = MEGAPIXELS if said is None else float(said)
    except ValueError:
        limit = 0
    if not limit > 0:  # nor is NaN
        raise ValueError(f"${LIMIT}: {said!r} is no number above 0")
    return limit


def _open(path: str | Path) -> Image.Image:
    """Without Pillow's own limit, of 179 megapixels, which nobody could raise."""
    with _pillows_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = before


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those that this Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
