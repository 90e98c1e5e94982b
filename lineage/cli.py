"""What the command lines share: options, defaults, and errors as one line."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.experiments.generations import GENERATIONS

if TYPE_CHECKING:
    from rich.console import Console


def _allow_megapixels(limit: float | None) -> float | None:
    if limit is not None:
        if not limit > 0:
            raise typer.BadParameter(f"{limit:g} is no number above 0")
        os.environ["LINEAGE_MAX_MEGAPIXELS"] = repr(
            limit
        )  # lineage/data/opened.py: of this process and those it starts
    return limit


ALL_GENERATIONS = ",".join(GENERATIONS)
Generation = Annotated[str, typer.Argument(help=f"one of {', '.join(GENERATIONS)}")]
Generations = Annotated[str, typer.Option(help="comma-separated")]
Data = Annotated[
    str, typer.Option(help="shapes, voc2007, voc2012, voc0712; a folder in VOC layout, COCO JSON or YOLO folder")
]
BackboneName = Annotated[str, typer.Option(help="tiny, alexnet, zf, vgg16, resnet18, resnet50 or efficientnet_lite0")]
Weights = Annotated[str, typer.Option(help="imagenet, none, a file or its address; tiny is pre-trained here")]
Preprocessing = Annotated[str | None, typer.Option(help="of --weights FILE: torchvision or caffe (BGR, 0..255)")]
RecipeName = Annotated[str, typer.Option(help="quick (minutes on a CPU), evening (hours) or paper")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 (the second GPU), or mps")]
Proposals = Annotated[int | None, typer.Option(min=1, max=1_000_000, help="selective-search boxes a picture")]
Pretrain = Annotated[bool, typer.Option("--pretrain", help="pre-train tiny now, instead of with models/'s weights")]
Procedure = Annotated[str | None, typer.Option(help="Faster R-CNN's training: joint or alternating")]
Steps = Annotated[int | None, typer.Option(min=1, max=10_000_000, help="gradient steps instead of the recipe's")]
TestEvery = Annotated[int, typer.Option(min=1, help="test on one picture in so many: a quicker look")]
ColourJitter = Annotated[float, typer.Option(help="brightness, contrast, saturation change by up to this share")]
ScaleJitter = Annotated[float, typer.Option(help="training pictures are resized by 1/this to this")]
VerticalFlip = Annotated[bool, typer.Option("--vertical-flip", help="training pictures may stand upside down")]
Classes = Annotated[
    str | None, typer.Option(help="comma-separated, in this order, others left alone; default: the annotations' own")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE of the recipe, as --explain names it")]
Split = Annotated[str | None, typer.Option(help="the split to learn from; default trainval, or train and val")]
Unannotated = Annotated[str, typer.Option(help="pictures without an annotation: error, negative (no object) or skip")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="go on without the pictures that are unusable")]
Accept = Annotated[str | None, typer.Option(help="kinds of finding that are meant so: 'size differs', ...")]
MaxMegapixels = Annotated[
    float | None, typer.Option(callback=_allow_megapixels, help="a larger picture is refused, not decoded; default 100")
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, max=1000, help="processes that load pictures ahead; changes no number; default: 0 on a CPU"),
]
Accumulate = Annotated[int | None, typer.Option(min=1, max=10_000, help="minibatches a step, their gradients averaged")]
Amp = Annotated[str | None, typer.Option(help="bf16: mixed precision, where the processor or GPU has bfloat16")]
Cache = Annotated[Path | None, typer.Option(help="data, proposals and trained models; default $LINEAGE_CACHE")]

# OpenMP's threads wait for work by spinning for milliseconds, on processors that numba's kernels, or other programs,
# could have used. Read when torch is loaded; GNU's OpenMP alone knows it.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

SECONDS_FOR_THE_FIRST = 5.0
PLAIN: dict[str, Any] = {"soft_wrap": True}  # a line stays one, however long


def new_app() -> typer.Typer:
    """A command without completion and without pages of traceback."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def run(app: typer.Typer) -> None:
    """The command, as a program. What the terminal's encoding lacks is printed with escapes, and stops nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


def new_console(stderr: bool = False) -> Console:
    """Prints texts as they are: a class may be called "[/x]" or ":cat:". Of several processes the first one prints."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, quiet=os.environ.get("RANK", "0") != "0")


@contextmanager
def command(console: Console, shares: bool = False) -> Iterator[None]:
    """What every command runs in.

    Turns what a user can cause into one message and a non-zero exit; an unexpected error keeps its traceback.

    Args:
        shares: torchrun may start several processes of it, which share the work out.
    """
    from rich.text import Text

    from lineage.common.optimise import TrainingError
    from lineage.common.together import START, together
    from lineage.data.proposals import ProposalError

    keep_freed_memory()
    _print_log(console)
    warnings.showwarning = lambda message, *_: console.print(f"warning: {message}", **PLAIN)
    try:
        if START[1] > 1 and not shares:
            raise ValueError("this command is one process's work: start it without torchrun")
        with together():
            yield
    except (ValueError, OSError, TrainingError, ProposalError) as error:
        if console.quiet:  # most likely the first says the same, and torchrun ends the others then
            time.sleep(SECONDS_FOR_THE_FIRST)
            print(f"process {START[0]} of {START[1]}: error: {error}", file=sys.stderr)
        console.print(Text.assemble(("error:", "red"), " ", str(error)), **PLAIN)
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
