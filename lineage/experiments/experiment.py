"""What is trained on what: the one description that every command, notebook and benchmark starts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lineage.backbones.pretrain import CROPS
from lineage.common.augment import Augmentation
from lineage.common.optimise import Solver
from lineage.data.catalogue import open_dataset
from lineage.data.findings import VOCFormatError
from lineage.data.mistakes import FormatError
from lineage.data.voc import VOCDataset
from lineage.experiments.generations import named_recipe
from lineage.rcnn.recipe import PAPER as RCNN_PAPER
from lineage.selective_search.settings import ProposalSettings

QUICK_MODE_UP_TO = 300  # two strategies give some 300 boxes; who asks for more gets the papers' eight
PAPER_PROPOSALS = RCNN_PAPER.proposals
Say = Callable[[str], None]


@dataclass(frozen=True)
class Experiment:
    """What is trained on what, and how. Everything that changes a trained model is a field."""

    data: str
    backbone: str
    weights: str | None
    recipe: str
    cache: Path
    device: torch.device
    proposals: int | None = None
    procedure: str | None = None  # of Faster R-CNN; None is the recipe's
    preprocessing: str | None = None  # of weights from a file; None is the backbone's usual one
    augmentation: Augmentation = Augmentation()  # of all but SPP-net, whose maps are computed once
    classes: tuple[str, ...] | None = None  # in this order; None: what the annotations have
    changes: tuple[tuple[str, Any], ...] = ()  # of the recipe: field, with dots where it is nested, and value
    regions: str = "selective search"  # where Fast R-CNN's proposals come from
    pretraining: bool = True  # of tiny
    pretrain_here: bool = False  # and not by somebody else, whose weights lie in models/
    validate: bool = False  # train on "train", test on "val": for making choices
    split: str | None = None  # to learn from; None is trainval, or train with ``validate``
    unannotated: str = "error"  # what a picture without an annotation is: see VOCDataset
    skip_bad: bool = False  # leave pictures out that a check finds unusable, instead of stopping
    accept: tuple[str, ...] = ()  # kinds of finding that are meant so: see data/findings.py
    steps: int | None = None  # of every gradient procedure, for a quick check
    pretraining_crops: int = CROPS
    limit_pictures: tuple[int, int] | None = None  # generated pictures (trainval, test), for a quick check
    test_every: int = 1  # one picture in so many of the test split, for a quicker look
    accumulate: int | None = None  # minibatches a step of every gradient procedure; None is the recipe's number
    amp: str | None = None  # "bf16": mixed precision; None is as the recipe says
    workers: int = 0  # processes that load pictures; changes no number
    validate_every: int | None = None  # steps between measurements on "val"; trained is then on "train" alone
    keep: str = "best"  # of the weights that were measured; or "last": then measuring changes no number

    def datasets(self) -> tuple[VOCDataset, VOCDataset]:
        """The training and the test split, with one class list."""
        train = self.training_set()
        return train, self.test_set(train.classes)

    def test_set(self, classes: tuple[str, ...]) -> VOCDataset:
        """The split to test on, thinned where that is wanted."""
        return self._open("val" if self.validate else "test", classes).every(self.test_every)

    def training_set(self) -> VOCDataset:
        """The split to learn from.

        Raises:
            ValueError: the best weights would be chosen on the pictures of the test.
        """
        if self.data == "voc2012" and self.validate_every is not None and self.keep == "best":
            raise ValueError(
                "--validate-every: voc2012 is tested on val, since the annotations of its test were never published; "
                "the best weights cannot be chosen there too: --keep last measures and chooses nothing"
            )
        learnt_alone = self.validate or self.validate_every is not None  # without the pictures of val
        return self._open(self.split or ("train" if learnt_alone else "trainval"), self.classes)

    def validation_set(self, classes: tuple[str, ...]) -> VOCDataset:
        """The split to measure on while learning from "train".

        Raises:
            ValueError: the data has none.
        """
        try:
            return self._open("val", classes)
        except (VOCFormatError, FormatError) as error:
            raise ValueError(f"--validate-every learns from the split train and measures on val: {error}") from None

    def _open(self, split: str, classes: tuple[str, ...] | None) -> VOCDataset:
        return open_dataset(self.data, split, self.cache / "data", classes, self.limit_pictures, self.unannotated)

    def recipe_of(self, generation: str) -> Any:
        """The named recipe with this experiment's changes."""
        recipe = named_recipe(generation, self.recipe)
        if hasattr(recipe, "proposals"):
            recipe = dataclasses.replace(recipe, proposals=self.proposal_settings(recipe.proposals))
        if hasattr(recipe, "augmentation"):
            recipe = dataclasses.replace(recipe, augmentation=self.augmentation)
        if self.procedure is not None and hasattr(recipe, "procedure"):
            recipe = dataclasses.replace(recipe, procedure=self.procedure)
        for name in ("finetune", "solver", "rpn_solver", "head_solver"):
            if hasattr(recipe, name):
                recipe = dataclasses.replace(recipe, **{name: self._solver(getattr(recipe, name))})
        return changed(recipe, self.changes)

    def _solver(self, solver: Solver) -> Solver:
        """A recipe's solver as this experiment wants it."""
        if self.steps is not None:
            solver = solver.shortened(self.steps)
        return dataclasses.replace(solver, accumulate=self.accumulate or solver.accumulate, amp=self.amp or solver.amp)

    def proposal_settings(self, settings: ProposalSettings) -> ProposalSettings:
        """The recipe's selective search, asked for as many proposals as the experiment wants.

        The quick recipe is made for shapes. Other pictures, larger and busier, get the papers' 2000 by default.
        """
        own = settings.limit if self.data == "shapes" or self.recipe != "quick" else PAPER_PROPOSALS.limit
        wanted = self.proposals or own
        assert wanted is not None
        return dataclasses.replace(settings if wanted <= QUICK_MODE_UP_TO else PAPER_PROPOSALS, limit=wanted)


def changed(recipe: Any, changes: tuple[tuple[str, Any], ...]) -> Any:
    """A recipe with other values in some fields; "rpn.scales" is the field ``scales`` of the field ``rpn``."""
    for name, value in changes:
        first, _, rest = name.partition(".")
        if first not in {field.name for field in dataclasses.fields(recipe)}:
            known = ", ".join(field.name for field in dataclasses.fields(recipe))
            raise ValueError(f"{type(recipe).__name__} has no {first!r}; it has {known}")
        inner = changed(getattr(recipe, first), ((rest, value),)) if rest else value
        if not rest:
            _check_kind(f"{type(recipe).__name__}.{first}", getattr(recipe, first), value)
        recipe = dataclasses.replace(recipe, **{first: inner})
    return recipe


def _check_kind(name: str, before: Any, value: Any) -> None:
    """Raise ValueError where a value is of another kind than the one it takes the place of; None has none."""
    number = (int, float)
    same = isinstance(value, number) if isinstance(before, number) else isinstance(value, type(before))
    if before is not None and value is not None and (not same or isinstance(value, bool) != isinstance(before, bool)):
        raise ValueError(f"{name}: {value!r} is no {type(before).__name__} like {before!r}")


def dataset_facts(train: VOCDataset, test: VOCDataset) -> dict[str, Any]:
    """What a results file says of its pictures."""
    return {"train_pictures": len(train), "test_pictures": len(test), "classes": list(train.classes)}
