"""A data set's corrected copy: what a check finds and what has one plain remedy, each change written down."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from lineage.common.file_names import inside
from lineage.common.folders import write_folder
from lineage.common.progress import track
from lineage.data.annotation import CORNERS, Annotation, parse_annotation, place, read_xml
from lineage.data.findings import VOCFormatError
from lineage.data.layout import Layout, find_layout
from lineage.data.pictures import Header, read_header
from lineage.data.splits import read_split, split_names
from lineage.data.transfer import link_or_copy

# Kind of finding -> what is done about it.
REMEDIES = {
    "annotated lying": "turned with the picture",
    "size differs": "scaled to the picture",
    "inverted box": "corners exchanged",
    "shares of the picture": "multiplied by the picture's size",
    "box outside": "left out",
    "same box twice": "left out",
}
Corners = list[float]  # xmin, ymin, xmax, ymax as VOC counts


class Change(NamedTuple):
    """One box that was changed."""

    file: str
    number: int  # of the object, from 1
    kind: str
    before: Corners
    after: Corners | None  # None: the object was left out


def repair(folder: str | Path, out: Path, kinds: Collection[str] = tuple(REMEDIES)) -> list[Change]:
    """Write a corrected copy in VOC layout to ``out``: annotations, splits, pictures as links, and ``repairs.csv``.

    What has no plain remedy (a picture that cannot be read, an annotation that is none) is copied as it is.

    Args:
        kinds: of :data:`REMEDIES`, those to mend.
    Raises:
        VOCFormatError: ``out`` is there already. ValueError: a kind without a remedy.
    """
    unknown = [kind for kind in kinds if kind not in REMEDIES]
    if unknown:
        raise ValueError(f"--only: {unknown[0]!r} is none of {', '.join(REMEDIES)}")
    if out.exists():
        raise VOCFormatError(f"{out}: is there already; a repaired copy goes to a new folder")
    layout = find_layout(folder)
    changes: list[Change] = []
    write_folder(out, lambda folder: changes.extend(_copy(layout, folder, set(kinds))))
    return changes


def _copy(layout: Layout, out: Path, kinds: set[str]) -> list[Change]:
    for name, path in layout.pictures.files.items():
        link_or_copy(path, inside(out / "JPEGImages", f"{name}{path.suffix}"))
    (out / "ImageSets" / "Main").mkdir(parents=True)
    for split in split_names(layout):
        names, _ = read_split(layout, split)
        inside(out / "ImageSets" / "Main", f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    changes = []
    files = layout.annotations.files
    for name, path in track(files.items(), "repair", len(files)):
        target = inside(out / "Annotations", f"{name}.xml")
        target.parent.mkdir(parents=True, exist_ok=True)
        found = _mended(path, layout.pictures.files.get(name), kinds)
        if found is None:
            shutil.copyfile(path, target)
        else:
            tree, made = found
            tree.write(target, encoding="utf-8")
            changes += made
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["file", "object", "found", "done", *CORNERS, *(f"new {name}" for name in CORNERS)])
    for change in changes:
        after = ["" for _ in CORNERS] if change.after is None else [f"{value:g}" for value in change.after]
        before = [f"{value:g}" for value in change.before]
        writer.writerow([change.file, change.number, change.kind, REMEDIES[change.kind], *before, *after])
    (out / "repairs.csv").write_text(text.getvalue(), encoding="utf-8")
    return changes


def _mended(path: Path, picture: Path | None, kinds: set[str]) -> tuple[ElementTree.ElementTree, list[Change]] | None:
    """An annotation with its boxes put right, and what was changed; None where nothing is to be done."""
    parsed = parse_annotation(path)
    try:
        if picture is None:
            return None
        header, root = read_header(picture), read_xml(path)
    except VOCFormatError:
        return None
    whole = _whole_picture(parsed, header, kinds)
    changes: list[Change] = []
    seen: set[tuple[str, ...]] = set()
    for number, element in enumerate(root.findall("object"), start=1):
        before = _corners(element)
        if before is None:
            continue
        after, kind = _right(before, whole, header, kinds)
        key = ((element.findtext("name") or "").strip(), *(f"{value:.6g}" for value in after or ()))
        if after is not None and key in seen and "same box twice" in kinds:
            after, kind = None, "same box twice"
        seen.add(key)
        if kind:
            changes.append(Change(path.name, number, kind, before, after))
        if after is None:
            root.remove(element)
        elif kind:
            for name, value in zip(CORNERS, after):
                (corner,) = element.iterfind(f"bndbox/{name}")
                corner.text = f"{value:.8g}"
    if not changes:
        return None
    for name, value in zip(("height", "width"), header.size):
        for size in root.iterfind(f"size/{name}"):
            size.text = str(value)
    return ElementTree.ElementTree(root), changes


def _whole_picture(
    parsed: Annotation, header: Header, kinds: set[str]
) -> tuple[str, Callable[[Corners], Corners]] | None:
    """What is to be done to every box of a picture, by how its size differs from the picture's."""
    list(place(parsed, header.size, header.sideways))  # adds its findings
    found = {finding.kind for finding in parsed.findings} & kinds & {"annotated lying", "size differs"}
    if not found or parsed.size is None:
        return None
    (high, wide), (height, width) = parsed.size, header.size
    if "annotated lying" in found:
        return "annotated lying", lambda box: turn(box, header.orientation, (high, wide))

    def scaled(box: Corners) -> Corners:
        x, y = width / wide, height / high
        return [(box[0] - 1) * x + 1, (box[1] - 1) * y + 1, box[2] * x, box[3] * y]

    return "size differs", scaled


def turn(box: Corners, orientation: int, size: tuple[int, int]) -> Corners:
    """Corners (VOC's count) in the stored picture of ``size`` (height, width), in the picture as EXIF turns it."""
    height, width = size
    x1, y1, x2, y2 = box[0] - 1, box[1] - 1, box[2], box[3]
    if orientation in (5, 6, 7, 8):  # columns become rows
        x1, y1, x2, y2, height, width = y1, x1, y2, x2, width, height
    if orientation in (2, 3, 6, 7):  # left and right exchanged
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 7, 8):  # top and bottom exchanged
        y1, y2 = height - y2, height - y1
    return [x1 + 1, y1 + 1, x2, y2]


def _corners(element: ElementTree.Element) -> Corners | None:
    try:
        return [float(element.findtext(f"bndbox/{name}") or "") for name in CORNERS]
    except ValueError:
        return None


def _right(
    box: Corners, whole: tuple[str, Callable[[Corners], Corners]] | None, header: Header, kinds: set[str]
) -> tuple[Corners | None, str]:
    """A box put right, or None where it has to go; and the kind of fault, "" where there is none."""
    kind = ""
    height, width = header.size
    if "shares of the picture" in kinds and min(box) >= 0 and max(box) <= 1 and any(v != int(v) for v in box):
        box, kind = [box[0] * width + 1, box[1] * height + 1, box[2] * width, box[3] * height], "shares of the picture"
    if "inverted box" in kinds and (box[2] < box[0] or box[3] < box[1]):
        box = [min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])]
        kind = "inverted box"
    if whole is not None:
        kind, change = whole
        box = change(box)
    outside = box[2] <= 0 or box[3] <= 0 or box[0] - 1 >= width or box[1] - 1 >= height
    if outside and "box outside" in kinds:
        return None, "box outside"
    return box, kind
