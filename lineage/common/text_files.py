"""Text and JSON as people's programs write them: UTF-8, or UTF-16 with its mark."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any


def read_text(path: Path, error: type[Exception] = ValueError) -> str:
    """A text file's contents, without a byte order mark.

    Args:
        error: what is raised for a file that is no text; its message names the file and the place.
    Raises:
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as found:
        raise error(f"{path}: not text in UTF-8 or UTF-16: {found}") from None


def read_json(path: Path, error: type[Exception] = ValueError) -> Any:
    """A JSON file's value.

    Args:
        error: what is raised for a file that is no JSON, or cannot be read; its message names the file.
    """
    try:
        return json.loads(path.read_bytes())  # of bytes: finds UTF-16 and a byte order mark by itself
    except (OSError, ValueError, RecursionError) as found:  # nests of thousands, numbers of thousands of digits
        raise error(f"{path}: cannot be read as JSON: {found}") from None
