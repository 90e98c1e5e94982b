"""YOLO's text files as records, and back.

Not read by supervision: it takes one folder of pictures and not data.yaml's splits or subfolders, lets numbers above 1
and classes out of range pass, has float32 boxes and stops at the first mistake.
"""

from __future__ import annotations

import math
from pathlib import Path

import yaml

from lineage.common.file_names import inside, safe_name
from lineage.common.progress import track
from lineage.common.values import shown
from lineage.data.findings import VOCFormatError
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.pictures import read_size
from lineage.data.records import Box, Object, Picture, Records, Source, box_inside, in_order
from lineage.data.transfer import put_pictures
from lineage.data.yolo_config import NO_NAMES, RESERVED, read_lines
from lineage.data.yolo_layout import Layout, find_layout, label_places

ROUNDING = 1e-4  # of shares of a side: what tools with four decimals lose
DECIMALS = 9  # of pixels: a share times a side gives 13.999999999999998 for 14
BOX, POLYGON = 4, 6  # numbers after the class; a polygon has these or more


def open_yolo(path: Path, mistakes: Mistakes) -> Source | None:
    """A folder with YOLO labels, or its data.yaml or obj.data; None where ``path`` is nothing of this kind.

    Raises:
        FormatError: data.yaml or a list of pictures cannot be read.
    """
    layout = find_layout(path, mistakes)
    if layout is None:
        return None
    said = {layout.config.file, layout.config.names_file, *layout.lists, *layout.labels.values()}
    files = tuple(sorted(file for file in said if file is not None))
    return Source("yolo", path, files, tuple(layout.ids), lambda: _read(layout, mistakes))


def _read(layout: Layout, mistakes: Mistakes) -> Records:
    config = layout.config
    if config.names_file is None:
        if not mistakes.fatal:
            mistakes.add(f"{config.root}: {NO_NAMES}")
        mistakes.finish()
    pictures: dict[str, Picture] = {}
    for path, name in track(layout.ids.items(), "labels", len(layout.ids)):
        try:
            height, width = read_size(path)
        except VOCFormatError as error:
            mistakes.add(str(error), skippable=True)
            continue
        label = layout.labels.get(path)
        objects = _read_labels(label, layout, (width, height), mistakes) if label else []
        pictures[name] = Picture(path, width, height, tuple(objects))
    mistakes.finish()
    splits = {
        split: [layout.ids[p] for p in paths if layout.ids[p] in pictures] for split, paths in layout.splits.items()
    }
    return Records(config.classes, pictures, in_order(splits))


def _read_labels(file: Path, layout: Layout, size: tuple[int, int], mistakes: Mistakes) -> list[Object]:
    try:
        lines = read_lines(file)
    except FormatError as error:
        mistakes.add(str(error), skippable=True)
        return []
    objects = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{file}: line {number}"
            one = _read_line(line.split(), layout, size, where, mistakes)
            if isinstance(one, Object):
                objects.append(one)
            elif one:
                mistakes.add(f"{where}: {one}", skippable=True)
    return objects


def _read_line(
    words: list[str], layout: Layout, size: tuple[int, int], where: str, mistakes: Mistakes
) -> Object | str | None:
    """An object; or what is wrong with its line; or None where that has been said."""
    numbers = [_number(word) for word in words]
    if not all(map(math.isfinite, numbers)):
        wrong = next(word for word, number in zip(words, numbers) if not math.isfinite(number))
        return f"{shown(wrong)} is not a number"
    label, *shares = numbers
    classes = layout.config.classes
    if label != int(label) or not 0 <= label < len(classes):
        return f"class {words[0]}, but there are {len(classes)}, counted from 0: {', '.join(classes)}"
    keypoints = layout.config.keypoints
    if keypoints and len(shares) == BOX + keypoints:
        mistakes.remark("key points are left out", where)
        shares = shares[:BOX]
    if len(shares) != BOX and (len(shares) < POLYGON or len(shares) % 2):
        return f"{len(words)} numbers, not 5: class, x and y of the centre, width, height"
    outside = [word for word, share in zip(words[1:], shares) if not -ROUNDING <= share <= 1 + ROUNDING]
    if outside:
        hint = ": pixels?" if max(shares) > 2 else ""
        return f"{outside[0]} is not in 0..1, a share of the picture's width or height{hint}"
    if len(shares) == BOX:
        if shares[2] <= 0 or shares[3] <= 0:
            return f"width {words[3]}, height {words[4]}: the box has no area"
        x, y, w, h = shares
        shares = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    else:
        mistakes.remark("polygons, or turned boxes: their extent is the box", where)
        shares = [min(shares[0::2]), min(shares[1::2]), max(shares[0::2]), max(shares[1::2])]
    width, height = size
    x1, y1, x2, y2 = (round(share * side, DECIMALS) for share, side in zip(shares, (width, height) * 2))
    inside = box_inside((x1, y1, x2, y2), width, height, where, mistakes)
    return Object(classes[int(label)], inside) if inside else None


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def write_yolo(records: Records, folder: Path, link: bool = False) -> list[str]:
    """FOLDER/data.yaml, images/ID.suffix, labels/ID.txt and a list of pictures for every split, SPLIT.txt.

    Lists, because a folder a split cannot say the pictures' order, nor that one picture is in two splits. Ultralytics
    reads them; a line "./images/..." is relative to the list.

    Returns:
        what the records say and YOLO cannot.
    Raises:
        FormatError: a split has the name of a field of data.yaml.
    """
    taken = [split for split in records.splits if split in RESERVED]
    if taken:
        raise FormatError(f"split {taken[0]!r}: data.yaml has another use for this word: rename the split first")
    put_pictures(records, folder / "images", link)
    labels = {name: label for label, name in enumerate(records.classes)}
    for name, picture in records.pictures.items():
        target = label_places(inside(folder / "images", records.file_name(name)))[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{labels[one.name]} {_shares(one.box, picture)}\n" for one in picture.objects]
        target.write_text("".join(lines), encoding="utf-8")
    entries = {}
    for split, names in records.splits.items():
        entries[split] = f"{safe_name(split)}.txt"
        lines = [f"./images/{records.file_name(name)}\n" for name in names]
        (folder / entries[split]).write_text("".join(lines), encoding="utf-8")
    if "train" not in entries and "trainval" in entries:
        entries = {"train": entries["trainval"], **entries}  # Ultralytics wants one of this name
    facts = {**entries, "nc": len(labels), "names": {label: name for name, label in labels.items()}}
    text = yaml.safe_dump(facts, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    difficult = records.count(lambda one: one.difficult)
    return [f"difficult: {difficult} objects are ordinary ones now"] if difficult else []


def _shares(box: Box, picture: Picture) -> str:
    """Centre and size as shares of the picture's sides, exact to a millionth of a pixel and better."""
    x1, y1, x2, y2 = box
    w, h = picture.width, picture.height
    return " ".join(f"{share:.15g}" for share in ((x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h))
