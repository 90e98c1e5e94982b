"""One annotation file: what it says, and everything that is wrong with it at once."""

from __future__ import annotations

import codecs
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from defusedxml.ElementTree import fromstring

from lineage.data.findings import ERROR, WARNING, Finding, VOCFormatError

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels, from 0 and with the end excluded
CORNERS = ("xmin", "ymin", "xmax", "ymax")
DIFFICULT = {"1": True, "true": True, "yes": True, "": False, "0": False, "false": False, "no": False,
             "unspecified": False}  # fmt: skip
OTHER_SHAPES = ("polygon", "robndbox", "rotated_bndbox", "segmentation", "mask", "ellipse", "polyline")
DECLARATION = re.compile(r"^\s*<\?xml[^>]*?\?>")
ENCODING = re.compile(rb"""^[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
BACKGROUND = "__background__"  # some tools write the whole picture as an object of this name


class Object(NamedTuple):
    """One object whose box is usable."""

    number: int  # from 1, as it stands in the file
    name: str
    box: Box
    difficult: bool

    def where(self, file: str) -> str:
        """How messages call it: ``000123.xml: object 2 ("dog")``."""
        return f'{file}: object {self.number} ("{self.name}")'


@dataclass
class Annotation:
    """What a file says: the objects that can be used, and findings about it and about the others."""

    file: str
    size: tuple[int, int] | None = None  # (height, width) that the file claims
    objects: list[Object] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # of all objects, those without a usable box included
    doubtful: list[tuple[str, Box]] = field(default_factory=list)  # kind of finding and box, to be looked at

    def add(self, kind: str, severity: str, message: str, box: Box | None = None) -> None:
        """Put a finding down, and the box that it is about."""
        self.findings.append(Finding(kind, severity, self.file, message))
        if box is not None:
            self.doubtful.append((kind, box))


def parse_annotation(path: str | Path, file: str | None = None) -> Annotation:
    """Read one file; nothing is raised: what is wrong stands in the findings.

    VOC counts pixels from 1 and inclusively; (xmin, ymin, xmax, ymax) becomes (xmin - 1, ymin - 1, xmax, ymax) here.

    Args:
        file: what messages call it; None is its name without folders.
    """
    path = Path(path)
    found = Annotation(file or path.name)
    try:
        root = read_xml(path)
        _check_root(root, found.file)
    except _Unusable as error:
        found.add(error.kind, ERROR, str(error))
        return found
    _read_size(found, root)
    for number, element in enumerate(root.iterfind("object"), start=1):
        found.names |= {(element.findtext("name") or "").strip()} - {""}
        try:
            found.objects.append(_object(element, number, found.file))
        except _Unusable as error:
            found.add(error.kind, ERROR, str(error), error.box)
    return found


class _Unusable(VOCFormatError):
    """A file or an object that cannot be used."""

    def __init__(self, kind: str, message: str, box: Box | None = None) -> None:
        super().__init__(message)
        self.kind, self.box = kind, box


def read_xml(path: Path) -> ElementTree.Element:
    """The file's root element, whatever its encoding.

    Raises:
        VOCFormatError: there is no such file, or it is no XML.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _Unusable("no annotation", f"{path}: no such annotation") from None
    except OSError as error:
        raise _Unusable("unreadable annotation", f"{path}: cannot be read: {error.strerror}") from None
    if not data.strip():
        raise _Unusable("unreadable annotation", f"{path.name}: not well-formed XML: the file is empty")
    try:
        return fromstring(_text(data))
    except Exception as error:  # ParseError, a wrong encoding, or one of defusedxml's refusals
        copied = " (copied from a browser's view? it has a - before its tags)" if b"-<annotation" in data else ""
        raise _Unusable("unreadable annotation", f"{path.name}: not well-formed XML: {error}{copied}") from None


def _text(data: bytes) -> str:
    """The file as text without its declaration: Python knows encodings, and names of them, that expat does not."""
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), None)
    if encoding is None:
        declared = ENCODING.match(data[:200]) if data.lstrip()[:5] == b"<?xml" else None
        encoding = declared.group(1).decode() if declared else "utf-8"
    text = data.decode(encoding).lstrip("\ufeff")
    return DECLARATION.sub("", text, count=1)


def _check_root(root: ElementTree.Element, file: str) -> None:
    if root.tag == "annotation" and not any(child.tag == "Object" for child in root):
        return
    plain = root.tag.rpartition("}")[2]
    if root.tag.startswith("{"):
        why = f"its tags have a namespace ({root.tag[1:].partition('}')[0]}): take the xmlns attribute out"
    elif root.tag == "annotations":
        why = "its root is <annotations>, as of CVAT's own format: export it again as PASCAL VOC"
    elif plain.lower() == "annotation":
        why = f"VOC's tags are in small letters (<annotation>, <object>, <bndbox>), here is <{plain}>" + (
            " with <Object>" if plain == "annotation" else ""
        )
    else:
        why = f"its root is <{plain}>, not <annotation>"
    raise _Unusable("not VOC's XML", f"{file}: not an annotation as VOC has it: {why}")


def _read_size(found: Annotation, root: ElementTree.Element) -> None:
    """Keep (height, width) where it is claimed: some tools write 0 x 0, or nothing, for "unknown"."""
    texts = [(root.findtext(f"size/{name}") or "0").strip() for name in ("height", "width")]
    numbers = [_number(text or "0") for text in texts]
    if any(number is None or number < 0 or number != int(number) for number in numbers):
        found.add("bad size", WARNING, f"{found.file}: size: height {texts[0]!r}, width {texts[1]!r} are no whole "
                  "numbers; the picture's own are taken")  # fmt: skip
        return
    height, width = (int(number or 0) for number in numbers)
    found.size = (height, width) if height and width else None


def _object(element: ElementTree.Element, number: int, file: str) -> Object:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise _Unusable("bad value", f"{file}: object {number}: name is missing")
    where = f'{file}: object {number} ("{name}")'
    box = _box(element, where)
    text = (element.findtext("difficult") or "").strip()
    if text.lower() not in DIFFICULT:
        raise _Unusable("bad value", f"{where}: difficult is {text!r}, not 0 or 1")
    return Object(number, name, box, DIFFICULT[text.lower()])


def _box(element: ElementTree.Element, where: str) -> Box:
    corners = element.find("bndbox")
    if corners is None:
        shape = next((child.tag for child in element if child.tag in OTHER_SHAPES), None)
        what = f"has a <{shape}> and no <bndbox>: export boxes" if shape else "has no <bndbox>"
        raise _Unusable("no box", f"{where}: {what}")
    values = {}
    for name in CORNERS:
        text = corners.findtext(name)
        if text is None:
            raise _Unusable("bad value", f"{where}: {name} is missing")
        number = _number(text)
        if number is None:
            raise _Unusable("bad value", f"{where}: {name} is {text.strip()!r}, not a number")
        values[name] = number
    xmin, ymin, xmax, ymax = values.values()
    if max(values.values()) <= 1 and min(values.values()) >= 0 and any(v != int(v) for v in values.values()):
        shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise _Unusable("shares of the picture", f"{where}: box ({shown}) is in shares of the picture, not in pixels")
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        if values[high] < values[low]:
            box = (min(xmin, xmax) - 1, min(ymin, ymax) - 1, max(xmin, xmax), max(ymin, ymax))
            raise _Unusable("inverted box", f"{where}: {high} {values[high]:g} < {low} {values[low]:g}", box)
    return (xmin - 1, ymin - 1, xmax, ymax)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def place(annotation: Annotation, size: tuple[int, int], sideways: bool = False) -> Iterator[Object]:
    """The objects in a displayed picture of ``size`` (height, width): clipped to it, those outside left out.

    Findings are added to the annotation's: its size is another than the picture's (``sideways``: the file stores it
    lying, EXIF says so), boxes outside, reaching outside, of one pixel, the same box twice.
    """
    same = _compare_sizes(annotation, size, sideways)
    height, width = size
    seen: dict[tuple[str, Box], int] = {}
    clipped = []
    for one in annotation.objects:
        where, (x1, y1, x2, y2) = one.where(annotation.file), one.box
        box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
        if box[2] <= box[0] or box[3] <= box[1]:
            corners = f"xmin {x1 + 1:g}, ymin {y1 + 1:g}, xmax {x2:g}, ymax {y2:g}"
            message = f"{where}: box ({corners}) lies outside the picture, {width} x {height}"
            annotation.add("box outside", ERROR, message, one.box)
            continue
        # Counting from 0 instead of 1 is common, and moves a box by one pixel: not worth a warning.
        if max(abs(a - b) for a, b in zip(one.box, box)) > 1:
            clipped.append(str(one.number))
            annotation.doubtful += [("box clipped", one.box)] * same
        if min(box[2] - box[0], box[3] - box[1]) <= 1:
            shown = f"{box[2] - box[0]:g} x {box[3] - box[1]:g}"
            annotation.add("box of a pixel", WARNING, f"{where}: its box has {shown} pixels: a click, not a drag?", box)
        first = seen.setdefault((one.name, box), one.number)
        if first != one.number:
            annotation.add("same box twice", WARNING, f"{where}: the same box as object {first}", box)
        yield one._replace(box=box)
    if clipped and same:
        message = f"{annotation.file}: object {', '.join(clipped)}: clipped to the picture, {width} x {height}"
        annotation.add("box clipped", WARNING, message)


def _compare_sizes(annotation: Annotation, size: tuple[int, int], sideways: bool) -> bool:
    """Whether boxes were drawn in a picture of this size. A size that is not the picture's may be all that is wrong."""
    claimed = annotation.size
    if claimed is None or claimed == size:
        return True
    (height, width), (high, wide) = size, claimed
    says = f"{annotation.file}: size says {wide} x {high}, the picture is {width} x {height}"
    here, there = (
        all(one.box[2] <= w + 1 and one.box[3] <= h + 1 for one in annotation.objects)
        for w, h in ((width, height), (wide, high))
    )
    exchanged = (high, wide) == (width, height)
    if here and (not there or (exchanged and not sideways)):
        annotation.add("size is wrong", WARNING, f"{says}; its boxes fit the picture")
        return True
    if exchanged and sideways:
        annotation.doubtful += [("annotated lying", one.box) for one in annotation.objects]
        annotation.add(
            "annotated lying",
            ERROR,
            f"{says}: that is how the file stores it, lying on its side, and its boxes may be meant so: "
            "`lineage.check --repair OUT` turns them",
        )
    else:
        annotation.doubtful += [("size differs", one.box) for one in annotation.objects]
        annotation.add(
            "size differs",
            ERROR,
            f"{says}: was it resized after it was annotated? `lineage.check --repair OUT` scales its boxes",
        )
    return False
