"""Small VOC folders, well-formed or deliberately not, and one drawn shapes dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from voc_folder import Item, annotation

from lineage.data.shapes import write_shapes


@pytest.fixture
def make_voc(tmp_path: Path) -> Callable[..., Path]:
    """Write ``{id: objects}`` as a VOC folder with one split, "train", of 40 x 30 pictures."""

    def make(pictures: dict[str, list[Item]], folder: str = "voc", suffix: str = ".jpg") -> Path:
        root = tmp_path / folder
        for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (root / part).mkdir(parents=True)
        for name, items in pictures.items():
            Image.new("RGB", (40, 30), (200, 100, 50)).save(root / "JPEGImages" / f"{name}{suffix}")
            (root / "Annotations" / f"{name}.xml").write_text(annotation(items))
        (root / "ImageSets" / "Main" / "train.txt").write_text("\n".join(pictures) + "\n")
        return root

    return make


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third of the default dataset: enough for statistics, drawn once."""
    root = tmp_path_factory.mktemp("shapes")
    write_shapes(root, seed=0, trainval=120, test=50, jobs=1)
    return root
