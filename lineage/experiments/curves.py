"""A training's table, a line a step, and TensorBoard's view of it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lineage.common.checkpoint import write_atomically
from lineage.common.history import History
from lineage.common.running import Listen

Columns = dict[str, list[float]]  # name -> a number a step; nan where there is none
NAMES = ("procedure", "step", "learning_rate")  # then the losses, then validation_map


def curves_file(model: Path) -> Path:
    """Where the table of a checkpoint's training lies."""
    return model.with_suffix(".curves.csv")


def write_curves(histories: Sequence[History], path: Path) -> None:
    """CSV: procedure, step (from 1), learning_rate, each loss, validation_map; empty where there is no number."""
    losses = dict.fromkeys(name for history in histories for name in history.losses)
    validated = any(history.validation for history in histories)
    names = [*NAMES, *losses, *(["validation_map"] if validated else [])]

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            for history in histories:
                for row in history.rows():
                    writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()})

    write_atomically(path, write)


def read_curves(path: Path) -> dict[str, Columns]:
    """The columns of each procedure, those without any number left out.

    Raises:
        ValueError: it is no such table, naming the line.
    """
    procedures: dict[str, Columns] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for row in reader:
                columns = procedures.setdefault(row.pop("procedure"), {})
                for name, text in row.items():
                    columns.setdefault(name, []).append(float(text) if text else math.nan)
        except (csv.Error, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: line {reader.line_num}: no table of losses ({error})") from None
    return {
        procedure: {name: values for name, values in columns.items() if not all(map(math.isnan, values))}
        for procedure, columns in procedures.items()
    }


@contextmanager
def tensorboard(folder: Path) -> Iterator[Listen]:
    """What is called after each step, to write it for TensorBoard: one run a procedure.

    Raises:
        ValueError: the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard: is not installed; python -m pip install tensorboard") from None
    writers: dict[str, SummaryWriter] = {}

    def listen(procedure: str, step: int, values: dict[str, float]) -> None:
        if procedure not in writers:  # what an interrupted run wrote from this step on is taken back
            writers[procedure] = SummaryWriter(
                str(folder / procedure.replace("/", " of ").replace(":", ",")), purge_step=step
            )
        for name, value in values.items():
            writers[procedure].add_scalar(name, value, step)

    try:
        yield listen
    finally:
        for writer in writers.values():
            writer.close()
