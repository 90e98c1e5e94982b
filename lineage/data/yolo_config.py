"""What a YOLO data set says of itself: its classes and its splits, in data.yaml, obj.data or a list of names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lineage.common.file_names import is_picture
from lineage.common.text_files import read_text
from lineage.common.values import shown
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import SPLIT_NAMES, class_names, is_file, split_names

CONFIGS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "obj.data")
NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "labels/classes.txt")
RESERVED = ("path", "names", "nc", "kpt_shape", "download", "backup")  # fields that are no split
NO_NAMES = "no file says the classes: write data.yaml with names: [first, second], or classes.txt with a name a line"


@dataclass
class Config:
    """The facts, as yet without a picture."""

    root: Path
    file: Path | None  # data.yaml or obj.data
    names_file: Path | None
    classes: tuple[str, ...] = ()
    keypoints: int = 0  # numbers of a pose that follow each box
    splits: dict[str, list[str]] = field(default_factory=dict)  # folders or lists of pictures, as written
    bases: tuple[Path, ...] = ()  # what these may be relative to


def find_config(path: Path, mistakes: Mistakes) -> Config | None:
    """The facts of a folder, of data.yaml or of obj.data; None where ``path`` is nothing of this kind."""
    if path.is_file() and path.suffix.lower() not in (".yaml", ".yml", ".data"):
        return None
    root = path.parent if path.is_file() else path
    file = path if path.is_file() else _first(root, CONFIGS)
    facts = _facts(file) if file else {}
    if file and not facts.keys() & {"names", "nc", "train"}:
        file, facts = None, {}
    config = Config(root, file, None)
    _read_classes(config, facts, mistakes)
    config.keypoints = _keypoints(facts, file, mistakes)
    above = root / str(facts.get("path") or ".")
    config.bases = (above, root) if above.is_dir() else (root,)
    found = {key: entries for key, value in facts.items() if (entries := _entries(key, value, root))}
    config.splits = dict(zip(split_names([*found]), found.values()))
    if config.splits.get("train") == config.splits.get("trainval"):
        config.splits.pop("train", None)  # is there because Ultralytics wants one
    return config


def _entries(key: str, value: Any, root: Path) -> list[str]:
    """The folders or lists of a field that is a split: a usual one, or another that names a list of pictures."""
    entries = [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, str) and entry]
    is_list = len(entries) == 1 and entries[0].endswith(".txt") and is_file(root / entries[0])
    return entries if key not in RESERVED and (key.lower() in SPLIT_NAMES or is_list) else []


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _facts(file: Path) -> dict[str, Any]:
    """What is written in data.yaml, or in darknet's lines "key = value"."""
    if file.suffix == ".data":
        pairs = (line.partition("=") for line in read_lines(file))
        facts = {key.strip(): value.strip() for key, equals, value in pairs if equals}
        return {("nc" if key == "classes" else key): value for key, value in facts.items()}
    try:
        # Not yaml.safe_load: it makes False of a class called no, and 8 of 010. This is as safe: all stays text.
        document = yaml.load("\n".join(read_lines(file)), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise FormatError(f"{file}: not well-formed YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise FormatError(f"{file}: is {shown(document)}, not fields such as names, train and val")
    return document


def _read_classes(config: Config, facts: Mapping[str, Any], mistakes: Mistakes) -> None:
    names: Any = facts.get("names")
    if isinstance(names, str) and names:  # darknet: another file
        found = locate(names, (config.root,))
        config.names_file = found if found and found.is_file() else None
        if not config.names_file:
            mistakes.add(f"{config.file}: names is {shown(names)}: no such file, and no list of names")
    elif names:
        config.names_file = config.file
    else:
        config.names_file = _first(config.root, NAME_LISTS)
    if config.names_file is None:
        return
    if config.names_file != config.file:
        names = read_lines(config.names_file)
        while names and not names[-1].strip():
            names.pop()
    where = f"{config.names_file.name}: names"
    if isinstance(names, dict):
        numbers = {str(number) for number in range(len(names))}
        if names.keys() != numbers:
            mistakes.add(f"{where}: its numbers are {', '.join(map(str, names))}, not 0 to {len(names) - 1}")
        names = [names[key] for key in sorted(names, key=lambda key: (len(key), key))]
    config.classes = class_names(names, where, mistakes)
    count = facts.get("nc")
    if count and count != str(len(config.classes)):
        mistakes.add(f"{config.file}: nc is {shown(count)}, but there are {len(config.classes)} names")


def _keypoints(facts: Mapping[str, Any], file: Path | None, mistakes: Mistakes) -> int:
    shape = facts.get("kpt_shape")
    if not shape:
        return 0
    if not isinstance(shape, list) or len(shape) != 2 or not all(str(side).isdecimal() for side in shape):
        mistakes.add(f"{file}: kpt_shape is {shown(shape)}, not [points, numbers a point]")
        return 0
    return int(shape[0]) * int(shape[1])


def read_lines(file: Path) -> list[str]:
    """The lines of a text file; raises FormatError where it is none."""
    return read_text(file, FormatError).replace("\r\n", "\n").split("\n")


def locate(written: str, bases: tuple[Path, ...]) -> Path | None:
    """What a path in a list or in data.yaml means here; None where there is no such file or folder.

    Such paths are often another machine's, or relative to another folder ("../train/images" beside train/). So its
    end counts: of pictures and folders at least the last two parts, of lists (data/train.txt) the name.
    """
    parts = [part for part in written.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    inside = parts[next((i for i, part in enumerate(parts) if part != ".."), len(parts)) :]
    for base in bases:
        for tail in (*_tails(inside), parts):
            path = base.joinpath(*tail)
            name_only = len(tail) == 1 < len(parts)
            if tail and ((is_file(path) and not (name_only and is_picture(path))) or (path.is_dir() and not name_only)):
                return Path(os.path.normpath(path))
    absolute = Path(written.strip())
    return absolute if absolute.is_absolute() and (is_file(absolute) or absolute.is_dir()) else None


def _tails(parts: list[str]) -> Iterator[list[str]]:
    yield parts
    for start in range(1, len(parts)):
        yield parts[start:]
