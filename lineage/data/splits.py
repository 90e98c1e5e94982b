"""Which pictures a split has: ImageSets/Main/SPLIT.txt, as people really write it; and splits made on request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lineage.common.checkpoint import write_atomically
from lineage.common.file_names import PICTURE_SUFFIXES, composed
from lineage.common.sampling import seeded_generator
from lineage.common.text_files import read_text
from lineage.data.findings import ERROR, WARNING, Finding, VOCFormatError
from lineage.data.layout import Layout

COLUMNS = ("-1", "0", "1")  # of VOC's files of one class: without it, with a difficult one only, with it
ALL = "*"  # every picture there is, whatever the splits say
JOINED = {"trainval": ("train", "val")}  # what a missing split is made of; val may be missing, too


# Where no file names the splits, folders may: Roboflow exports train/, valid/ and test/.
FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def split_names(layout: Layout) -> list[str]:
    """The splits that name a picture, sorted."""
    if layout.splits.is_dir():
        return sorted(path.stem for path in layout.splits.glob("*.txt") if path.read_bytes().strip())
    return sorted(_by_folder(layout))


def whole_splits(layout: Layout, classes: Sequence[str]) -> list[str]:
    """Those of them that are not for one class alone, as VOC's dog_train.txt is; the usual ones first."""
    names = split_names(layout)
    usual = [name for name in ("trainval", "train", "val", "test") if name in names]
    of_a_class = {f"{one}_{split}" for one in classes for split in usual}
    return [*usual, *(name for name in names if name not in usual and name not in of_a_class)]


def _by_folder(layout: Layout) -> dict[str, list[str]]:
    """Splits by the folders that pictures lie in; none unless one of them is for training."""
    found: dict[str, list[str]] = {}
    for name in sorted(layout.pictures.files):
        split = FOLDERS.get(name.partition("/")[0].lower()) if "/" in name else None
        if split:
            found.setdefault(split, []).append(name)
    return found if "train" in found else {}


def read_split(layout: Layout, split: str) -> tuple[list[str], list[Finding]]:
    """A split's pictures by name, each once, and what is odd about its file.

    A missing trainval is train and val. A line may have a suffix, a path, spaces in the name, or the column of a
    class; the file may be in UTF-8 or UTF-16, with or without a mark.

    Raises:
        VOCFormatError: there is no such split, it is not text, or it names no picture.
    """
    if split == ALL:
        return sorted(layout.pictures.files), []
    path, there = _file(layout, split), split_names(layout)
    parts = [part for part in JOINED.get(split, ()) if part in there or _file(layout, part)]
    if path is None and "train" in parts:
        read = [read_split(layout, part) for part in parts]
        ids = dict.fromkeys(name for names, _ in read for name in names)
        made = Finding(f"no {split}", WARNING, f"{split}.txt", f"there is no {split}.txt: {' and '.join(parts)} it is")
        return [*ids], [made, *(finding for _, found in read for finding in found)]
    if path is None and not layout.splits.is_dir() and split in there:
        return _by_folder(layout)[split], []
    if path is None:
        raise VOCFormatError(_no_such_split(layout, split))
    lines = [line for line in read_text(path, VOCFormatError).splitlines() if line.strip()]
    if not lines:
        raise VOCFormatError(f"{path}: the split names no picture")
    names = [_name(layout, line) for line in lines]
    unique = list(dict.fromkeys(names))
    twice = sorted({name for name in unique if names.count(name) > 1}) if len(unique) < len(names) else []
    findings = [
        Finding("listed twice", WARNING, path.name, f"{path.name}: names {name!r} {names.count(name)} times")
        for name in twice
    ]
    return unique, findings


def _file(layout: Layout, split: str) -> Path | None:
    exact = layout.splits / f"{split}.txt"
    if exact.is_file():
        return exact
    alike = [path for path in layout.splits.glob("*.txt") if path.stem.lower() == split.lower()]
    return alike[0] if len(alike) == 1 else None


def missing_splits(layout: Layout) -> list[Finding]:
    """The splits that commands look for by default and that there are none of: what to say instead."""
    there = split_names(layout)
    if not there:
        return [Finding("no splits", ERROR, "ImageSets/Main", _no_such_split(layout, "trainval"))]
    named = {name.lower() for name in there}
    wanted = [] if named & {"trainval", "train"} else ["trainval"]
    wanted += [] if "test" in named else ["test"]
    return [Finding(f"no {split}", WARNING, f"{split}.txt", _no_such_split(layout, split)) for split in wanted]


def _no_such_split(layout: Layout, split: str) -> str:
    there = split_names(layout)
    if not there:
        return (
            f"{layout.root}: no ImageSets/Main, so nothing says which pictures are learnt from: "
            f"`python -m lineage.check {layout.root} --make-split 0.2` puts a fifth of them aside for the test"
        )
    hint = ""
    if split == "test" and "val" in there:
        hint = "; `--validate` trains on train and tests on val"
    elif split == "trainval":
        hint = "; `lineage.train --split NAME` learns from another"
    elif split == "test":
        hint = "; `lineage.train --split NAME` trains without one"
    return f"{layout.splits / split}.txt: no such split; there are: {', '.join(there)}{hint}"


def _name(layout: Layout, line: str) -> str:
    """The picture that a line means: the whole line if there is one of that name, else without what may be added."""
    text = line.strip().replace("\\", "/")
    words = text.rsplit(maxsplit=1)
    bare = words[0] if len(words) == 2 and words[1] in COLUMNS else text
    for candidate in dict.fromkeys([text, _without_suffix(text), bare, _without_suffix(bare)]):
        for form in (candidate, candidate.rpartition("/")[2]):
            name = layout.pictures.name_of(form)
            if name is not None:
                return name
    return composed(_without_suffix(bare))


def _without_suffix(text: str) -> str:
    stem, dot, suffix = text.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in (*PICTURE_SUFFIXES, ".xml") else text


def make_split(layout: Layout, test_share: float, seed: int = 0) -> dict[str, list[str]]:
    """Write trainval.txt and test.txt, and train.txt and val.txt of trainval in the same shares: the pictures shuffled.

    Args:
        test_share: of the pictures, at least one; and of trainval's for val.
    Raises:
        VOCFormatError: there are splits already, or fewer than three pictures. ValueError: a share outside (0, 1).
    """
    if not 0 < test_share < 1:
        raise ValueError(f"--make-split: {test_share:g} is no share between 0 and 1")
    if split_names(layout):
        raise VOCFormatError(f"{layout.splits}: there are splits already: {', '.join(split_names(layout))}")
    names = sorted(layout.pictures.files)
    if len(names) < 3:
        raise VOCFormatError(f"{layout.root}: {len(names)} pictures are too few for a split")
    order = torch.randperm(len(names), generator=seeded_generator(seed)).tolist()
    test, rest = _cut([names[i] for i in order], test_share)
    val, train = _cut(rest, test_share)
    splits = {"trainval": sorted(rest), "test": sorted(test), "train": sorted(train), "val": sorted(val)}
    for split, chosen in splits.items():
        text = "\n".join(chosen) + "\n"
        write_atomically(layout.splits / f"{split}.txt", lambda path, text=text: path.write_text(text, "utf-8"))  # type: ignore[misc]
    return splits


def _cut(names: list[str], share: float) -> tuple[list[str], list[str]]:
    count = min(len(names) - 1, max(1, round(share * len(names))))
    return names[:count], names[count:]
