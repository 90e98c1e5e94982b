"""Detectors to and from files that know all that is needed to build them again."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

from lineage.backbones import build_backbone
from lineage.common.checkpoint import CheckpointError, check_finite, load_checkpoint, save_checkpoint
from lineage.experiments.generations import build_detector, named_recipe


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
        CheckpointError: missing, damaged, made for something else, or with weights that are no numbers.
    """
    state, facts = load_checkpoint(path, expect)
    check_finite(state, path)
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
        values[name] = _frozen(value)
    return kind(**values)


def _frozen(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
