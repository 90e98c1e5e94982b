"""VOC layout: THE on-disk format. Every dataset is read by this loader.

ROOT/JPEGImages/NAME.jpg   ROOT/Annotations/NAME.xml   ROOT/ImageSets/Main/SPLIT.txt
"""

from __future__ import annotations

import hashlib
import math
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from defusedxml.ElementTree import parse
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
EXIF_ORIENTATION = 0x0112
DECODED_BYTES = 2**29  # of decoded pictures that a dataset keeps in memory
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


class VOCFormatError(ValueError):
    """A file that is not what VOC's layout says; the message names the file, the field and the value."""


def read_image(path: str | Path) -> Tensor:
    """A picture as float32 (3, H, W), RGB, 0..1, as a viewer shows it.

    EXIF rotation is applied (annotations refer to the upright picture), grayscale and palettes become RGB, CMYK
    is converted, transparency is laid on white, 16-bit samples are scaled.

    Raises:
        VOCFormatError: the file is missing, truncated or not a picture.
    """
    return _read_pixels(path).float().div_(255)


def contents_digest(path: Path) -> str:
    """Names what a file holds, wherever it lies and however old it is: a copied dataset finds what is known of it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _read_pixels(path: str | Path) -> Tensor:
    """The same as uint8 (3, H, W)."""
    path = Path(path)
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            pixels = np.asarray(_to_rgb(image))
    except FileNotFoundError:
        raise VOCFormatError(f"{path}: no such picture") from None
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error... for damage
        raise VOCFormatError(f"{path}: cannot be read as a picture: {error}") from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def read_size(path: str | Path) -> tuple[int, int]:
    """The displayed picture's (height, width), from its header alone.

    Raises:
        VOCFormatError: the file is missing or not a picture.
    """
    try:
        with Image.open(path) as opened:
            width, height = opened.size
            # 5 to 8: stored lying on its side
            sideways = opened.getexif().get(EXIF_ORIENTATION) in (5, 6, 7, 8)
    except FileNotFoundError:
        raise VOCFormatError(f"{path}: no such picture") from None
    except Exception as error:
        raise VOCFormatError(f"{path}: cannot be read as a picture: {error}") from None
    return (width, height) if sideways else (height, width)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 or 32 bits a sample
        samples = np.asarray(image, dtype=np.float64)
        image = Image.fromarray((samples / 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def read_annotation(path: str | Path, classes: Sequence[str], size: tuple[int, int] | None = None) -> dict[str, Tensor]:
    """An annotation as a target: ``boxes`` (N, 4) float32, ``labels`` (N,) int64 1..C, ``difficult`` (N,) bool.

    VOC counts pixels from 1 and inclusively; (xmin, ymin, xmax, ymax) becomes (xmin - 1, ymin - 1, xmax, ymax)
    here; only comp4 files (evaluation/result_files.py) are written as VOC does. Boxes partly outside the picture are
    clipped, with one warning a file. A box of one pixel (xmin = xmax) is kept: it has an area.

    Args:
        classes: names of labels 1, 2, ... size: the displayed picture's (height, width); None takes the file's word.
    Raises:
        VOCFormatError: for example ``000123.xml: object 2 ("dog"): xmax 12 < xmin 40``.
    """
    path = Path(path)
    root = _parse(path)
    if size is None:
        size = _size(root, path)
    boxes, labels, difficult, clipped = [], [], [], []
    for number, element in enumerate(root.iterfind("object"), start=1):
        name = _name(element, number, path)
        where = f'{path.name}: object {number} ("{name}")'
        if name not in classes:
            raise VOCFormatError(f"{where}: unknown class; the classes are {', '.join(classes)}")
        box = _box(element, where)
        boxes.append(_clip(box, where, size))
        labels.append(classes.index(name) + 1)
        difficult.append(_difficult(element, where))
        # Counting from 0 instead of 1 is common, and moves a box by one pixel: not worth a warning.
        if max(abs(a - b) for a, b in zip(box, boxes[-1])) > 1:
            clipped.append(str(number))
    if clipped:
        warnings.warn(f"{path.name}: object {', '.join(clipped)}: clipped to the picture, {_shown(size)}", stacklevel=2)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "difficult": torch.tensor(difficult, dtype=torch.bool),
    }


def _parse(path: Path) -> ElementTree.Element:
    try:
        return parse(path).getroot()
    except FileNotFoundError:
        raise VOCFormatError(f"{path}: no such annotation") from None
    except Exception as error:  # ParseError, or one of defusedxml's refusals
        raise VOCFormatError(f"{path.name}: not well-formed XML: {error}") from None


def _size(root: ElementTree.Element, path: Path) -> tuple[int, int] | None:
    try:
        return int(root.findtext("size/height", "0")), int(root.findtext("size/width", "0"))
    except ValueError:
        raise VOCFormatError(f"{path.name}: size: width and height must be whole numbers") from None


def _name(element: ElementTree.Element, number: int, path: Path) -> str:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise VOCFormatError(f"{path.name}: object {number}: name is missing")
    return name


def _difficult(element: ElementTree.Element, where: str) -> bool:
    text = (element.findtext("difficult") or "").strip() or "0"
    if text not in ("0", "1"):
        raise VOCFormatError(f"{where}: difficult is {text!r}, not 0 or 1")
    return text == "1"


def _box(element: ElementTree.Element, where: str) -> list[float]:
    """The object's box, from 0 and with its end excluded."""
    values = {}
    for field in ("xmin", "ymin", "xmax", "ymax"):
        text = element.findtext(f"bndbox/{field}")
        if text is None:
            raise VOCFormatError(f"{where}: {field} is missing")
        try:
            values[field] = float(text)
        except ValueError:
            values[field] = math.nan
        if not math.isfinite(values[field]):
            raise VOCFormatError(f"{where}: {field} is {text.strip()!r}, not a number")
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        if values[high] < values[low]:
            raise VOCFormatError(f"{where}: {high} {values[high]:g} < {low} {values[low]:g}")
    return [values["xmin"] - 1, values["ymin"] - 1, values["xmax"], values["ymax"]]


def _clip(box: list[float], where: str, size: tuple[int, int] | None) -> list[float]:
    if not size or 0 in size:  # some tools write 0 x 0 for "unknown"
        return box
    height, width = size
    inside = [max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)]
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        corners = f"xmin {box[0] + 1:g}, ymin {box[1] + 1:g}, xmax {box[2]:g}, ymax {box[3]:g}"
        raise VOCFormatError(f"{where}: box ({corners}) lies outside the picture, {_shown(size)}")
    return inside


def _shown(size: tuple[int, int] | None) -> str:
    return f"{size[1]} x {size[0]}" if size else "of unknown size"


def find_root(folder: str | Path) -> Path:
    """The folder that holds ImageSets: ``folder`` itself, or VOC2007 / VOC2012 in a VOCdevkit.

    Raises:
        VOCFormatError: there is no such folder, or neither has ImageSets/Main.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise VOCFormatError(f"{folder}: no such folder")
    candidates = [
        folder,
        *(folder / "VOCdevkit" / y for y in ("VOC2007", "VOC2012")),
        folder / "VOC2007",
        folder / "VOC2012",
    ]
    for candidate in candidates:
        if (candidate / "ImageSets" / "Main").is_dir():
            return candidate
    raise VOCFormatError(f"{folder}: not in VOC layout: there is no ImageSets/Main in it")


def discover_classes(root: Path) -> tuple[str, ...]:
    """VOC's 20 classes if the annotations have no others, else the names they have, sorted."""
    names = set()
    for path in sorted((root / "Annotations").glob("*.xml")):
        names |= {_name(element, number, path) for number, element in enumerate(_parse(path).iterfind("object"), 1)}
    return VOC_CLASSES if names and names <= set(VOC_CLASSES) else tuple(sorted(names))


class VOCDataset(Dataset):
    """The pictures of one split with their targets: ``dataset[i] -> (image (3, H, W), target)``.

    Args:
        root: a folder in VOC layout, or a VOCdevkit. split: the name of a file in ImageSets/Main.
        classes: names without the background; None discovers them.
    Raises:
        VOCFormatError: the folder or the split is missing or empty.
    """

    def __init__(self, root: str | Path, split: str, classes: Sequence[str] | None = None) -> None:
        self.root, self.split = find_root(root), split
        self.ids = _read_split(self.root, split)
        self.classes = tuple(classes) if classes is not None else discover_classes(self.root)
        if not self.classes:
            raise VOCFormatError(f"{self.root}: no annotation has an object, so there are no classes to learn")
        self._targets: dict[int, dict[str, Tensor]] = {}
        self._decoded: dict[int, Tensor] = {}  # uint8 pictures, as many as fit: training sees each several times
        self._room = DECODED_BYTES

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        pixels = self._decoded.get(index)
        if pixels is None:
            pixels = _read_pixels(self.image_path(index))
            if self._room >= pixels.nbytes:
                self._room -= pixels.nbytes
                self._decoded[index] = pixels
        return pixels.float().div_(255), self.target(index)

    def target(self, index: int) -> dict[str, Tensor]:
        """The target alone, without decoding the picture."""
        if index not in self._targets:
            # The picture's header, and not the annotation, says its size: tools write 0, or the size before rotation.
            size = read_size(self.image_path(index))
            path = self.root / "Annotations" / f"{self.ids[index]}.xml"
            self._targets[index] = read_annotation(path, self.classes, size)
        return self._targets[index]

    def image_path(self, index: int) -> Path:
        """The picture's file; the .jpg where several exist.

        Raises:
            VOCFormatError: there is none.
        """
        for suffix in SUFFIXES:
            path = self.root / "JPEGImages" / f"{self.ids[index]}{suffix}"
            if path.is_file():
                return path
        raise VOCFormatError(f"{self.root}/JPEGImages/{self.ids[index]}.jpg: no such picture (split {self.split})")


def _read_split(root: Path, split: str) -> list[str]:
    path = root / "ImageSets" / "Main" / f"{split}.txt"
    if not path.is_file():
        found = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
        raise VOCFormatError(f"{path}: no such split; there are: {found}")
    ids = [line.split()[0] for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not ids:
        raise VOCFormatError(f"{path}: the split names no picture")
    return ids
