"""Experiments from what a command line or a notebook says."""

from __future__ import annotations

import ast
import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lineage.backbones import NAMES, PREPROCESSINGS
from lineage.common.augment import Augmentation
from lineage.data.voc import UNANNOTATED
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import GENERATIONS, RECIPES

MOST_WORKERS = 8  # without being asked for


def default_cache() -> Path:
    """$LINEAGE_CACHE, or "lineage" in the user's cache folder.

    Raises:
        ValueError: there is no such folder: nobody knows the user's home.
    """
    if own := os.environ.get("LINEAGE_CACHE"):
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lineage"
    except RuntimeError:  # no $HOME, and a user that the system does not know
        raise ValueError(
            "this user has no home folder to keep data in: give --cache or $LINEAGE_CACHE a folder"
        ) from None


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """``value`` if it is among ``choices``.

    Raises:
        ValueError: naming the option, the value and the choices.
    """
    if value not in choices:
        raise ValueError(f"{option}: {value!r} is none of {', '.join(choices)}")
    return value


def chosen_generations(names: str) -> list[str]:
    """Comma-separated generations in the papers' order.

    Raises:
        ValueError: a name that is none of the four, or no name.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in GENERATIONS]
    if unknown or not wanted:
        raise ValueError(f"--generations: {', '.join(unknown) or 'nothing'} is none of {', '.join(GENERATIONS)}")
    return [name for name in GENERATIONS if name in wanted]


def make_experiment(
    *,
    data: str,
    backbone: str,
    weights: str,
    recipe: str,
    device: str,
    procedure: str | None,
    cache: Path | None,
    preprocessing: str | None = None,
    classes: str | None = None,
    colour_jitter: float = 0.0,
    scale_jitter: float = 1.0,
    vertical_flip: bool = False,
    split: str | None = None,
    unannotated: str = "error",
    skip_bad: bool = False,
    accept: str | None = None,
    amp: str | None = None,
    workers: int | None = None,
    validate_every: int | None = None,
    keep: str | None = None,
    **fields: Any,
) -> Experiment:
    """An experiment from command-line options.

    Raises:
        ValueError: naming the option that is wrong.
    """
    one_of("--backbone", backbone, NAMES)
    one_of("--recipe", recipe, RECIPES)
    if procedure is not None:
        one_of("--procedure", procedure, ("joint", "alternating"))
    one_of("--unannotated", unannotated, UNANNOTATED)
    if preprocessing is not None:
        one_of("--preprocessing", preprocessing, tuple(PREPROCESSINGS))
    if keep is not None:
        one_of("--keep", keep, ("best", "last"))
        if validate_every is None:
            raise ValueError(f"--keep: {keep} of which weights? Only --validate-every N compares them")
    where = pick_device(device)
    return Experiment(
        data=data,
        backbone=backbone,
        weights=None if backbone == "tiny" or weights == "none" else weights,
        recipe=recipe,
        device=where,
        procedure=procedure,
        preprocessing=preprocessing,
        augmentation=Augmentation(colour_jitter, scale_jitter, vertical_flip),
        classes=names_in("--classes", classes),
        split=split,
        unannotated=unannotated,
        skip_bad=skip_bad,
        accept=names_in("--accept", accept) or (),
        cache=cache or default_cache(),
        amp=None if amp is None else _precision(amp, where),
        workers=usual_workers(where) if workers is None else workers,
        validate_every=validate_every,
        keep=keep or "best",
        **fields,
    )


def changes_in(texts: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """``FIELD=VALUE`` as changes of a recipe: ``rpn.scales=4,8,16``, ``solver.learning_rate=3e-4``.

    Raises:
        ValueError: no "=".
    """
    changes = []
    for text in texts:
        name, equals, written = text.partition("=")
        if not (name and equals):
            raise ValueError(f"--set: expected FIELD=VALUE such as rpn.scales=4,8,16, got {text!r}")
        try:
            value = ast.literal_eval(written)
        except (ValueError, SyntaxError):
            value = written  # a word
        changes.append((name.strip(), value))
    return tuple(changes)


def names_in(option: str, text: str | None) -> tuple[str, ...] | None:
    """Comma-separated names; one that has a comma stands in quotes: ``bolt,"nut, hex"``.

    Raises:
        ValueError: an empty name, or one twice.
    """
    if text is None:
        return None
    (found,) = csv.reader([text], skipinitialspace=True)
    names = tuple(name.strip() for name in found)
    if not names or "" in names or len(set(names)) < len(names):
        raise ValueError(f"{option}: {text!r} has an empty name, or one twice")
    return names


def _precision(amp: str, device: torch.device) -> str:
    one_of("--amp", amp, ("bf16",))
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ValueError("--amp: bf16: this GPU has no bfloat16; leave the option out")
    return amp


def usual_workers(device: torch.device) -> int:
    """Processes that load pictures ahead: none where the network needs the processor itself (benchmarks/NOTES.md)."""
    return 0 if device.type == "cpu" else max(1, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))


def pick_device(name: str) -> torch.device:
    """The torch device for "auto" (a CUDA GPU, else the CPU), "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        ValueError: an unknown name, or a device that this machine, or this torch, has not.
    """
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (":" in name and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"--device: {name!r} is none of auto, cpu, cuda, cuda:0, cuda:1 ..., mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and count == 0:
        raise ValueError(f"--device: {name} was asked for, but torch finds no GPU")
    if number and int(number) >= count:
        raise ValueError(f"--device: {name} was asked for, but of {count} GPUs the last is cuda:{count - 1}")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError("--device: mps was asked for, but torch finds no Apple GPU")
    if kind == "auto":
        return torch.device("cuda" if count else "cpu")
    return torch.device(name)
