"""Datasets by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lineage.data.shapes import ensure_shapes
from lineage.data.voc import VOC_CLASSES, VOCDataset

DOWNLOADS = {"voc2007": "2007", "voc2012": "2012"}


def open_dataset(
    name: str,
    split: str,
    cache_dir: Path,
    classes: Sequence[str] | None = None,
    pictures: tuple[int, int] | None = None,
) -> VOCDataset:
    """A split of a dataset.

    Args:
        name: "shapes" (drawn at first use), "voc2007" or "voc2012" (fetched at first use), or a folder in VOC layout.
        cache_dir: where drawn and fetched datasets are kept.
        classes: names without the background; None discovers them.
        pictures: how many to draw for (trainval, test), "shapes" only.
    Raises:
        VOCFormatError: the folder is not in VOC layout, or has no such split.
    """
    if name == "shapes":
        trainval, test = pictures or (400, 120)
        return VOCDataset(ensure_shapes(cache_dir, trainval=trainval, test=test), split, classes)
    if name in DOWNLOADS:
        return VOCDataset(_downloaded(DOWNLOADS[name], split, cache_dir), split, classes or VOC_CLASSES)
    return VOCDataset(name, split, classes)


def _downloaded(year: str, split: str, cache_dir: Path) -> Path:
    from torchvision.datasets import VOCDetection

    root = cache_dir / f"voc{year}"
    part = "test" if split == "test" and year == "2007" else "trainval"
    done = root / f".{part}-complete"
    if not done.exists():
        VOCDetection(str(root), year=year, image_set=part, download=True)
        done.touch()
    return root / "VOCdevkit" / f"VOC{year}"
