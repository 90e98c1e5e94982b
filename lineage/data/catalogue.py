"""Datasets by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lineage.common.download import fetch, unpack
from lineage.common.locks import alone
from lineage.data.convert import ensure_voc
from lineage.data.joined import JoinedVOC
from lineage.data.mistakes import FormatError
from lineage.data.shapes import ensure_shapes
from lineage.data.splits import ALL
from lineage.data.voc import VOC_CLASSES, VOCDataset

VOC_NAMES = ("voc2007", "voc2012", "voc0712")
# The annotations of VOC2012's test pictures were never published: it is learnt on "train" and measured on "val".
SPLITS_2012 = {"trainval": "train", "test": "val"}


def open_dataset(
    name: str,
    split: str,
    cache_dir: Path,
    classes: Sequence[str] | None = None,
    pictures: tuple[int, int] | None = None,
    unannotated: str = "error",
) -> VOCDataset:
    """A split of a dataset.

    Args:
        name: "shapes" (drawn at first use); "voc2007", "voc2012", or "voc0712", which is both years' pictures to learn
            from and 2007's to test on (fetched at first use); a folder in VOC layout; a COCO JSON file or folder, or a
            YOLO folder or data.yaml.
        cache_dir: where drawn, fetched and converted datasets are kept.
        classes: names without the background; None takes them from the dataset.
        pictures: how many to draw for (trainval, test), "shapes" only.
        unannotated: of a folder, what a picture without an annotation is; see VOCDataset.
    Raises:
        VOCFormatError: the folder is not in VOC layout, or has no such split.
        FormatError: the COCO or YOLO data set has mistakes, or no such split.
        DownloadError: the pictures cannot be fetched.
    """
    if name == "shapes":
        trainval, test = pictures or (400, 120)
        return VOCDataset(ensure_shapes(cache_dir, trainval=trainval, test=test), split, classes)
    if name in VOC_NAMES:
        return _voc(name, split, cache_dir, tuple(classes or VOC_CLASSES))
    root = ensure_voc(Path(name), cache_dir)
    if root is None:
        return VOCDataset(name, split, classes, unannotated)
    found = sorted(path.stem for path in (root / "ImageSets" / "Main").glob("*.txt"))
    if split not in (*found, ALL):
        raise FormatError(f"{name}: has no split {split!r}; it has {', '.join(found)}")
    return VOCDataset(root, split, classes)


def _voc(name: str, split: str, cache_dir: Path, classes: tuple[str, ...]) -> VOCDataset:
    if name == "voc2012":
        split = SPLITS_2012.get(split, split)
        return VOCDataset(_fetched("2012", split, cache_dir), split, classes)
    first = VOCDataset(_fetched("2007", split, cache_dir), split, classes)
    if name == "voc2007" or split == "test":
        return first
    return JoinedVOC([first, VOCDataset(_fetched("2012", split, cache_dir), split, classes)])


def _fetched(year: str, split: str, cache_dir: Path) -> Path:
    """The folder of a year's pictures; fetched from where, and with the checksum that, torchvision knows."""
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    part = f"{year}-test" if split == "test" else year
    facts, done = DATASET_YEAR_DICT[part], cache_dir / "voc" / f".{part}-complete"
    if not done.exists():
        with alone(done):
            if not done.exists():
                archive = done.with_name(facts["filename"])
                fetch(facts["url"], f"md5:{facts['md5']}", archive)
                unpack(archive, done.parent)
                done.touch()
    return done.parent / facts["base_dir"]
