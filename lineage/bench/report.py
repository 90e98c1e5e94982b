"""The benchmark's tables: on a terminal, as Markdown, as a picture.

Ratios are compared with ratios. A published second belongs to its machine, so it never stands beside one of
ours; how many times quicker than R-CNN does.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from lineage.bench.published import (
    GENERATIONS,
    PUBLISHED,
    QUANTITIES,
    SOURCES,
    contradictions,
    headline,
)
from lineage.common.checkpoint import write_atomically
from lineage.common.stages import PHASES
from lineage.viz import milliseconds, plot_phase_bars

Results = Mapping[str, Any]  # the dict that results.json holds
NOTHING = "-"
WIDTH = 100  # columns of an ordinary terminal


@dataclass(frozen=True)
class Table:
    """One table, before it is drawn on a terminal or written as Markdown."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


# ---- the three tables -------------------------------------------------------------------------------


def tables(results: Results) -> list[Table]:
    """Time, ratios and mAP beside what was published, and what it cost: one row a generation in each."""
    notes = _Notes()
    names = _names(results)
    return [_time_table(results, names), _ratio_table(results, names, notes), _cost_table(results, names)]


def _time_table(results: Results, names: list[str]) -> Table:
    rows = []
    for name in names:
        row = results["generations"][name]
        phases = [_ms(row["ms_by_phase"].get(phase)) for phase in PHASES]
        rows.append((GENERATIONS[name], *phases, _ms(row["ms_per_image_without_proposals"]), _ms(row["ms_per_image"])))
    header = ("", *(f"\n{phase}" for phase in PHASES), "without\nproposals", "with\nproposals")
    return Table("Milliseconds a picture, by phase", header, rows)


def _ratio_table(results: Results, names: list[str], notes: _Notes) -> Table:
    baseline = results["generations"].get("rcnn", {}).get("train_seconds")
    rows = []
    for name in names:
        row = results["generations"][name]
        training = _ratio(baseline, row.get("train_seconds"))
        rows.append(
            (
                GENERATIONS[name],
                _times(row.get("speedup_with_proposals")),
                notes.published("speedup_with_proposals", name),
                _times(row.get("speedup_without_proposals")),
                notes.published("speedup_without_proposals", name),
                _times(training),
                notes.published("training_speedup", name),
                _map(row),
                notes.published("map_voc07", name),
            )
        )
    header = (
        "", "with\nproposals", "\npubl.", "without\nproposals", "\npubl.", "\ntraining", "\npubl.",
        "mAP, %\n(min-max)", "\npubl.",
    )  # fmt: skip
    return Table("Times R-CNN's speed, and mAP at IoU 0.5: measured here | published", header, rows)


def _cost_table(results: Results, names: list[str]) -> Table:
    rows = []
    for name in names:
        row = results["generations"][name]
        rows.append(
            (
                GENERATIONS[name],
                _giga(sum(row["flops_by_phase"].values())),
                str(row.get("heavy_stage") or NOTHING),
                _giga(row.get("heavy_flops_per_second")),
                _mega(row.get("peak_memory_bytes")),
                _number(row.get("proposals_mean"), "{:.0f}"),
                _number(row.get("train_seconds"), "{:.1f}"),
                _number(row.get("train_steps"), "{:.0f}"),
                _number(row.get("train_pictures"), "{:.0f}"),
                _mega(row.get("cache_bytes")),
            )
        )
    header = (
        "", "GFLOPs\na picture", "heaviest\nstage", "its\nGFLOP/s", "peak\nMB", "pro-\nposals", "train\ns",
        "train\nsteps", "pictures\nseen", "cache\nMB",
    )  # fmt: skip
    return Table("Work, memory, training and disk", header, rows)


# ---- what is said beneath them ----------------------------------------------------------------------


def sources(results: Results) -> list[str]:
    """What the letters of the published figures stand for."""
    notes = _Notes()
    _ratio_table(results, _names(results), notes)
    return [f"[{letter}] {text}" for text, letter in notes.letters.items()]


def disagreements(results: Results, figures_only: bool = True) -> list[str]:
    """Where the sources disagree about the generations that ran, and why."""
    found = contradictions(_names(results), figures_only)
    return [f"{c.subject}: {c.claims}. {c.why[0].upper()}{c.why[1:]}." for c in found]


def remarks(results: Results) -> list[str]:
    """What the numbers do and do not say."""
    lines = [map_order(results), _proposal_time(results), _fairness(results)]
    if any(row.get("speedup_with_proposals") is None for row in results["generations"].values()):
        lines.append("R-CNN was not run, so there are no ratios to it.")
    lines.append(
        "Most published times are VGG16's on a K40, published mAP is VOC2007's: compare ratios and order, "
        "not the numbers."
    )
    return [line for line in lines if line]


def map_order(results: Results) -> str:
    """Which orders of mAP the seeds support: only those whose ranges over the seeds do not overlap."""
    seeds = len(results["seeds"])
    if seeds < 2:
        return "mAP: 1 seed: no order claimed."
    rows = results["generations"]
    ranges = {name: _known(rows[name].get("map_values", ())) for name in _names(results)}
    best_first = sorted((name for name in ranges if ranges[name]), key=lambda name: -max(ranges[name]))
    above: dict[str, list[str]] = {}
    unclear = []
    for a, b in combinations(best_first, 2):
        if min(ranges[a]) > max(ranges[b]):
            above.setdefault(GENERATIONS[a], []).append(GENERATIONS[b])
        else:
            unclear.append(f"{GENERATIONS[a]} and {GENERATIONS[b]}")
    parts = []
    if above:
        orders = "; ".join(f"{name} above {', '.join(others)}" for name, others in above.items())
        parts.append(f"mAP over {seeds} seeds: {orders}.")
    if unclear:
        parts.append(f"Ranges over {seeds} seeds overlap, no order claimed: {'; '.join(unclear)}.")
    return " ".join(parts)


def _proposal_time(results: Results) -> str:
    fast, faster = (results["generations"].get(name) for name in ("fast_rcnn", "faster_rcnn"))
    if not (fast and faster):
        return "Proposals have a column of their own: selective search costs the same whoever uses it."
    without, whole = _ms(fast["ms_per_image_without_proposals"]), _ms(faster["ms_per_image"])
    searched, proposed = (_ms(row["ms_by_phase"]["propose"]) for row in (fast, faster))
    return (
        f"Fast R-CNN takes {without} ms without its proposals, Faster R-CNN {whole} ms with its own: "
        f"{searched} ms of selective search became {proposed} ms of RPN."
    )


def _fairness(results: Results) -> str:
    """Say whether the generations were trained alike."""
    rows = results["generations"]
    shares = {(row.get("train_steps"), row.get("train_pictures")) for row in rows.values()}
    how = [f"{GENERATIONS[n]} {r['train_procedure']}" for n, r in rows.items() if r.get("train_procedure")]
    procedures = f" ({'; '.join(how)})" if how else ""
    if len(shares) > 1:
        return f"Not all trained for the same steps and pictures, see the table{procedures}."
    return f"All trained for the same steps and pictures{procedures}."


class _Notes:
    """Published values with a letter each source, in the order of their first use."""

    def __init__(self) -> None:
        self.letters: dict[str, str] = {}

    def published(self, quantity: str, generation: str) -> str:
        figure = headline(quantity, generation)
        if figure is None:
            return NOTHING
        source = f"{figure.source}" + (f" ({figure.note})" if figure.note else "")
        letter = self.letters.setdefault(source, "abcdefghijklmnopqrstuvwxyz"[len(self.letters)])
        value = _times(figure.value) if figure.unit == "x" else f"{figure.value:.1f}"
        return f"{value}[{letter}]"


def facts(results: Results) -> list[tuple[str, str]]:
    """What was run, on what."""
    data, seeds = results["dataset"], results["seeds"]
    pictures = f"{data['train_pictures']} training and {data['test_pictures']} test pictures"
    model = f"backbone {results['backbone']}, recipe {results['recipe']}"
    return [
        ("data", f"{results['data']}: {pictures}, {len(data['classes'])} classes"),
        ("model", f"{model}, {results['proposals']} region proposals asked for"),
        ("seeds", f"{len(seeds)} ({', '.join(map(str, seeds))})"),
        ("device", str(results["device"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
        ("commit", f"{results['commit']}, {results['created']}"),
    ]


# ---- on a terminal ----------------------------------------------------------------------------------


def print_table(results: Results, console: Console) -> None:
    """Print facts, three tables and their footnotes within 100 columns (a narrower terminal folds cells)."""
    with wide(console):
        for key, value in facts(results):
            console.print(hanging(f"{key:<9}", value), width=WIDTH)
        for table in tables(results):
            console.print()
            console.print(drawn(table), width=WIDTH)
        console.print()
        for heading, lines in (
            ("", remarks(results)),
            ("Published:", sources(results)),
            ("Where the sources disagree:", disagreements(results)),
        ):
            if heading and lines:
                console.print(Text(heading))
            for line in lines:
                console.print(hanging("- ", line), width=WIDTH)


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


def drawn(table: Table) -> RichTable:
    rich_table = RichTable(
        title=Text(table.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for i, column in enumerate(table.header):
        in_words = i == 0 or column.startswith("heaviest")
        rich_table.add_column(Text(column), justify="left" if in_words else "right", vertical="top", overflow="fold")
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


# ---- as files ---------------------------------------------------------------------------------------


def write_report(results: Results, out_dir: str | Path) -> list[Path]:
    """Write results.json, report.md and lineage.png into ``out_dir``, each atomically; returns the paths."""
    out = Path(out_dir)
    rows = {GENERATIONS[name]: results["generations"][name] for name in _names(results)}
    figure = plot_phase_bars(
        {name: {p: row["ms_by_phase"].get(p, 0.0) for p in PHASES} for name, row in rows.items()},
        {name: _known(row.get("map_values", ())) for name, row in rows.items()},
        title=f"Time a picture and mAP: {results['data']}, {results['backbone']}, {results['device']}",
    )
    paths = [out / "results.json", out / "report.md", out / "lineage.png"]
    write_atomically(paths[0], lambda path: path.write_text(as_json(results), encoding="utf-8"))
    write_atomically(paths[1], lambda path: path.write_text(markdown(results), encoding="utf-8"))
    write_atomically(paths[2], lambda path: figure.savefig(path))
    return paths


def markdown(results: Results) -> str:
    """The whole report as Markdown."""
    lines = ["# R-CNN to Faster R-CNN, measured", ""]
    lines += [f"- {key}: {value}" for key, value in facts(results)]
    lines += [f"- command: `{_command(results['command'])}`", "", "![Phases and mAP](lineage.png)", ""]
    for table in tables(results):
        lines += [f"## {table.title.replace('|', 'and')}", "", *markdown_table(table), ""]
    lines += [f"- {line}" for line in remarks(results)]
    lines += ["", "## AP a class, mean over the seeds, %", "", *markdown_table(_class_table(results)), ""]
    lines += ["## Published: sources", "", *(f"- {line}" for line in sources(results)), ""]
    lines += ["## Where the sources disagree", ""]
    lines += [f"- {line}" for line in disagreements(results, figures_only=False)]
    lines += ["", "## Everything published", "", *markdown_table(_published_table(), align="---"), ""]
    lines += [f"- {key}: {title}" for key, title in SOURCES.items()]
    return "\n".join(lines) + "\n"


def _class_table(results: Results) -> Table:
    names = _names(results)
    per_class = [results["generations"][name].get("ap_per_class", {}) for name in names]
    rows = [(c, *(_percent(ap.get(c)) for ap in per_class)) for c in results["dataset"]["classes"]]
    return Table("", ("class", *(GENERATIONS[name] for name in names)), rows)


def _published_table() -> Table:
    rows = []
    for p in PUBLISHED:
        detector = GENERATIONS.get(p.generation, p.generation)
        rows.append((p.source, QUANTITIES[p.quantity], detector, f"{p.value:g} {p.unit}", p.note))
    return Table("", ("source", "quantity", "detector", "value", "note"), rows)


def markdown_table(table: Table, align: str = "---:") -> list[str]:
    def line(cells: Sequence[str]) -> str:
        flat = (cell.replace("-\n", "").replace("\n", " ").replace("|", "\\|").strip() for cell in cells)
        return f"| {' | '.join(flat)} |"

    return [line(table.header), line(["---"] + [align] * (len(table.header) - 1)), *map(line, table.rows)]


# ---- numbers as text --------------------------------------------------------------------------------


def _names(results: Results) -> list[str]:
    """The generations that ran, in the papers' order.

    Raises:
        ValueError: results["generations"] is empty or has a name that is none of the four.
    """
    ran = results["generations"]
    unknown = [name for name in ran if name not in GENERATIONS]
    if unknown or not ran:
        raise ValueError(f"results: generations: expected some of {', '.join(GENERATIONS)}, got {list(ran)}")
    return [name for name in GENERATIONS if name in ran]


def _known(values: Sequence[float | None]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def _number(value: float | None, pattern: str) -> str:
    return NOTHING if value is None or not math.isfinite(value) else pattern.format(value)


def _ms(value: float | None) -> str:
    return NOTHING if value is None or not math.isfinite(value) else milliseconds(value)


def _times(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.0f}x" if value >= 9.95 or value == int(value) else f"{value:.1f}x"


def _ratio(baseline: float | None, value: float | None) -> float | None:
    return baseline / value if baseline and value else None


def _percent(value: float | None) -> str:
    return _number(None if value is None else 100 * value, "{:.1f}")


def _map(row: Mapping[str, Any]) -> str:
    values = _known(row.get("map_values", ()))
    spread = f" ({100 * min(values):.1f}-{100 * max(values):.1f})" if len(values) > 1 else ""
    return _percent(row["map_mean"]) + spread


def _giga(value: float | None) -> str:
    return NOTHING if value is None else _ms(value / 1e9)


def _mega(value: float | None) -> str:
    return _number(None if value is None else value / 1e6, "{:.0f}" if (value or 0) >= 1e7 else "{:.1f}")


def _command(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else shlex.join(command)


def as_json(results: Results) -> str:
    """A results file's text."""
    return json.dumps(_without_nan(results), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _without_nan(value: Any) -> Any:
    """JSON has no nan: it becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
