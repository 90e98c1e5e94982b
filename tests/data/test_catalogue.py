"""Datasets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.data.catalogue import open_dataset
from lineage.data.figures import CLASSES
from lineage.data.findings import VOCFormatError

MakeVOC = Callable[..., Path]


def test_shapes_are_drawn_at_first_use(tmp_path: Path) -> None:
    train = open_dataset("shapes", "trainval", tmp_path / "new" / "cache", pictures=(4, 2))
    test = open_dataset("shapes", "test", tmp_path / "new" / "cache", classes=train.classes, pictures=(4, 2))
    assert (len(train), len(test)) == (4, 2) and train.root == test.root
    assert set(train.classes) <= set(CLASSES) and train.root.is_relative_to(tmp_path)


def test_a_folder(make_voc: MakeVOC, tmp_path: Path) -> None:
    root = make_voc({"a": [("wolf", (1, 1, 9, 9))]})
    assert open_dataset(str(root), "train", tmp_path / "cache").classes == ("wolf",)
    assert open_dataset(str(root), "train", tmp_path / "cache", classes=("fox", "wolf")).target(0)["labels"] == 2
    assert not (tmp_path / "cache").exists()


def test_a_name_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(VOCFormatError, match="voc2077"):
        open_dataset("voc2077", "train", tmp_path)
