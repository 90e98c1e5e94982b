"""The four generations by name, and detectors to and from checkpoints."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lineage.backbones import Backbone, build_backbone
from lineage.common.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from lineage.common.optimise import TrainingReport
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn import recipe as fast_rcnn_recipe
from lineage.fast_rcnn import train as fast_rcnn_train
from lineage.fast_rcnn.detector import FastRCNN
from lineage.faster_rcnn import recipe as faster_rcnn_recipe
from lineage.faster_rcnn import train as faster_rcnn_train
from lineage.faster_rcnn.detector import FasterRCNN
from lineage.rcnn import recipe as rcnn_recipe
from lineage.rcnn import train as rcnn_train
from lineage.rcnn.detector import RCNN
from lineage.sppnet import recipe as sppnet_recipe
from lineage.sppnet import train as sppnet_train
from lineage.sppnet.detector import SPPNet

_DETECTORS: dict[str, Any] = {"rcnn": RCNN, "sppnet": SPPNet, "fast_rcnn": FastRCNN, "faster_rcnn": FasterRCNN}
_RECIPES: dict[str, Any] = {
    "rcnn": rcnn_recipe, "sppnet": sppnet_recipe, "fast_rcnn": fast_rcnn_recipe, "faster_rcnn": faster_rcnn_recipe
}  # fmt: skip
_TRAIN: dict[str, Any] = {
    "rcnn": rcnn_train, "sppnet": sppnet_train, "fast_rcnn": fast_rcnn_train, "faster_rcnn": faster_rcnn_train
}  # fmt: skip
GENERATIONS = tuple(_DETECTORS)
TITLES = {"rcnn": "R-CNN", "sppnet": "SPP-net", "fast_rcnn": "Fast R-CNN", "faster_rcnn": "Faster R-CNN"}
RECIPES = ("quick", "paper")


def named_recipe(generation: str, name: str) -> Any:
    """A generation's QUICK or PAPER recipe.

    Raises:
        ValueError: an unknown generation or name.
    """
    if generation not in _RECIPES:
        raise ValueError(f"generation {generation!r} is none of {', '.join(GENERATIONS)}")
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is none of {', '.join(RECIPES)}")
    return getattr(_RECIPES[generation], name.upper())


def build_detector(generation: str, backbone: Backbone, classes: tuple[str, ...], recipe: Any) -> nn.Module:
    """An untrained detector on ``backbone``, in eval mode. The backbone becomes part of it."""
    return _DETECTORS[generation](backbone, classes, recipe).eval()


def train_detector(
    detector: Any, dataset: VOCDataset, proposals: list[Tensor] | None, *, seed: int, work_dir: Path
) -> TrainingReport:
    """Train a detector of any generation in place by its own procedure."""
    work_dir.mkdir(parents=True, exist_ok=True)
    return _TRAIN[detector.generation].train(detector, dataset, proposals, seed=seed, work_dir=work_dir)


def save_detector(detector: Any, path: Path, **facts: Any) -> None:
    """Write a checkpoint that knows its generation, classes, backbone, preprocessing and recipe, besides ``facts``."""
    own = {
        "generation": detector.generation,
        "classes": list(detector.classes),
        "backbone": detector.backbone.name,
        "preprocessing": {"mean": list(detector.backbone.mean), "std": list(detector.backbone.std)},
        "recipe": dataclasses.asdict(detector.recipe),
    }
    save_checkpoint(path, detector.state_dict(), {**own, **facts})


def load_detector(path: str | Path, **expect: Any) -> tuple[Any, dict[str, Any]]:
    """Read a checkpoint: the detector in eval mode, and all its facts.

    Args:
        expect: facts that must hold, for example ``classes=[...]`` or ``generation="rcnn"``.
    Raises:
        CheckpointError: missing, damaged, or made for something else.
    """
    state, facts = load_checkpoint(path, expect)
    try:
        recipe = from_dict(type(named_recipe(facts["generation"], "quick")), facts["recipe"])
        backbone = build_backbone(facts["backbone"])
        backbone.mean, backbone.std = (tuple(facts["preprocessing"][name]) for name in ("mean", "std"))
        detector = build_detector(facts["generation"], backbone, tuple(facts["classes"]), recipe)
        detector.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not describe a detector of this version ({error})") from None
    return detector, facts


def from_dict(kind: type, fields: dict[str, Any]) -> Any:
    """A frozen dataclass, nested ones included, from what ``dataclasses.asdict`` and JSON made of it."""
    hints = typing.get_type_hints(kind)
    values = {}
    for name, value in fields.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            value = from_dict(typing.cast(type, hint), value)
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    return kind(**values)
