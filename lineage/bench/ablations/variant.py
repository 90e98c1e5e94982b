"""What an ablation is made of: variants of a generation, changed before training, after it, or at test.

Changes are computed from the recipe, so that the same table holds for the quick recipe on shapes and for the papers'
on VOC.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from lineage.data.voc import VOCDataset
from lineage.experiments.checkpoints import load_detector
from lineage.experiments.experiment import Experiment, Say
from lineage.experiments.generations import generation_of
from lineage.experiments.pretrained import require_model
from lineage.experiments.training import region_proposals, trained_detector

Change = Callable[[Any], dict[str, Any]]  # recipe -> {field, with dots where it is nested: value}


@dataclass(frozen=True)
class Setting:
    """What a variant is trained and measured on. Selective search runs where a variant needs it."""

    experiment: Experiment
    train: VOCDataset
    test: VOCDataset
    seed: int
    say: Say
    pretrained: bool = False  # the detectors of models/, not some trained now

    def detector(self, generation: str, changes: tuple[tuple[str, Any], ...]) -> Any:
        """A generation's detector, trained by the recipe with ``changes``, on the experiment's device."""
        if self.pretrained:
            detector = load_detector(require_model(generation), generation=generation)[0].to(self.experiment.device)
        else:
            altered = dataclasses.replace(self.experiment, changes=changes)
            regions = None if generation_of(generation).proposes else self.regions
            detector, _ = trained_detector(altered, generation, self.seed, self.train, regions, self.say)
        detector.amp = self.experiment.amp
        return detector

    @cached_property
    def regions(self) -> list[Tensor]:
        """Selective search's proposals of the training pictures, (R, 4) each."""
        return region_proposals(self.experiment, self.train)

    @cached_property
    def test_regions(self) -> list[Tensor]:
        return region_proposals(self.experiment, self.test)


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
    rpn: int | None = None  # at test, this many proposals of Faster R-CNN's RPN, in place of selective search's
    unshared: bool = False  # proposals of an RPN with convolutions of its own, in training as well


@dataclass(frozen=True)
class Ablation:
    """One question, and the rows that answer it."""

    title: str
    source: str  # of the published figures, and what they were measured on
    variants: tuple[Variant, ...]
    remark: str = ""
