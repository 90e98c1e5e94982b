"""An ablation's results on a terminal, and as ablation-NAME.json and .md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from lineage.bench.circumstances import circumstances_line
from lineage.bench.results import as_json
from lineage.common.checkpoint import write_atomically
from lineage.common.tables import Table, drawn, markdown_table

HEADER = ("", "mAP@0.5, %", "range", "mAP@0.7, %", "ms without proposals", "proposals", "published mAP@0.5")


def ablation_table(results: dict[str, Any]) -> Table:
    """One row a variant; what nobody publishes is left open."""
    rows = []
    for label, row in results["variants"].items():
        values = [100 * value for value in row["map_values"]]
        rows.append(
            (
                label,
                f"{100 * row['map_mean']:.1f}",
                f"{min(values):.1f}-{max(values):.1f}" if len(values) > 1 else "",
                f"{100 * row['map_70_mean']:.1f}",
                f"{row['ms_per_image_without_proposals']:.1f}",
                f"{row['proposals_mean']:.0f}",
                "" if row["published"] is None else f"{row['published']:.1f}",
            )
        )
    return Table(results["title"], HEADER, rows)


def footnotes(results: dict[str, Any]) -> list[str]:
    """On what it was measured, and where the published figures come from."""
    data, seeds = results["dataset"], len(results["seeds"])
    lines = [
        f"Measured: {results['data']}, {data['train_pictures']} training and {data['test_pictures']} test pictures, "
        f"{results['backbone']}, {results['recipe']} recipe, {seeds} seed{'s' if seeds > 1 else ''}; "
        f"{circumstances_line(results)}.",
        f"Published, on VOC2007: {results['source']}.",
    ]
    return [*lines, results["remark"]] if results["remark"] else lines


def print_ablation(results: dict[str, Any], console: Console) -> None:
    """The table and its footnotes."""
    console.print(drawn(ablation_table(results)))
    for line in footnotes(results):
        console.print(line)


def ablation_markdown(results: dict[str, Any]) -> str:
    """The same for a document."""
    return "\n".join([*markdown_table(ablation_table(results)), "", *(f"{line}\n" for line in footnotes(results))])


def write_ablation(results: dict[str, Any], out: Path) -> list[Path]:
    """Write ablation-NAME.json and ablation-NAME.md into ``out``, each atomically; returns the paths."""
    name = f"ablation-{results['ablation']}"
    paths = [out / f"{name}.json", out / f"{name}.md"]
    write_atomically(paths[0], lambda path: path.write_text(as_json(results), encoding="utf-8"))
    write_atomically(paths[1], lambda path: path.write_text(ablation_markdown(results), encoding="utf-8"))
    return paths
