"""ROOT/ImageSets/classes.txt: the classes in order, which VOC itself has no place for."""

from __future__ import annotations

from pathlib import Path

from lineage.common.text_files import read_text
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import class_names

CLASS_LIST = "ImageSets/classes.txt"


def listed_classes(root: Path) -> tuple[str, ...] | None:
    """The names in ROOT/ImageSets/classes.txt, a line each; None where there is no such file."""
    path = root / CLASS_LIST
    if not path.is_file():
        return None
    mistakes = Mistakes(path)
    names = class_names(read_text(path, FormatError).rstrip("\n").split("\n"), str(path), mistakes)
    mistakes.finish()
    return names
