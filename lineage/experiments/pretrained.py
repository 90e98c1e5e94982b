"""Trained weights that come with the project: ``models/`` in a checkout. A wheel has none, which is said."""

from __future__ import annotations

from pathlib import Path

import lineage
from lineage.experiments.generations import generation_of

FOLDER = Path(lineage.__file__).resolve().parents[1] / "models"


def model_of(generation: str) -> Path | None:
    """The file of a generation's detector of VOC's twenty classes; None where there is none."""
    path = FOLDER / f"voc2007-{generation}.safetensors"
    return path if path.is_file() else None


def tiny_of(seed: int) -> Path | None:
    """The file of tiny's weights that ``lineage.backbones.pretrain`` gave with this seed; None where there is none."""
    path = FOLDER / f"tiny-{seed}.safetensors"
    return path if path.is_file() else None


def require_model(generation: str) -> Path:
    """The same.

    Raises:
        FileNotFoundError: there is none.
    """
    path = model_of(generation)
    if path is None:
        title, where = generation_of(generation).title, "models/ of a checkout of the project"
        raise FileNotFoundError(f"no trained {title} comes with this installation: they are in {where}")
    return path
