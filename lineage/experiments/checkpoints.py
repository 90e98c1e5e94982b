"""Detectors to and from files that know all that is needed to build them again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage.backbones import build_backbone
from lineage.common.checkpoint import CheckpointError, check_finite, load_checkpoint, save_checkpoint
from lineage.common.values import from_dict
from lineage.experiments.generations import build_detector, named_recipe


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture's RGB in 0..1, a channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Description:
    """What a checkpoint says of its detector."""

    generation: str
    classes: tuple[str, ...]
    backbone: str
    preprocessing: Preprocessing
    recipe: dict[str, Any]


DESCRIBED = [field.name for field in dataclasses.fields(Description)]


def save_detector(detector: Any, path: Path, **facts: Any) -> None:
    """Write a checkpoint that knows its generation, classes, backbone, preprocessing and recipe, besides ``facts``."""
    net = detector.backbone
    own = Description(
        detector.generation, detector.classes, net.name, Preprocessing(net.mean, net.std),
        dataclasses.asdict(detector.recipe),
    )  # fmt: skip
    save_checkpoint(path, detector.state_dict(), {**dataclasses.asdict(own), **facts})


def load_detector(path: str | Path, **expect: Any) -> tuple[Any, dict[str, Any]]:
    """Read a checkpoint: the detector in eval mode, and all its facts.

    Args:
        expect: facts that must hold, for example ``classes=[...]`` or ``generation="rcnn"``.
    Raises:
        CheckpointError: missing, damaged, made for something else, or with weights that are no numbers.
    """
    state, facts = load_checkpoint(path, expect)
    check_finite(state, path)
    try:
        own = from_dict(Description, {field: facts[field] for field in DESCRIBED if field in facts})
        recipe = from_dict(type(named_recipe(own.generation, "quick")), own.recipe, "recipe")
        backbone = build_backbone(own.backbone)
        backbone.mean, backbone.std = own.preprocessing.mean, own.preprocessing.std
        detector = build_detector(own.generation, backbone, own.classes, recipe)
        detector.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not describe a detector of this version ({error})") from None
    return detector, facts
