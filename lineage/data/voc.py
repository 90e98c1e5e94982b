"""VOC layout: THE on-disk format. Every dataset is read by this loader.

ROOT/JPEGImages/NAME.jpg   ROOT/Annotations/NAME.xml   ROOT/ImageSets/Main/SPLIT.txt   (and what people make of it)
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lineage.data.annotation import BACKGROUND, Annotation, Object, parse_annotation, place
from lineage.data.class_list import CLASS_LIST, listed_classes
from lineage.data.findings import ACCEPTABLE, ERROR, WARNING, Finding, VOCFormatError, errors_of
from lineage.data.layout import Layout, find_layout
from lineage.data.pictures import read_header, read_pixels
from lineage.data.splits import read_split, split_names

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
DECODED_BYTES = 2**29  # of decoded pictures that a dataset keeps in memory
UNANNOTATED = ("error", "negative", "skip")  # what a picture without an annotation is


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
    annotation = parse_annotation(path)
    size = size or annotation.size
    objects = list(place(annotation, size)) if size else annotation.objects
    _complain(annotation.findings)
    for one in objects:
        if one.name not in classes:
            where = one.where(annotation.file)
            raise VOCFormatError(f"{where}: unknown class; the classes are {', '.join(classes)}")
    return _target(objects, classes)


def _complain(findings: Sequence[Finding]) -> None:
    """Raise the first error that nobody can mean; warn of the rest."""
    for finding in errors_of(findings):
        if finding.kind not in ACCEPTABLE:
            raise VOCFormatError(finding.message)
    for finding in findings:
        if finding.kind != "box of a pixel":
            warnings.warn(finding.message, stacklevel=3)


def _target(objects: Sequence[Object], classes: Sequence[str]) -> dict[str, Tensor]:
    known = [one for one in objects if one.name in classes]
    return {
        "boxes": torch.tensor([one.box for one in known], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([classes.index(one.name) + 1 for one in known], dtype=torch.int64),
        "difficult": torch.tensor([one.difficult for one in known], dtype=torch.bool),
    }


def discover_classes(layout: Layout) -> tuple[str, ...]:
    """The names that objects have in the pictures of any split (of all, where there is none), sorted.

    A list of classes (data/class_list.py) says them and their order, where there is one. Files that cannot be read are
    passed over: whoever reads a split hears of those in it.

    Raises:
        VOCFormatError: the list lacks a class.
    """
    wanted: set[str] = set()
    for split in split_names(layout):
        with contextlib.suppress(VOCFormatError):  # an empty file, say
            wanted |= set(read_split(layout, split)[0])
    files = layout.annotations.files
    read = [path for name, path in files.items() if not wanted or name in wanted]
    names = set().union(*(parse_annotation(path).names for path in read)) - {BACKGROUND}
    listed = listed_classes(layout.root)
    if listed is None:
        return tuple(sorted(names))
    unlisted = sorted(names - set(listed))
    if unlisted:
        raise VOCFormatError(f"{layout.root / CLASS_LIST}: lacks {unlisted[0]!r}, which annotations have")
    return listed


class VOCDataset(Dataset):
    """The pictures of one split with their targets: ``dataset[i] -> (image (3, H, W), target)``.

    Args:
        root: a folder in VOC layout, or a VOCdevkit. split: the name of a file in ImageSets/Main.
        classes: names without the background; objects of others are left alone. None discovers them.
        unannotated: what a picture without an annotation is: an "error", "negative" (it has no object: labelImg and
            makesense.ai write no file then), or left out ("skip").
    Attributes:
        split_findings: what is odd about the split itself.
        quiet: True where a check has said everything, and reading need not warn of it again.
    Raises:
        VOCFormatError: the folder or the split is missing or empty.
    """

    def __init__(
        self, root: str | Path, split: str, classes: Sequence[str] | None = None, unannotated: str = "error"
    ) -> None:
        self.layout, self.split, self.unannotated = find_layout(root), split, unannotated
        self.root = self.layout.root
        self.ids, self.split_findings = read_split(self.layout, split)
        if unannotated == "skip":
            self.ids = [name for name in self.ids if name in self.layout.annotations.files]
            if not self.ids:
                raise VOCFormatError(f"{self.root}: no picture of {split} has an annotation")
        self.classes = tuple(classes) if classes is not None else discover_classes(self.layout)
        if not self.classes and classes is None:
            raise VOCFormatError(f"{self.root}: nothing to learn: no annotation has an object, so there are no classes")
        self.quiet = False
        self._targets: dict[int, dict[str, Tensor]] = {}
        self._decoded: dict[int, Tensor] = {}  # uint8 pictures, as many as fit: training sees each several times
        self._room = DECODED_BYTES

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        pixels = self._decoded.get(index)
        if pixels is None:
            pixels = read_pixels(self.image_path(index))
            if self._room >= pixels.nbytes:
                self._room -= pixels.nbytes
                self._decoded[index] = pixels
        return pixels.float().div_(255), self.target(index)

    def target(self, index: int) -> dict[str, Tensor]:
        """The target alone, without decoding the picture."""
        if index not in self._targets:
            annotation = self.annotation(index)
            _complain(errors_of(annotation.findings) if self.quiet else annotation.findings)
            self._targets[index] = _target(annotation.objects, self.classes)
        return self._targets[index]

    def annotation(self, index: int) -> Annotation:
        """What the picture's annotation says, placed in the picture, with every finding about the two.

        The picture's header, and not the annotation, says its size: tools write 0, or the size before rotation.

        Raises:
            VOCFormatError: the picture is missing or none.
        """
        header = read_header(self.image_path(index))
        path = self.layout.annotations.files.get(self.ids[index])
        if path is None:
            return self._unannotated(index)
        annotation = parse_annotation(path, f"{self.ids[index]}{path.suffix}")
        annotation.objects = list(place(annotation, header.size, header.sideways))
        if any(one.name == BACKGROUND for one in annotation.objects):
            annotation.add("background as a class", WARNING, f"{annotation.file}: objects called {BACKGROUND} are left "
                           "out: the background is what no object covers")  # fmt: skip
        return annotation

    def _unannotated(self, index: int) -> Annotation:
        file = f"{self.ids[index]}.xml"
        annotation = Annotation(file)
        if self.unannotated != "negative":
            where = self.layout.annotations.folder / file
            annotation.add("no annotation", ERROR, f"{where}: no such annotation; where such pictures have no object, "
                           "`--unannotated negative` says so, and `skip` leaves them out")  # fmt: skip
        return annotation

    def image_path(self, index: int) -> Path:
        """The picture's file; the .jpg where several exist.

        Raises:
            VOCFormatError: there is none.
        """
        path = self.layout.pictures.files.get(self.ids[index])
        if path is None:
            where = self.layout.pictures.folder / f"{self.ids[index]}.jpg"
            raise VOCFormatError(f"{where}: no such picture (split {self.split})")
        return path

    def without(self, ids: Collection[str]) -> VOCDataset:
        """The same split without these pictures.

        Raises:
            VOCFormatError: none is left.
        """
        left = [name for name in self.ids if name not in ids]
        if not left:
            raise VOCFormatError(f"{self.root}: no picture of {self.split} is left without the bad ones")
        return self._of(left)

    def every(self, step: int) -> VOCDataset:
        """The same split with one picture in ``step``, the first of each."""
        return self._of(self.ids[::step])

    def _of(self, ids: list[str]) -> VOCDataset:
        fewer = copy.copy(self)
        fewer.ids = ids
        fewer._targets, fewer._decoded, fewer._room = {}, {}, DECODED_BYTES
        return fewer
