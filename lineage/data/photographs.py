"""Photographs that come with installed packages, and what is to be seen on them of VOC's twenty classes.

The packages' pictures, the boxes drawn by hand for this project: enough to ask a detector about, far too few to measure
one.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lineage.data.pictures import read_image
from lineage.data.voc import VOC_CLASSES


class _Photograph(NamedTuple):
    package: str
    file: str  # inside it
    objects: tuple[tuple[str, tuple[int, int, int, int]], ...]  # class and box, (x1, y1, x2, y2) in pixels


_PHOTOGRAPHS = {
    "chelsea": _Photograph("skimage", "data/chelsea.png", (("cat", (0, 0, 395, 300)),)),
    "astronaut": _Photograph("skimage", "data/astronaut.png", (("person", (21, 13, 362, 512)),)),
    # At its left edge stands half a bicycle, which VOC would mark difficult.
    "motorcycle": _Photograph("skimage", "data/motorcycle_left.png", (("motorbike", (92, 80, 684, 452)),)),
    "hopper": _Photograph("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (("person", (16, 22, 512, 600)),)),
    "china": _Photograph("sklearn", "datasets/images/china.jpg", ()),  # a pavilion, trees, a lake
}


def photographs() -> dict[str, tuple[Tensor, dict[str, Tensor]]]:
    """Name -> picture (3, H, W) in 0..1, and its target as a :class:`~lineage.data.voc.VOCDataset` gives them.

    Raises:
        FileNotFoundError: scikit-image is not installed; it comes with the extra ``notebooks``.
    """
    return {name: (read_image(_path(one)), _target(one)) for name, one in _PHOTOGRAPHS.items()}


def _path(photograph: _Photograph) -> Path:
    spec = find_spec(photograph.package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"{photograph.file} comes with the package {photograph.package}, which is not installed: "
            'python -m pip install -e ".[notebooks]"'
        )
    return Path(spec.origin).parent / photograph.file


def _target(photograph: _Photograph) -> dict[str, Tensor]:
    boxes = [box for _, box in photograph.objects]
    labels = [VOC_CLASSES.index(name) + 1 for name, _ in photograph.objects]
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "difficult": torch.zeros(len(labels), dtype=torch.bool),
    }
