"""Letters for any class name: matplotlib's own font, or one of this machine's where that one lacks a letter."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

OF_A_SCORE = "-.0123456789"
UNSEEN = (
    "Cc",
    "Cf",
    "Mn",
    "Zs",
)  # Unicode's controls, joiners, marks on a letter and spaces need no glyph of their own


def unwritable(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that no font of this machine has all letters of."""
    return [name for name in names if font_file(name) is None]


def writable(name: str, label: int) -> str:
    """``name`` in one line, or "class 3" where no font of this machine has its letters: never a row of empty boxes."""
    return " ".join(name.split()) if font_file(name) is not None else f"class {label}"


@functools.lru_cache(maxsize=4096)
def font_file(name: str) -> str | None:
    """A font file with every letter of ``name`` and of a score: DejaVu Sans if it can be; None: there is none."""
    normal = unicodedata.normalize("NFC", name + OF_A_SCORE)
    wanted = {ord(letter) for letter in normal if unicodedata.category(letter) not in UNSEEN}
    if wanted <= _letters(bundled_font()):
        return bundled_font()
    return next((file for file in _fonts_of_this_machine() if wanted <= _letters(file)), None)


def bundled_font() -> str:
    """DejaVu Sans, which is there wherever matplotlib is; what figures are lettered in."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@functools.lru_cache(maxsize=64)
def font_of(file: str, size: int) -> FreeTypeFont:
    """Pillow's font of ``size`` pixels."""
    from PIL import ImageFont

    return ImageFont.truetype(file, size)


@functools.cache
def _fonts_of_this_machine() -> tuple[str, ...]:
    """All font files, upright and of ordinary weight first. Matplotlib's first search for them takes seconds."""
    from matplotlib.font_manager import fontManager

    def plainness(entry: Any) -> tuple[bool, bool, bool, str]:
        return entry.style != "normal", entry.weight not in (400, "normal"), "Sans" not in entry.name, entry.name

    # Last Resort has a "glyph" for everything: a frame with a number in it.
    entries = [entry for entry in fontManager.ttflist if not entry.name.lstrip(".").startswith("Last")]
    return tuple(entry.fname for entry in sorted(entries, key=plainness))


@functools.lru_cache(maxsize=1024)
def _letters(file: str) -> frozenset[int]:
    """The code points that a font file has glyphs for; none where it cannot be drawn with."""
    from matplotlib.ft2font import FT2Font

    try:
        font_of(file, 12)  # fonts of coloured bitmaps have one size of their own, which is not ours
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
