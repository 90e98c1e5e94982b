"""COCO's JSON as records, and back.

Not read by a library: pycocotools indexes a file without checking it, and supervision drops annotations of unknown
pictures; neither compares sizes and boxes with the pictures or names more than the first mistake, and supervision's
boxes are float32.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Any

from lineage.common.file_names import safe_name
from lineage.common.progress import track
from lineage.common.values import shown
from lineage.data.coco_json import Category, Entry, Id, is_id, read_categories
from lineage.data.coco_layout import FOLDER, PREFIX, Part, find_parts
from lineage.data.findings import VOCFormatError
from lineage.data.mistakes import Mistakes
from lineage.data.pictures import read_size
from lineage.data.records import Box, Object, Picture, Records, Source, add_decimals, box_inside, in_order
from lineage.data.transfer import put_pictures

UNSAID = ("segmentation", "keypoints", "attributes", "caption")  # of an annotation, where they are not empty
Size = tuple[int, int]  # width, height


def open_coco(path: Path, mistakes: Mistakes) -> Source | None:
    """A COCO JSON file, or a folder with such files and their pictures; None where ``path`` is neither.

    Raises:
        FormatError: a file that is plainly meant is no ground truth.
    """
    parts = find_parts(path, mistakes)
    if not parts:
        return None
    pictures = [picture for part in parts for picture in part.files.values()]
    files = tuple(part.file for part in parts)
    return Source("coco", path, files, tuple(pictures), lambda: _read(path, parts, mistakes))


def _read(path: Path, parts: list[Part], mistakes: Mistakes) -> Records:
    classes: dict[str, None] = {}
    pictures: dict[str, Picture] = {}
    splits: dict[str, list[str]] = {}
    unsaid: Counter[str] = Counter()
    for part in parts:
        categories = read_categories(part.document, part.file.name, mistakes)
        classes.update(dict.fromkeys(_classes(categories, part, mistakes)))
        sizes = _read_sizes(part, mistakes)
        objects = _read_objects(part, categories, sizes, mistakes, unsaid)
        splits[part.split] = []
        for number, (width, height) in sizes.items():
            file = part.files[number]
            name, one = part.ids[file], Picture(file, width, height, tuple(objects[number]))
            if pictures.setdefault(name, one) != one:
                mistakes.add(f"{part.images[number][0]}: picture {name!r} has other objects in another split's file")
            splits[part.split].append(name)
    if not classes:
        mistakes.add(f"{path}: there is no category, so there are no classes to learn")
    mistakes.finish()
    return Records(tuple(classes), pictures, in_order(splits), unsaid)


def _classes(categories: dict[Id, Category], part: Part, mistakes: Mistakes) -> list[str]:
    """All but what Roboflow puts first: a category that is the project's name and never an object's."""
    entries = [entry.get("category_id") for entry in part.document["annotations"] if isinstance(entry, dict)]
    used = {number for number in entries if is_id(number)}
    names = []
    for number, (name, above) in categories.items():
        if above == "none" and number not in used and any(name == other.above for other in categories.values()):
            mistakes.remark("categories that only name a group of others are no classes", f"{part.file.name}: {name!r}")
        else:
            names.append(name)
    return names


def _read_sizes(part: Part, mistakes: Mistakes) -> dict[Id, Size]:
    """Each picture's size as it is displayed; a picture without a right one is left out."""
    sizes = {}
    for number, file in track(part.files.items(), f"pictures of {part.split}", len(part.files)):
        where, image = part.images[number]
        try:
            height, width = read_size(file)
        except VOCFormatError as error:
            mistakes.add(f"{where}: {error}", skippable=True)
            continue
        said = image.get("width"), image.get("height")
        if said in ((width, height), (None, None)):
            sizes[number] = width, height
            continue
        wrong = f"{where}: width {shown(said[0])}, height {shown(said[1])}, but {file.name} is "
        if said == (height, width):
            wrong += f"shown as {width} x {height}: it was turned, or annotated without regard to its EXIF orientation"
        else:
            wrong += f"{width} x {height}: was it resized after it was annotated?"
        mistakes.add(wrong, skippable=True)
    return sizes


def _read_objects(
    part: Part, categories: dict[Id, Category], sizes: dict[Id, Size], mistakes: Mistakes, unsaid: Counter[str]
) -> dict[Id, list[Object]]:
    """The objects of each picture that has a size."""
    objects: dict[Id, list[Object]] = {number: [] for number in sizes}
    first: dict[Id, int] = {}
    for number, entry in enumerate(part.document["annotations"]):
        where = f"{part.file.name}: annotations[{number}]"
        fault = _fault(entry, part, categories)
        if not fault and "id" in entry:
            where = f"{where} (id {shown(entry['id'])})"
            if first.setdefault(entry["id"], number) != number:
                fault = f"its id is there twice, first at annotations[{first[entry['id']]}]"
        if fault:
            mistakes.add(f"{where}: {fault}", skippable=True)
        elif entry["image_id"] in sizes:  # else its picture has a mistake of its own
            box = _box(entry, where, mistakes)
            inside = box and box_inside(box, *sizes[entry["image_id"]], where, mistakes)
            if inside:
                difficult = bool(entry.get("iscrowd") or entry.get("ignore"))
                objects[entry["image_id"]].append(Object(categories[entry["category_id"]].name, inside, difficult))
                unsaid.update(f"COCO's {field}" for field in UNSAID if entry.get(field))
    return objects


def _fault(entry: Any, part: Part, categories: dict[Id, Category]) -> str:
    """What is wrong with an annotation but for its box; "" if nothing is."""
    if not isinstance(entry, dict):
        return f"is {shown(entry)}, not an object with image_id, category_id, bbox"
    known: tuple[tuple[str, Container[Id], str], ...] = (
        ("image_id", part.images, "images"), ("category_id", categories, "categories"),
    )  # fmt: skip
    for name, ids, owners in known:
        value = entry.get(name)
        if not is_id(value) or value not in ids:
            return f"{name} is {shown(value)}, which none of the {owners} has"
    if "id" in entry and not is_id(entry["id"]):
        return f"id is {shown(entry['id'])}, not a whole number"
    for name in ("iscrowd", "ignore"):
        if entry.get(name) not in (0, 1, None):
            return f"{name} is {shown(entry[name])}, not 0 or 1"
    return ""


def _box(entry: Entry, where: str, mistakes: Mistakes) -> Box | None:
    """An annotation's box; None after a mistake."""
    bbox = entry.get("bbox")
    if not bbox and entry.get("segmentation"):
        extent = _extent(entry["segmentation"])
        if extent is None:
            message = "bbox is missing, and segmentation is no polygon that a box could be taken from"
            mistakes.add(f"{where}: {message}", skippable=True)
        else:
            mistakes.remark("without bbox: the box is the extent of the polygons", where)
        return extent
    numbers = [_number(value) for value in bbox] if isinstance(bbox, list) else []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        mistakes.add(f"{where}: bbox is {shown(bbox)}, not four numbers: x, y, width, height", skippable=True)
        return None
    x, y, width, height = numbers
    x2, y2 = add_decimals(x, width), add_decimals(y, height)
    if x2 <= x or y2 <= y:
        name, value = ("width", width) if x2 <= x else ("height", height)
        mistakes.add(f"{where}: bbox {shown(bbox)}: its {name} is {value:g}", skippable=True)
        return None
    return x, y, x2, y2


def _number(value: Any) -> float:
    """nan for all that is no number, and for one that is too large."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _extent(segmentation: Any) -> Box | None:
    """The box around polygons [[x, y, x, y, ...], ...]; None where they are none."""
    polygons = segmentation if isinstance(segmentation, list) else []
    if polygons and not isinstance(polygons[0], list):
        polygons = [polygons]
    points = [_number(value) for polygon in polygons if isinstance(polygon, list) for value in polygon]
    whole = all(isinstance(polygon, list) and len(polygon) % 2 == 0 and len(polygon) >= 6 for polygon in polygons)
    if not points or not whole or not all(map(math.isfinite, points)):
        return None
    return min(points[0::2]), min(points[1::2]), max(points[0::2]), max(points[1::2])


def write_coco(records: Records, folder: Path, link: bool = False) -> list[str]:
    """FOLDER/annotations/instances_SPLIT.json for every split, and all pictures in FOLDER/images.

    A picture and a class have the same number in every file; pictures are counted from 1 in the records' order.

    Returns:
        what the records say and COCO cannot: nothing.
    """
    put_pictures(records, folder / "images", link)
    numbers = {name: number for number, name in enumerate(records.pictures, start=1)}
    labels = {name: label for label, name in enumerate(records.classes, start=1)}
    (folder / "annotations").mkdir()
    start = 1
    for split, names in records.splits.items():
        document = _document(records, names, numbers, labels, start)
        start += len(document["annotations"])
        path = folder / "annotations" / f"{PREFIX}{safe_name(split)}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
    return []


def _document(
    records: Records, names: tuple[str, ...], numbers: dict[str, int], labels: dict[str, int], start: int
) -> dict[str, Any]:
    images: list[Entry] = []
    annotations: list[Entry] = []
    for name in names:
        picture = records.pictures[name]
        size = {"width": picture.width, "height": picture.height}
        images.append({"id": numbers[name], "file_name": records.file_name(name), **size})
        for one in picture.objects:
            x1, y1, x2, y2 = one.box
            width, height = add_decimals(x2, -x1), add_decimals(y2, -y1)
            annotations.append({
                "id": start + len(annotations), "image_id": numbers[name], "category_id": labels[one.name],
                "bbox": [x1, y1, width, height], "area": width * height, "iscrowd": int(one.difficult),
            })  # fmt: skip
    categories = [{"id": label, "name": name} for name, label in labels.items()]
    info = {"description": "converted by lineage", FOLDER: "images"}
    return {"info": info, "images": images, "categories": categories, "annotations": annotations}
