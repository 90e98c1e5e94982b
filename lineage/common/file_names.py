"""File names: made from what data call things, and what they say of a picture."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path, PurePosixPath

FORBIDDEN = set('/\\:*?"<>|%')  # by Linux, macOS or Windows; and what marks a replaced letter
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")  # in any case
LONGEST = 150  # bytes: a file system allows 255 to the whole name, and what is written aside has a longer one


def safe_name(text: str) -> str:
    """A file name for ``text`` that every system accepts: different texts get different names.

    Plain words stay as they are, letters of any script and spaces inside included. What no file name may have becomes
    %XX, its UTF-8 bytes in hexadecimal, as in an address: "w/o mask" is "w%2Fo mask". A name too long ends in a digest.
    """
    safe = "".join(_encoded(letter) if _is_forbidden(letter) else letter for letter in text)
    if safe[:1] in (".", " ") or not safe:  # hidden, "..", or nothing
        safe = (_encoded(safe[0]) if safe else "%") + safe[1:]
    if safe[-1] in (".", " "):  # Windows drops them
        safe = safe[:-1] + _encoded(safe[-1])
    if len(safe.encode(errors="surrogatepass")) <= LONGEST:
        return safe
    start = safe.encode()[: LONGEST - 18].decode(errors="ignore")
    return f"{start}%~{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"


def _is_forbidden(letter: str) -> bool:
    return letter in FORBIDDEN or unicodedata.category(letter) in ("Cc", "Cs")


def _encoded(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode(errors="surrogatepass"))


def composed(name: str) -> str:
    """Unicode's composed form (NFC): macOS writes accents apart."""
    return unicodedata.normalize("NFC", name)


def stays_inside(path: str) -> bool:
    """Whether a relative path "a/b" of the data leads to a place below the folder that it is joined to."""
    parts = {*path.split("/"), *Path(path).parts}  # a system may have other separators, too
    return not Path(path).anchor and not parts & {"", ".", ".."}


def inside(folder: Path, name: str | PurePosixPath) -> Path:
    """``name`` in ``folder``: the one way from what data call a picture, "a/b.jpg", to a file that is written.

    Raises:
        ValueError: it would lie elsewhere.
    """
    if not stays_inside(str(name)):
        raise ValueError(f"{str(name)!r}: does not name a file inside {folder}")
    return folder / name


def without_suffix(name: str) -> str:
    """A picture's name without its suffix; other dots stay."""
    return name[: -len(PurePosixPath(name).suffix)] if name.lower().endswith(PICTURE_SUFFIXES) else name


def is_picture(path: Path) -> bool:
    """By its name alone."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
