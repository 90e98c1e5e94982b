"""What an ablation is made of: variants of a generation, changed before training, after it, or at test.

Changes are computed from the recipe, so that the same table holds for the quick recipe on shapes and for the papers'
on VOC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lineage.data.voc import VOCDataset
from lineage.experiments.experiment import Experiment, Say

Change = Callable[[Any], dict[str, Any]]  # recipe -> {field, with dots where it is nested: value}


@dataclass(frozen=True)
class Setting:
    """What a variant is trained and measured on."""

    experiment: Experiment
    train: VOCDataset
    test: VOCDataset
    regions: list[Tensor]  # selective search's, of the training pictures
    test_regions: list[Tensor]
    seed: int
    say: Say


@dataclass(frozen=True)
class Variant:
    """One row of an ablation."""

    label: str
    generation: str
    published: float | None = None  # mAP on VOC2007 test, %
    train: Change = lambda recipe: {}
    test: Change = lambda recipe: {}
    rebuild: Callable[[Any, Setting], Any] | None = None  # the trained detector becomes the one that is measured
    share: float = 1.0  # of the proposals, at test
    unshared: bool = False  # proposals of an RPN with convolutions of its own


@dataclass(frozen=True)
class Ablation:
    """One question, and the rows that answer it."""

    title: str
    source: str  # of the published figures, and what they were measured on
    variants: tuple[Variant, ...]
    remark: str = ""
