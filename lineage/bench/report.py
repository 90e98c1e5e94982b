"""The benchmark's report: on a terminal, as Markdown, as a picture."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lineage.bench.published import SOURCES
from lineage.bench.remarks import disagreements, facts, remarks
from lineage.bench.result_tables import class_table, published_table, sources, tables
from lineage.bench.results import Results, as_json, known, names_of
from lineage.common.checkpoint import write_atomically
from lineage.common.stages import PHASES
from lineage.common.tables import WIDTH, drawn, hanging, markdown_table, wide
from lineage.experiments.generations import TITLES
from lineage.viz import plot_phase_bars


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


def write_report(results: Results, out_dir: str | Path) -> list[Path]:
    """Write results.json, report.md and lineage.png into ``out_dir``, each atomically; returns the paths."""
    out = Path(out_dir)
    rows = {TITLES[name]: results["generations"][name] for name in names_of(results)}
    figure = plot_phase_bars(
        {name: {p: row["ms_by_phase"].get(p, 0.0) for p in PHASES} for name, row in rows.items()},
        {name: known(row.get("map_values", ())) for name, row in rows.items()},
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
    lines += ["", "## AP a class, mean over the seeds, %", "", *markdown_table(class_table(results)), ""]
    lines += ["## Published: sources", "", *(f"- {line}" for line in sources(results)), ""]
    lines += ["## Where the sources disagree", ""]
    lines += [f"- {line}" for line in disagreements(results, figures_only=False)]
    lines += ["", "## Everything published", "", *markdown_table(published_table(), align="---"), ""]
    lines += [f"- {key}: {title}" for key, title in SOURCES.items()]
    return "\n".join(lines) + "\n"


def _command(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else shlex.join(command)
