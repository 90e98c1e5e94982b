"""What the notebooks share: pictures, trained detectors, guesses that are checked, and sliders.

Everything shown comes from the package itself; here is only what a cell needs around it.
"""

from __future__ import annotations

import ast
import base64
import inspect
import io
import json
import math
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from lineage.backbones import Backbone
from lineage.common.tables import Table, markdown_table
from lineage.data.voc import VOCDataset
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import generation_of
from lineage.experiments.options import default_cache, make_experiment
from lineage.experiments.pretraining import pretrained_backbone
from lineage.experiments.training import region_proposals, trained_detector

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

JPEG_QUALITY = 88
PAGE_WIDTH = 1400  # pixels; a wider row would be shown with letters too small to read
PNG_UP_TO = 60_000  # bytes: a drawing stays sharp; what is larger is a picture, and smaller as JPEG


def start() -> None:
    """Show the figures of :mod:`lineage.viz` under the cells that end in them, each with its titles as text.

    Raises:
        RuntimeError: not called in a notebook.
    """
    from IPython import get_ipython
    from matplotlib.figure import Figure

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("lineage.notebook.start() belongs into a notebook's first cell")
    shell.display_formatter.mimebundle_formatter.for_type(Figure, lambda figure, **_: _bundle([figure]))


def experiment(**changes: Any) -> Experiment:
    """The one that ``python -m lineage.bench`` runs by default without a GPU: shapes, tiny, the quick recipes."""
    fields: dict[str, Any] = {
        "data": "shapes", "backbone": "tiny", "weights": "none", "recipe": "quick", "device": "cpu",
        "procedure": None, "cache": default_cache(),
    }  # fmt: skip
    return make_experiment(**{**fields, **changes})


def shapes() -> tuple[VOCDataset, VOCDataset]:
    """The pictures to learn from and those to test on; drawn at the first call."""
    with _while("drawing 520 pictures, once"):
        return experiment().datasets()


def pretrained(seed: int = 0, **changes: Any) -> Backbone:
    """A fresh ``tiny`` that has learned to name single shapes; pre-trained now unless the cache has it.

    Args:
        changes: of :func:`experiment`.
    """
    with _while("pre-training the backbone, about half a minute, once"):
        backbone, _ = pretrained_backbone(experiment(**changes), seed, lambda line: None)
        return backbone


def proposals(dataset: VOCDataset) -> list[Tensor]:
    """Selective search's boxes (R, 4) of every picture, from the cache."""
    with _while("selective search, about half a minute, once"):
        return region_proposals(experiment(), dataset)


def trained(generation: str, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """A trained detector, and the facts of its training; trained now unless the cache has it.

    Args:
        changes: of :func:`experiment`, for example ``procedure="alternating"``.
    """
    wanted = experiment(**changes)
    with _while("pictures and proposals, about half a minute, once"):
        train, _ = wanted.datasets()
        regions = None if generation_of(generation).proposes else region_proposals(wanted, train)
    with _while(f"training {generation_of(generation).title}, about a minute, once"):
        return trained_detector(wanted, generation, 0, train, regions, lambda line: None)


def committed(name: str) -> dict[str, Any]:
    """What ``benchmarks/results/NAME.json`` says: figures that take too long for a cell. It names its command.

    Raises:
        FileNotFoundError: there is no such file; notebooks run in the folder that they lie in.
    """
    return json.loads((Path("..") / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def show(table: Table, align: str = "---:") -> None:
    """A table of the benchmark's as part of the page; ``align`` is Markdown's, "---" for columns of words."""
    from IPython.display import Markdown, display

    display(Markdown("\n".join([f"**{table.title}**", "", *markdown_table(table, align)])))


def command(line: str) -> None:
    """Run ``python -m ...`` as on a command line, with this notebook's Python, and show what it prints.

    Raises:
        subprocess.CalledProcessError: it ended with an error, which stands above.
    """
    first, *arguments = shlex.split(line)
    program = sys.executable if first == "python" else first
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="")
    done.check_returncode()


@contextmanager
def _while(message: str) -> Iterator[None]:
    """A line that is there only as long as the work takes, so that it is not kept in the file."""
    from IPython.display import clear_output

    print(f"{message} ...", flush=True)
    try:
        yield
    finally:
        clear_output()


def source(function: Any) -> None:
    """Print a function's own code: its head and body, without the docstring and without decorators."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    tree = ast.parse("\n".join(lines)).body[0]
    assert isinstance(tree, ast.FunctionDef)
    first = tree.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        del lines[first.lineno - 1 : first.end_lineno]
    print("\n".join(lines[tree.lineno - 1 :]))


# ---- guesses ----------------------------------------------------------------------------------------


def check(guess: Any, answer: Any, *, within: float = 0.0) -> None:
    """Print whether a guess is right. ``...``, a guess not made yet, prints the answer alone.

    Args:
        within: a number may be off by this share of the answer.
    """
    if guess is ... or (isinstance(guess, tuple) and ... in guess):
        print(f"Answer: {_words(answer)}. (Your own guess goes where the dots are.)")
    elif _agrees(guess, answer, within):
        print(f"Right: {_words(answer)}.")
    else:
        print(f"You said {_words(guess)}; the answer is {_words(answer)}.")


def _agrees(guess: Any, answer: Any, within: float) -> bool:
    if isinstance(answer, (tuple, list)):
        same_kind = isinstance(guess, (tuple, list)) and len(guess) == len(answer)
        return same_kind and all(_agrees(g, a, within) for g, a in zip(guess, answer))
    if isinstance(answer, str):
        return isinstance(guess, str) and guess.strip().casefold() == answer.casefold()
    if isinstance(answer, bool) or isinstance(guess, bool) or not isinstance(guess, (int, float)):
        return guess is answer
    return math.isclose(guess, answer, rel_tol=max(within, 1e-9))


def _words(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_words, value))})"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# ---- pictures and sliders ---------------------------------------------------------------------------


def explore(draw: Callable[[Any], Figure], values: Sequence[Any], shown: Sequence[Any], label: str) -> None:
    """A slider over ``values`` that redraws; where no slider can be (a page, a print), the pictures of ``shown``.

    Args:
        draw: from a value to its figure. values: what the slider offers, in order.
        shown: those of the values whose pictures stand side by side without it. label: what the slider is.
    """
    from IPython.display import display

    bundle = _bundle([draw(value) for value in shown])
    try:
        from ipywidgets import HTML, Image, Layout, SelectionSlider, VBox
    except ImportError:
        display(bundle, raw=True)
        return
    slider = SelectionSlider(options=list(values), value=shown[len(shown) // 2], description=label)
    slider.style.description_width = "initial"
    slider.layout.width = "480px"
    picture = Image(value=_png(_render(draw(slider.value))), format="png")

    def redraw(change: dict[str, Any]) -> None:
        picture.value = _png(_render(draw(change["new"])))

    slider.observe(redraw, names="value")
    box = VBox([HTML("Move the slider."), slider, picture], layout=Layout(align_items="flex-start"))  # not stretched
    display({**box._repr_mimebundle_(), **bundle}, raw=True)


def _bundle(figures: Sequence[Figure]) -> dict[str, str]:
    """Figures side by side in the smaller of two encodings, with their titles as text."""
    image = _beside([_render(figure) for figure in figures])
    kind, data = "image/png", _png(image)
    if len(data) > PNG_UP_TO:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
        kind, data = "image/jpeg", buffer.getvalue()
    return {kind: base64.b64encode(data).decode(), "text/plain": " | ".join(map(_titles, figures))}


def _render(figure: Figure) -> Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _beside(images: Sequence[Image]) -> Image:
    """In rows no wider than a page."""
    from PIL import Image

    rows: list[list[Image.Image]] = [[]]
    for image in images:
        if rows[-1] and sum(i.width for i in rows[-1]) + image.width > PAGE_WIDTH:
            rows.append([])
        rows[-1].append(image)
    heights = [max(image.height for image in row) for row in rows]
    whole = Image.new("RGB", (max(sum(image.width for image in row) for row in rows), sum(heights)), "white")
    for number, row in enumerate(rows):
        left = 0
        for image in row:
            whole.paste(image, (left, sum(heights[:number])))
            left += image.width
    return whole


def _png(image: Image) -> bytes:
    from PIL.Image import Dither

    buffer = io.BytesIO()
    image.quantize(256, dither=Dither.NONE).save(buffer, "PNG", optimize=True)  # half the size, and no eye sees it
    return buffer.getvalue()


def _titles(figure: Figure) -> str:
    suptitle: Any = getattr(figure, "_suptitle", None)
    texts = [suptitle.get_text()] if suptitle is not None else []
    texts += [ax.get_title() for ax in figure.axes]
    return "; ".join(text.replace("\n", " ") for text in texts if text) or "figure"
