"""What the command lines share: options, defaults, and errors as one line."""

from __future__ import annotations

import ctypes
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from lineage.bench.experiment import Experiment

ALL_GENERATIONS = "rcnn,sppnet,fast_rcnn,faster_rcnn"
Generations = Annotated[str, typer.Option(help="comma-separated")]
Data = Annotated[str, typer.Option(help="shapes, voc2007, voc2012, voc0712, or a folder in VOC layout")]
BackboneName = Annotated[str, typer.Option(help="tiny, alexnet, zf, vgg16, resnet18, resnet50 or efficientnet_lite0")]
Weights = Annotated[str, typer.Option(help="imagenet, none, a file or its address; tiny is pre-trained here")]
Preprocessing = Annotated[str | None, typer.Option(help="of --weights FILE: torchvision or caffe (BGR, 0..255)")]
RecipeName = Annotated[str, typer.Option(help="quick (minutes on a CPU) or paper")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Proposals = Annotated[int | None, typer.Option(min=1, help="selective-search boxes a picture")]
Procedure = Annotated[str | None, typer.Option(help="Faster R-CNN's training: joint or alternating")]
Steps = Annotated[int | None, typer.Option(min=1, help="gradient steps instead of the recipe's")]
ColourJitter = Annotated[float, typer.Option(help="brightness, contrast, saturation change by up to this share")]
ScaleJitter = Annotated[float, typer.Option(help="training pictures are resized by 1/this to this")]
VerticalFlip = Annotated[bool, typer.Option("--vertical-flip", help="training pictures may stand upside down")]
Classes = Annotated[str | None, typer.Option(help="comma-separated, in this order; default: the annotations' own")]
Cache = Annotated[Path | None, typer.Option(help="data, proposals and trained models; default $LINEAGE_CACHE")]

PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}  # prints a text as it is


def new_app() -> typer.Typer:
    """A command without completion and without pages of traceback."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def default_cache() -> Path:
    """$LINEAGE_CACHE, or "lineage" in the user's cache folder."""
    fallback = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lineage"
    return Path(os.environ.get("LINEAGE_CACHE") or fallback)


@contextmanager
def command(console: Console) -> Iterator[None]:
    """What every command runs in.

    Turns what a user can cause into one message and a non-zero exit; an unexpected error keeps its traceback.
    """
    from rich.markup import escape

    from lineage.common.optimise import TrainingError
    from lineage.data.proposals import ProposalError

    keep_freed_memory()
    _print_log(console)
    warnings.showwarning = lambda message, *_: console.print(f"warning: {message}", **PLAIN)
    try:
        yield
    except (ValueError, OSError, TrainingError, ProposalError) as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("\ninterrupted; the same command goes on from here")
        raise typer.Exit(130) from None


def _print_log(console: Console) -> None:
    """What the package logs for its user (how much disk a training is about to take) goes to the console."""

    class ToConsole(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(self.format(record), **PLAIN)

    log = logging.getLogger("lineage")
    log.setLevel(logging.INFO)
    log.handlers = [ToConsole()]


def keep_freed_memory() -> None:
    """Let glibc keep large blocks for the next step instead of handing their pages back and fetching zeroed ones.

    A training step allocates the same blocks each time; up to 4000 page faults a step cost it a tenth of its time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library
        return
    never_mmap, never_trim, top_pad = (-4, 0), (-1, -1), (-2, 2**26)  # of malloc.h
    for parameter, value in (never_mmap, never_trim, top_pad):
        mallopt(parameter, value)


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
    from lineage.detectors import GENERATIONS

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
    **fields: Any,
) -> Experiment:
    """An experiment from command-line options.

    Raises:
        ValueError: naming the option that is wrong.
    """
    from lineage.backbones import NAMES, PREPROCESSINGS
    from lineage.bench.experiment import Experiment
    from lineage.common.augment import Augmentation
    from lineage.detectors import RECIPES

    one_of("--backbone", backbone, NAMES)
    one_of("--recipe", recipe, RECIPES)
    if procedure is not None:
        one_of("--procedure", procedure, ("joint", "alternating"))
    if preprocessing is not None:
        one_of("--preprocessing", preprocessing, tuple(PREPROCESSINGS))
    return Experiment(
        data=data,
        backbone=backbone,
        weights=None if backbone == "tiny" or weights == "none" else weights,
        recipe=recipe,
        device=pick_device(device),
        procedure=procedure,
        preprocessing=preprocessing,
        augmentation=Augmentation(colour_jitter, scale_jitter, vertical_flip),
        classes=_class_list(classes),
        cache=cache or default_cache(),
        **fields,
    )


def _class_list(names: str | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    found = tuple(name.strip() for name in names.split(","))
    if "" in found or len(set(found)) < len(found):
        raise ValueError(f"--classes: {names!r} has an empty name, or one twice")
    return found


def pick_device(name: str) -> Any:
    """The torch device for "auto", "cpu" or "cuda".

    Raises:
        ValueError: an unknown name, or cuda without a GPU.
    """
    import torch

    one_of("--device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device: cuda was asked for, but torch finds no GPU")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
