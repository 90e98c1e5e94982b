"""A table of words and numbers, drawn on a terminal or written as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

NOTHING = "-"  # in place of a value that is not known
WIDTH = 100  # columns of an ordinary terminal


@dataclass(frozen=True)
class Table:
    """One table, before it is drawn on a terminal or written as Markdown."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: tuple[int, ...] = (0,)  # columns of text; the others are numbers, and end in line


def drawn(table: Table) -> RichTable:
    rich_table = RichTable(
        title=Text(table.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for i, column in enumerate(table.header):
        justify: Literal["left", "right"] = "left" if i in table.words else "right"
        rich_table.add_column(Text(column), justify=justify, vertical="top", overflow="fold")
    for row in table.rows:
        rich_table.add_row(*(Text(cell) for cell in row))
    return rich_table


def hanging(mark: str, text: str) -> RichTable:
    """Text whose second line starts beneath its first."""
    grid = RichTable.grid(padding=0)
    grid.add_column(width=len(mark))
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark), Text(text))
    return grid


@contextmanager
def wide(console: Console) -> Iterator[None]:
    """A pipe or a file gets :data:`WIDTH` columns, where rich would assume 80."""
    before = console.width
    if not console.is_terminal:
        console.width = WIDTH
    try:
        yield
    finally:
        console.width = before


def markdown_table(table: Table, align: str = "---:") -> list[str]:
    def line(cells: Sequence[str]) -> str:
        flat = (cell.replace("-\n", "").replace("\n", " ").replace("|", "\\|").strip() for cell in cells)
        return f"| {' | '.join(flat)} |"

    return [line(table.header), line(["---"] + [align] * (len(table.header) - 1)), *map(line, table.rows)]
