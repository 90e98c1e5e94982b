"""The photographs of installed packages."""

from __future__ import annotations

import pytest
import torch

from lineage.data import photographs as module
from lineage.data.photographs import photographs
from lineage.data.voc import VOC_CLASSES


def test_they_are_pictures_with_boxes_inside():
    found = photographs()
    assert list(found) == ["chelsea", "astronaut", "motorcycle", "hopper", "china"]
    for name, (image, target) in found.items():
        assert image.dtype == torch.float32 and image.shape[0] == 3 and 0 <= image.min() < image.max() <= 1
        height, width = image.shape[1:]
        x1, y1, x2, y2 = target["boxes"].unbind(1)
        assert ((x1 >= 0) & (x1 < x2) & (x2 <= width) & (y1 >= 0) & (y1 < y2) & (y2 <= height)).all(), name
    named = {name: [VOC_CLASSES[label - 1] for label in target["labels"]] for name, (_, target) in found.items()}
    assert named == {
        "chelsea": ["cat"], "astronaut": ["person"], "motorcycle": ["motorbike"], "hopper": ["person"], "china": [],
    }  # fmt: skip


def test_the_boxes_hold_what_they_name():
    """Orange is the astronaut's suit, red the motorcycle: their pixels lie in the boxes and hardly outside."""
    found = photographs()
    for name, colour in (("astronaut", (0.85, 0.40, 0.22)), ("motorcycle", (0.70, 0.08, 0.10))):
        image, target = found[name]
        near = (image - torch.tensor(colour).view(3, 1, 1)).abs().amax(dim=0) < 0.12
        x1, y1, x2, y2 = (int(value) for value in target["boxes"][0])
        assert near.sum() > 2000, name
        assert near[y1:y2, x1:x2].sum() > 0.75 * near.sum(), name


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda package: None)
    with pytest.raises(FileNotFoundError, match=r"chelsea.png comes with the package skimage, which is not installed"):
        photographs()
