"""Where YOLO pictures and labels lie, as Ultralytics, Roboflow, CVAT, labelImg and others export them.

DIR/data.yaml  images/train + labels/train, or train/images + train/labels, or lists of pictures (train.txt)
DIR/obj.data   obj.names, train.txt, pictures and labels side by side: darknet's, and CVAT's "YOLO 1.1"
DIR            images/ + labels/, or side by side, with classes.txt: labelImg's
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lineage.common.file_names import PICTURE_SUFFIXES, is_picture
from lineage.common.values import shown
from lineage.data.mistakes import Mistakes
from lineage.data.records import SPLITS, is_file, split_name, unique_ids
from lineage.data.yolo_config import Config, find_config, locate, read_lines

PICTURE_FOLDER = re.compile("images|JPEGImages|obj_.*_data")  # below it begins a picture's id
ONLY = "trainval"  # what pictures without a split are for
LABELLED = 20  # pictures that are looked at for a label beside them


@dataclass
class Layout:
    """A YOLO data set's files."""

    config: Config
    lists: tuple[Path, ...]  # of pictures
    splits: dict[str, list[Path]]  # pictures
    ids: dict[Path, str]
    labels: dict[Path, Path] = field(default_factory=dict)  # picture -> label file, where it has one


def find_layout(path: Path, mistakes: Mistakes) -> Layout | None:
    """The YOLO data set at ``path``, a folder or its data.yaml; None where there is none."""
    config = find_config(path, mistakes)
    if config is None or not (config.file or config.names_file or _has_labels(config.root)):
        return None
    splits, named, places = dict[str, list[Path]](), list[tuple[str, Path]](), _places(config, mistakes)
    for split, some in places.items():
        found = [pair for place in some for pair in _pictures(place, config, mistakes)]
        splits[split] = list(dict.fromkeys(path for _, path in found))
        named += found
    lists = tuple(place for some in places.values() for place in some if place.is_file())
    layout = Layout(config, lists, splits, unique_ids(named, mistakes) if named else {})
    layout.labels = {picture: label for picture in layout.ids if (label := _label(picture))}
    _check_labels(path, layout, mistakes)
    return layout


def label_places(picture: Path) -> list[Path]:
    """Where a picture's label file may lie: where Ultralytics looks, in labels/ beside its folder, beside it."""
    file, parts = picture.with_suffix(".txt"), picture.parts
    places = [file.parent.parent / "labels" / file.name, file]
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        places.insert(0, Path(*parts[:last], "labels", *file.parts[last + 1 :]))
    return places


def _label(picture: Path) -> Path | None:
    return next(filter(is_file, label_places(picture)), None)


def _has_labels(root: Path) -> bool:
    """Whether a folder without a list of classes has labels all the same."""
    some = [path for folder in (root, root / "images") for path in sorted(folder.glob("*")) if is_picture(path)]
    inside = any(next(root.glob(pattern), None) for pattern in ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt"))
    return inside or any(_are_labels(path.with_suffix(".txt")) for path in some[:LABELLED])


def _are_labels(file: Path) -> bool:
    """Whether a text's first line is numbers: a readme is no label file."""
    if not is_file(file):
        return False
    with open(file, "rb") as opened:
        first = opened.readline(1000).split()
    try:
        return len([float(word) for word in first]) >= 5
    except ValueError:
        return False


def _places(config: Config, mistakes: Mistakes) -> dict[str, list[Path]]:
    """Each split's folders or lists of pictures: as data.yaml says, or as they are called."""
    if not config.splits:
        return _named_places(config.root)
    places: dict[str, list[Path]] = {}
    for split, entries in config.splits.items():
        for entry in entries:
            place = locate(entry, config.bases)
            where = f"{config.file}: {split} {shown(entry)}"
            if place is not None:
                places.setdefault(split, []).append(place)
            elif split in ("train", "trainval"):
                mistakes.add(f"{where}: no such folder or list of pictures, seen from {config.bases[0]}")
            else:
                mistakes.remark("named, but not there", where)
    return places


def _named_places(root: Path) -> dict[str, list[Path]]:
    for above, below in ((root / "images", ""), (root, "images")):
        folders = sorted(folder for folder in above.glob("*") if folder.is_dir() and split_name(folder.name) in SPLITS)
        places = {split_name(one.name): [one / below if (one / below).is_dir() else one] for one in folders}
        if places:
            return places
    lists = {split: [root / f"{split}.txt"] for split in SPLITS if (root / f"{split}.txt").is_file()}
    folders = [root / name for name in ("images", "obj_train_data", "JPEGImages") if (root / name).is_dir()]
    return lists or {ONLY: [*folders[:1], root][:1]}


def _pictures(place: Path, config: Config, mistakes: Mistakes) -> Iterator[tuple[str, Path]]:
    """(path below its folder, file) of the pictures in a folder, or in a list."""
    if place.is_dir():
        inside = place.glob("*") if place == config.root else place.rglob("*")
        for path in sorted(path for path in inside if is_picture(path) and is_file(path)):
            yield path.relative_to(place).as_posix(), path
        return
    for number, line in enumerate(read_lines(place), start=1):
        if not line.strip():
            continue
        found = locate(line, (place.parent, *config.bases))
        if found is None or not is_picture(found):
            mistakes.add(f"{place.name}: line {number}: {shown(line.strip())} is no picture here", skippable=True)
        else:
            below = found.relative_to(config.root if config.root in found.parents else found.parent)
            yield (Path(*below.parts[1:]) if PICTURE_FOLDER.fullmatch(below.parts[0]) else below).as_posix(), found


def _check_labels(path: Path, layout: Layout, mistakes: Mistakes) -> None:
    if not layout.ids:
        if not mistakes.fatal:
            mistakes.add(f"{path}: no picture is found in it")
        return
    if not layout.labels:
        first = next(iter(layout.ids))
        looked = ", ".join(str(place) for place in label_places(first))
        mistakes.add(f"{path}: no picture has a label file; for {first.name} looked for {looked}")
        return
    for split, pictures in layout.splits.items():
        if pictures and not any(picture in layout.labels for picture in pictures):
            mistakes.remark("splits without any label file: their pictures count as pictures without objects", split)
    # Pictures of no split may have labels; labels of no picture are a mistake.
    expected: dict[Path, set[Path]] = {}
    for folder in {picture.parent for picture in layout.ids}:
        for picture in filter(is_picture, folder.iterdir()):
            for place in label_places(picture):
                expected.setdefault(place.parent, set()).add(place)
    for folder, files in sorted(expected.items()):
        for file in sorted(set(folder.glob("*.txt")) - files):
            if _are_labels(file):
                message = f"{file}: the label file of no picture ({', '.join(PICTURE_SUFFIXES)})"
                mistakes.add(message, skippable=True)
