"""VOC folders as records, and back.

ROOT/ImageSets/classes.txt, where there is one, says the classes in order: VOC itself has no place for that, nor for a
class without an object.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

from lineage.common.file_names import inside, safe_name
from lineage.common.progress import track
from lineage.data.annotation import CORNERS, read_xml
from lineage.data.class_list import CLASS_LIST
from lineage.data.findings import ERROR, Finding, VOCFormatError, errors_of
from lineage.data.layout import Layout, find_layout
from lineage.data.mistakes import Mistakes
from lineage.data.pictures import read_size
from lineage.data.records import Box, Object, Picture, Records, Source, in_order
from lineage.data.splits import ALL, whole_splits
from lineage.data.transfer import put_pictures
from lineage.data.voc import VOCDataset, discover_classes

LEAST = Decimal("0.999999")  # pixels: less is a box narrower than one, and not a sum in floating point
FLAGS = ("truncated", "occluded")  # of an object; only VOC has them


def open_voc(path: Path, mistakes: Mistakes, unannotated: str = "error", accept: Sequence[str] = ()) -> Source:
    """A folder in VOC layout; without a list of pictures all are one split, "trainval".

    Args:
        unannotated: what a picture without an annotation is; see VOCDataset.
        accept: kinds of finding (of :data:`~lineage.data.findings.ACCEPTABLE`) that are meant as they are.
    Raises:
        VOCFormatError: it is not.
    """
    layout = find_layout(path)
    return Source("voc", path, (), (), lambda: _read(layout, mistakes, unannotated, accept))


def _read(layout: Layout, mistakes: Mistakes, unannotated: str, accept: Sequence[str]) -> Records:
    """What :class:`VOCDataset` reads of every split; coordinates as they are written, where it took them so."""
    classes = discover_classes(layout)
    lists = whole_splits(layout, classes) or [ALL]
    pictures: dict[str, Picture] = {}
    splits: dict[str, list[str]] = {}
    unsaid: Counter[str] = Counter()
    bad: set[str] = set()
    for split in lists:
        dataset = VOCDataset(layout.root, split, classes, unannotated)
        splits[split if split != ALL else "trainval"] = list(dataset.ids)
        for index, name in track(enumerate(dataset.ids), f"annotations of {split}", len(dataset)):
            if name in pictures or name in bad:
                continue
            try:
                errors = errors_of(dataset.annotation(index).findings)
            except VOCFormatError as error:
                errors = [Finding("bad picture", ERROR, name, str(error))]
            for finding in errors:
                if finding.kind not in accept:
                    bad.add(name)
                    mistakes.add(finding.message, skippable=True)
            if name not in bad:
                pictures[name] = _picture(dataset, index, unsaid)
    mistakes.finish()
    others = len(layout.annotations.files) - len(pictures) - len(bad)
    if others > 0:
        unsaid["annotations of pictures that no split names"] = others
    kept = {split: [name for name in names if name in pictures] for split, names in splits.items()}
    return Records(classes, pictures, in_order(kept), unsaid)


def _picture(dataset: VOCDataset, index: int, unsaid: Counter[str]) -> Picture:
    path, target = dataset.image_path(index), dataset.target(index)
    height, width = read_size(path)
    written = _written(dataset.layout.annotations.files.get(dataset.ids[index]), unsaid)
    objects = []
    for number, (x1, y1, x2, y2) in enumerate(target["boxes"].tolist()):
        box = (x1, y1, x2, y2)
        # The dataset has float32, clipped and with all else that it forgives: where it only rounded, nothing is lost.
        exact = written[number] if len(written) == len(target["boxes"]) else box
        if all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(exact, box)):
            box = exact
        name = dataset.classes[int(target["labels"][number]) - 1]
        objects.append(Object(name, box, bool(target["difficult"][number])))
    return Picture(path, width, height, tuple(objects))


def _written(annotation: Path | None, unsaid: Counter[str]) -> list[Box]:
    """The boxes as they stand in a file that the dataset could read, in float64; counts what only VOC can say."""
    if annotation is None:
        return []
    try:
        elements = list(read_xml(annotation).iterfind("object"))
        corners = [[Decimal(e.findtext(f"bndbox/{field}", "")) for field in CORNERS] for e in elements]
    except Exception:  # of whatever kind: the dataset has its own word on how it reads such a file
        return []
    for element in elements:
        unsaid.update(f"VOC's {flag}" for flag in FLAGS if element.findtext(flag, "0").strip() == "1")
        unsaid.update("VOC's part" for _ in element.iterfind("part"))
    return [(float(x1 - 1), float(y1 - 1), float(x2), float(y2)) for x1, y1, x2, y2 in corners]


def write_voc(records: Records, folder: Path, link: bool = False) -> list[str]:
    """FOLDER in VOC layout: JPEGImages, Annotations, ImageSets/Main/SPLIT.txt and the classes in order.

    VOC's box is of whole pixels, the last one included: what is narrower than one becomes one.

    Returns:
        what the records say and VOC cannot.
    """
    put_pictures(records, folder / "JPEGImages", link)
    narrow = 0
    for name, picture in records.pictures.items():
        boxes = [_corners(one.box, picture) for one in picture.objects]
        narrow += sum(widened for _, widened in boxes)
        target = inside(folder / "Annotations", f"{name}.xml")
        target.parent.mkdir(parents=True, exist_ok=True)
        root = _annotation(records.file_name(name), picture, [corners for corners, _ in boxes])
        ElementTree.ElementTree(root).write(target, encoding="utf-8")
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, names in records.splits.items():
        _write_lines(lists / f"{safe_name(split)}.txt", names)
    _write_lines(folder / CLASS_LIST, records.classes)
    return [f"boxes narrower than a pixel, which are widened to one: {narrow}"] if narrow else []


def _corners(box: Box, picture: Picture) -> tuple[tuple[Decimal, ...], bool]:
    """xmin, ymin, xmax, ymax as VOC counts, as decimal numbers; and whether the box had to be widened."""
    x1, y1, x2, y2 = (Decimal(repr(value)) for value in box)
    narrow = False
    sides = []
    for low, high, length in ((x1, x2, picture.width), (y1, y2, picture.height)):
        if high < low + 1:
            narrow = narrow or high - low < LEAST
            low = min(max((low + high - 1) / 2, Decimal(0)), Decimal(length - 1))
            high = low + 1
        sides.append((low + 1, high))
    (xmin, xmax), (ymin, ymax) = sides
    return (xmin, ymin, xmax, ymax), narrow


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _annotation(file_name: str, picture: Picture, boxes: Sequence[Sequence[Decimal]]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    _add(root, "filename", file_name)
    size = ElementTree.SubElement(root, "size")
    for field, side in (("width", picture.width), ("height", picture.height), ("depth", 3)):
        _add(size, field, str(side))
    for one, box in zip(picture.objects, boxes, strict=True):
        element = ElementTree.SubElement(root, "object")
        _add(element, "name", one.name)
        _add(element, "difficult", str(int(one.difficult)))
        corners = ElementTree.SubElement(element, "bndbox")
        for field, value in zip(CORNERS, box):
            _add(corners, field, _plain(value))
    return root


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text


def _plain(number: Decimal) -> str:
    """14 and not 14.0; 0.0000001 and not 1E-7."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
