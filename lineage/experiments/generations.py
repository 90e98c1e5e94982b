"""The systems by name: one table. A system's modules are imported when it is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.common.running import PLAINLY, Running

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lineage.backbones import Backbone
    from lineage.common.history import TrainingReport
    from lineage.data.voc import VOCDataset


@dataclass(frozen=True)
class Generation:
    """One row of the table."""

    name: str  # on the command line and in results.json; the name of its folder
    title: str
    detector: str  # the class in its detector.py
    wing: str = ""  # the folder its own stands in: "" is the trunk
    proposes: bool = False  # proposals of its own; the others are given selective search's
    margins: bool = False  # scores are SVM margins, not probabilities

    @property
    def package(self) -> str:
        """Where its modules are: "lineage.rcnn"."""
        return ".".join(part for part in ("lineage", self.wing, self.name) if part)

    def part(self, module: str) -> Any:
        """Its module "detector", "recipe" or "train"."""
        return importlib.import_module(f"{self.package}.{module}")


TABLE = {
    generation.name: generation
    for generation in (
        Generation("rcnn", "R-CNN", "RCNN", margins=True),
        Generation("sppnet", "SPP-net", "SPPNet", margins=True),
        Generation("fast_rcnn", "Fast R-CNN", "FastRCNN"),
        Generation("faster_rcnn", "Faster R-CNN", "FasterRCNN", proposes=True),
    )
}
GENERATIONS = tuple(TABLE)
TITLES = {name: generation.title for name, generation in TABLE.items()}
RECIPES = ("quick", "evening", "paper")


def generation_of(name: str) -> Generation:
    """A row of the table.

    Raises:
        ValueError: an unknown name.
    """
    if name not in TABLE:
        raise ValueError(f"generation {name!r} is none of {', '.join(GENERATIONS)}")
    return TABLE[name]


def named_recipe(generation: str, name: str) -> Any:
    """A generation's QUICK, EVENING or PAPER recipe.

    Raises:
        ValueError: an unknown generation or name.
    """
    row = generation_of(generation)
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is none of {', '.join(RECIPES)}")
    return getattr(row.part("recipe"), name.upper())


def build_detector(generation: str, backbone: Backbone, classes: tuple[str, ...], recipe: Any) -> nn.Module:
    """An untrained detector on ``backbone``, in eval mode. The backbone becomes part of it."""
    row = generation_of(generation)
    return getattr(row.part("detector"), row.detector)(backbone, classes, recipe).eval()


def train_detector(
    detector: Any,
    dataset: VOCDataset,
    proposals: list[Tensor] | None,
    *,
    seed: int,
    work_dir: Path,
    running: Running = PLAINLY,
) -> TrainingReport:
    """Train a detector of any generation in place by its own procedure."""
    work_dir.mkdir(parents=True, exist_ok=True)
    train = generation_of(detector.generation).part("train").train
    return train(detector, dataset, proposals, seed=seed, work_dir=work_dir, running=running)
