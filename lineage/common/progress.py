"""One display of progress at a time, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from lineage.common.together import started_first

if TYPE_CHECKING:
    from rich.progress import Progress


Item = TypeVar("Item")
_drawn: list[Progress] = []  # the display that is on the terminal


@contextmanager
def progress_bar(label: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
    """Yield ``advance(steps, note)``. Draws to stderr, and nothing at all when that is not a terminal.

    A bar within a bar, as of a measurement within a training, is a line below it.

    Args:
        total: None where nobody knows.
    """
    with _display() as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=note)

        try:
            yield advance
        finally:
            bar.remove_task(task)


@contextmanager
def _display() -> Iterator[Progress]:
    if _drawn:
        yield _drawn[-1]
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<28}", markup=False), BarColumn(bar_width=24), MofNCompleteColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
    )  # fmt: skip
    bar = Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty() or not started_first(),
        redirect_stdout=sys.stdout.isatty(),  # above the bar; but into a file what is meant for the file
    )  # fmt: skip
    with bar:
        _drawn.append(bar)
        try:
            yield bar
        finally:
            _drawn.remove(bar)


def track(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    """Iterate with a :func:`progress_bar`."""
    with progress_bar(label, total) as advance:
        for item in items:
            yield item
            advance(1, "")
