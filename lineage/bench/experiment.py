"""From a data set's name to trained detectors and their mAP. Whatever was done before is read from the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lineage
from lineage.backbones import Backbone, build_backbone
from lineage.backbones.pretrain import CROPS, SOLVER, pretrain
from lineage.common.augment import Augmentation
from lineage.common.checkpoint import load_checkpoint, save_checkpoint, write_atomically
from lineage.common.progress import track
from lineage.data.catalogue import open_dataset
from lineage.data.proposals import cached_proposals
from lineage.data.shapes import classification_crops
from lineage.data.voc import VOCDataset, contents_digest
from lineage.detectors import (
    TITLES,
    build_detector,
    load_detector,
    named_recipe,
    save_detector,
    train_detector,
)
from lineage.evaluation.voc import VOCResult, evaluate_voc
from lineage.rcnn.recipe import PAPER as RCNN_PAPER
from lineage.selective_search.settings import ProposalSettings

QUICK_MODE_UP_TO = 300  # two strategies give some 300 boxes; who asks for more gets the papers' eight
PAPER_PROPOSALS = RCNN_PAPER.proposals
NOT_TRAINING = ("bench", "course", "viz")  # rooms that no trained model depends on
Say = Callable[[str], None]


@dataclass(frozen=True)
class Experiment:
    """What is trained on what. Everything that changes a trained model is a field."""

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
    pretraining: bool = True
    validate: bool = False  # train on "train", test on "val": for making choices
    steps: int | None = None  # of every gradient procedure, for a quick check
    pretraining_crops: int = CROPS
    limit_pictures: tuple[int, int] | None = None  # generated pictures (trainval, test), for a quick check

    def datasets(self) -> tuple[VOCDataset, VOCDataset]:
        """The training and the test split, with one class list."""
        train = self.training_set()
        split = "val" if self.validate else "test"
        test = open_dataset(self.data, split, self.cache / "data", train.classes, self.limit_pictures)
        return train, test

    def training_set(self) -> VOCDataset:
        """The split to learn from."""
        split = "train" if self.validate else "trainval"
        return open_dataset(self.data, split, self.cache / "data", self.classes, self.limit_pictures)

    def recipe_of(self, generation: str) -> Any:
        """The named recipe with this experiment's changes."""
        recipe = named_recipe(generation, self.recipe)
        if hasattr(recipe, "proposals"):
            recipe = dataclasses.replace(recipe, proposals=self.proposal_settings(recipe.proposals))
        if hasattr(recipe, "augmentation"):
            recipe = dataclasses.replace(recipe, augmentation=self.augmentation)
        if self.procedure is not None and hasattr(recipe, "procedure"):
            recipe = dataclasses.replace(recipe, procedure=self.procedure)
        if self.steps is not None:
            for name in ("finetune", "solver", "rpn_solver", "head_solver"):
                if hasattr(recipe, name):
                    recipe = dataclasses.replace(recipe, **{name: getattr(recipe, name).shortened(self.steps)})
        return changed(recipe, self.changes)

    def proposal_settings(self, settings: ProposalSettings) -> ProposalSettings:
        """The recipe's selective search, asked for as many proposals as the experiment wants.

        Pictures other than shapes get the papers' 2000 by default: they are larger and busier.
        """
        wanted = self.proposals or (settings.limit if self.data == "shapes" else PAPER_PROPOSALS.limit)
        assert wanted is not None
        return dataclasses.replace(settings if wanted <= QUICK_MODE_UP_TO else PAPER_PROPOSALS, limit=wanted)

    def key(self, generation: str, seed: int, train: VOCDataset) -> str:
        """Names a trained model by all that made it, the package's own code included."""
        facts = {
            **{
                field.name: str(getattr(self, field.name))
                for field in dataclasses.fields(self)
                if field.name not in ("cache", "data", "weights")  # where things lie; what they hold comes below
            },
            "recipe_fields": dataclasses.asdict(self.recipe_of(generation)),
            "generation": generation,
            "seed": seed,
            "pictures": fingerprint(train),
            "weights": self.weights and _name_or_contents(self.weights),
            "code": code_fingerprint(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def changed(recipe: Any, changes: tuple[tuple[str, Any], ...]) -> Any:
    """A recipe with other values in some fields; "rpn.scales" is the field ``scales`` of the field ``rpn``."""
    for name, value in changes:
        first, _, rest = name.partition(".")
        inner = changed(getattr(recipe, first), ((rest, value),)) if rest else value
        recipe = dataclasses.replace(recipe, **{first: inner})
    return recipe


def _name_or_contents(weights: str) -> str:
    """A published name or an address as it is; a file by what it holds."""
    return contents_digest(Path(weights)) if Path(weights).is_file() else weights


def fingerprint(dataset: VOCDataset) -> str:
    """Changes when a picture is added to the split or a picture's contents change."""
    digest = hashlib.sha256(repr(dataset.classes).encode())
    for index, name in enumerate(dataset.ids):
        digest.update(f"{name} {contents_digest(dataset.image_path(index))}".encode())
    return digest.hexdigest()[:16]


def dataset_facts(train: VOCDataset, test: VOCDataset) -> dict[str, Any]:
    """What a results file says of its pictures."""
    return {"train_pictures": len(train), "test_pictures": len(test), "classes": list(train.classes)}


def code_fingerprint() -> str:
    """Of the sources that training depends on: a changed loss must not find yesterday's model."""
    root = Path(lineage.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if path.parent.name not in NOT_TRAINING and path.parent != root:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def pretrained_backbone(experiment: Experiment, seed: int, say: Say) -> tuple[Backbone, dict[str, Any]]:
    """A fresh backbone, and what is known of its pre-training (empty for published weights)."""
    if experiment.backbone != "tiny":
        return build_backbone(experiment.backbone, experiment.weights, seed, experiment.preprocessing), {}
    backbone = build_backbone("tiny", seed=seed)
    if not experiment.pretraining:
        return backbone, {"seconds": 0.0, "accuracy": None}
    solver = SOLVER if experiment.steps is None else SOLVER.shortened(experiment.steps)
    facts = {
        "solver": dataclasses.asdict(solver),
        "crops": experiment.pretraining_crops,
        "seed": seed,
        "code": code_fingerprint(),
    }
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = experiment.cache / "models" / f"tiny-{name}.safetensors"
    if path.exists():
        state, found = load_checkpoint(path)
        backbone.load_state_dict(state)
        return backbone, found
    resume = path.with_suffix(".resume.safetensors")
    with stopwatch(path.with_suffix(".seconds")) as seconds_so_far:
        crops, labels = classification_crops(experiment.pretraining_crops, backbone.crop_size, seed)
        accuracy = pretrain(backbone, crops, labels, seed=seed, solver=solver, resume=resume)
        found = {"seconds": seconds_so_far(), "accuracy": accuracy}
    save_checkpoint(path, backbone.state_dict(), found)
    say(f"pre-train tiny, seed {seed}: {accuracy:.1%} of held-out crops named right ({found['seconds']:.1f} s)")
    return backbone, found


def region_proposals(experiment: Experiment, dataset: VOCDataset) -> list[Tensor]:
    """The dataset's selective-search boxes, one (R, 4) a picture, through the cache on disk."""
    settings = experiment.proposal_settings(named_recipe("rcnn", experiment.recipe).proposals)
    return cached_proposals(dataset, settings, settings.key, experiment.cache / "proposals")


def trained_detector(
    experiment: Experiment, generation: str, seed: int, train: VOCDataset, proposals: list[Tensor] | None, say: Say
) -> tuple[Any, dict[str, Any]]:
    """A trained detector on the experiment's device, and the facts of its training."""
    path = train_or_find(experiment, generation, seed, train, proposals, say)
    detector, facts = load_detector(path, generation=generation, classes=list(train.classes))
    return detector.to(experiment.device), facts


def train_or_find(
    experiment: Experiment, generation: str, seed: int, train: VOCDataset, proposals: list[Tensor] | None, say: Say
) -> Path:
    """The checkpoint of a trained detector; trained now unless the cache has it."""
    path = experiment.cache / "models" / f"{generation}-{experiment.key(generation, seed, train)}.safetensors"
    if path.exists():
        return path
    backbone, pretraining = pretrained_backbone(experiment, seed, say)
    detector: Any = build_detector(generation, backbone, train.classes, experiment.recipe_of(generation)).to(
        experiment.device
    )
    work_dir = path.with_suffix(".work")
    with stopwatch(work_dir / "seconds") as seconds_so_far:
        report = train_detector(detector, train, proposals, seed=seed, work_dir=work_dir)
        seconds = seconds_so_far()
    facts = {
        "seed": seed, "data": experiment.data, "train_seconds": seconds, "pretraining": pretraining,
        **dataclasses.asdict(report),
    }  # fmt: skip
    save_detector(detector, path, **facts)
    shutil.rmtree(work_dir, ignore_errors=True)
    say(f"{TITLES[generation]}, seed {seed}: {report.procedure}, {report.steps} steps in {seconds:.1f} s")
    return path


def train_alone(experiment: Experiment, generation: str, seed: int, say: Say) -> Path:
    """The checkpoint of one generation, with all that it needs: pictures and, where it takes any, proposals."""
    train = experiment.training_set()
    proposals = None if generation == "faster_rcnn" else region_proposals(experiment, train)
    return train_or_find(experiment, generation, seed, train, proposals, say)


@contextlib.contextmanager
def stopwatch(kept: Path) -> Iterator[Callable[[], float]]:
    """Seconds spent on a piece of work, those of interrupted runs included: ``kept`` has them until it is done."""
    before = float(kept.read_text()) if kept.exists() else 0.0
    start = time.perf_counter()

    def seconds_so_far() -> float:
        return before + time.perf_counter() - start

    try:
        yield seconds_so_far
    except BaseException:  # Ctrl-C too
        write_atomically(kept, lambda path: path.write_text(str(seconds_so_far())))
        raise
    kept.unlink(missing_ok=True)


def evaluate_detector(
    detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None, label: str
) -> tuple[VOCResult, list[dict[str, Tensor]]]:
    """VOC 11-point AP at IoU 0.5 on a split, and the detections. ``proposals`` None: the detector makes its own."""
    detections = detect_all(detector, dataset, proposals, label)
    targets = [dataset.target(index) for index in range(len(dataset))]
    return evaluate_voc(detections, targets, len(dataset.classes)), detections


def detect_all(
    detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None, label: str
) -> list[dict[str, Tensor]]:
    """Detections in every picture of a split, on the CPU."""
    device = next(detector.parameters()).device
    detections = []
    for index in track(range(len(dataset)), label, len(dataset)):
        image, _ = dataset[index]
        given = None if proposals is None else [proposals[index].to(device)]
        (found,) = detector([image.to(device)], proposals=given)
        detections.append({name: tensor.cpu() for name, tensor in found.items()})
    return detections
