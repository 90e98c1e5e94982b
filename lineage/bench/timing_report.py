"""The tables and the plot of --timing: on a terminal, and as timing.json, timing.md and timing.png."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from lineage.bench.circumstances import circumstances_line
from lineage.bench.results import as_json
from lineage.common.checkpoint import write_atomically
from lineage.common.stages import PHASES
from lineage.common.tables import NOTHING, WIDTH, Table, drawn, hanging, markdown_table, wide
from lineage.experiments.generations import TITLES
from lineage.viz import milliseconds, plot_scaling

Results = Mapping[str, Any]
CURVES = {"proposals": "proposals", "pixels": "pixels", "pictures": "pictures, one after another"}
EXPLAINED = 0.25  # a limit that explains less of a stage's time than this is not what holds it


def facts(results: Results) -> list[str]:
    """What was timed, on what, and what that can do."""
    setting, ceiling = results["timing"], results["ceiling"]
    layout = "channels_last" if setting["channels_last"] else "default layout"
    return [
        f"{setting['backbone']}, {setting['weights']} weights, {setting['size'][0]} x {setting['size'][1]} pixels, "
        f"{setting['dtype']}, {layout}{', compiled' if setting['compiled'] else ''}; {setting['proposals']} proposals, "
        f"Faster R-CNN {setting['rpn_proposals']}; "
        f"medians of {results['rounds']} rounds, taken in turns",
        circumstances_line(results),
        f"Its ceiling, measured in the same run: matrix product {_giga(ceiling['matmul'])} GFLOP/s, "
        f"3 x 3 convolution {_giga(ceiling['convolution'])} GFLOP/s, copying {ceiling['copy'] / 1e9:.1f} GB/s, "
        f"launching an operator {1e6 * ceiling['launch']:.1f} µs.",
    ]


def tables(results: Results) -> list[Table]:
    """Phases, stages against the ceiling, and memory and scale."""
    return [_phase_table(results), _stage_table(results), *_curve_tables(results)]


def remarks(results: Results) -> list[str]:
    """What the tables leave unsaid."""
    lines = []
    for name, row in results["generations"].items():
        if row["extrapolated_from"]:
            lines.append(
                f"{TITLES[name]}: {row['extrapolated_from']} of {row['regions']} crops were run; warp, CNN, SVMs "
                "and regressors are extrapolated in proportion; its memory is not measured so."
            )
    return [
        *lines,
        "arithmetic, memory, launch: how much of the stage's time that limit alone would explain, were nothing else to "
        "hold it. Memory counts every operator's inputs and outputs, so what stays in a cache can pass 100 %; code of "
        "OpenCV's and numba's counts only with what it returns.",
        "Selective search runs on the CPU whatever the device.",
    ]


def _phase_table(results: Results) -> Table:
    rows = []
    for name, row in results["generations"].items():
        ratio = row["speedup_without_proposals"]
        device_peak = row["device_peak_memory_bytes"]
        rows.append(
            (
                TITLES[name],
                *(milliseconds(row["ms_by_phase"][phase]) for phase in PHASES),
                milliseconds(row["ms_per_image_without_proposals"]),
                milliseconds(row["ms_per_image"]),
                f"{ratio:.1f}x" if ratio else NOTHING,
                _giga(sum(row["flops_by_phase"].values())),
                NOTHING if row["extrapolated_from"] else f"{(device_peak or row['peak_memory_bytes']) / 1e6:.0f}",
            )
        )
    header = (
        "", *(f"\n{phase}" for phase in PHASES), "without\nproposals", "\nall", "times\nR-CNN",
        "\nGFLOPs", "peak\nMB",
    )  # fmt: skip
    return Table("Milliseconds a picture, by phase (times R-CNN: proposals not counted)", header, rows)


def _stage_table(results: Results) -> Table:
    rows = []
    for name, row in results["generations"].items():
        for stage, facts in row["stages"].items():
            shares = facts["shares"]
            limit = max(shares, key=lambda kind: shares[kind])
            low, high = facts["ms_range"]
            rows.append(
                (
                    f"{TITLES[name]}: {stage}",
                    milliseconds(facts["ms"]),
                    f"{milliseconds(low)}-{milliseconds(high)}",
                    _giga(facts["flops"]),
                    _giga(facts["flops_per_second"]),
                    *(f"{100 * shares[kind]:.0f}" for kind in ("arithmetic", "memory", "launch")),
                    limit if shares[limit] >= EXPLAINED else NOTHING,
                )
            )
    header = (
        "", "\nms", "\nrange", "\nGFLOPs", "\nGFLOP/s", "arith-\nmetic, %", "memory,\n%", "launch,\n%", "\nbound by",
    )  # fmt: skip
    return Table("Every stage against the ceiling", header, rows)


def _curve_tables(results: Results) -> list[Table]:
    generations = {name: row for name, row in results["generations"].items() if "curves" in row}
    if not generations:
        return []
    found = []
    for curve in CURVES:
        points = next(iter(generations.values()))["curves"][curve]
        header = ("", *(f"{point[0]:,}" for point in points))
        rows = [
            (TITLES[name], *(_point(curve, *point) for point in row["curves"][curve]))
            for name, row in generations.items()
        ]
        if curve == "pictures":
            last = list(generations.values())[-1]["curves"][curve]
            rows.append(("MB in use after it", *(f"{point[2] / 1e6:.0f}" for point in last)))
        found.append(Table(f"Milliseconds a picture against {CURVES[curve]}", header, rows))
    return found


def _point(curve: str, wanted: int, ms: float, other: int) -> str:
    """A time; with the number of proposals behind it where the RPN had fewer than were wanted."""
    return f"{milliseconds(ms)} ({other})" if curve == "proposals" and other < wanted else milliseconds(ms)


def _giga(value: float) -> str:
    return milliseconds(value / 1e9)


def print_timing(results: Results, console: Console) -> None:
    """Print all tables."""
    with wide(console):
        for line in facts(results):
            console.print(Text(line), width=WIDTH)
        for table in tables(results):
            console.print()
            console.print(drawn(table), width=WIDTH)
        console.print()
        for line in remarks(results):
            console.print(hanging("- ", line), width=WIDTH)


def timing_markdown(results: Results) -> str:
    """The whole report as Markdown."""
    lines = [*(line + "\n" for line in facts(results))]
    for table in tables(results):
        lines += [f"**{table.title}**", "", *markdown_table(table), ""]
    lines += [f"- {line}" for line in remarks(results)]
    return "\n".join(lines) + "\n"


def write_timing(results: Results, out: Path) -> list[Path]:
    """Write timing.json, timing.md and, with curves, timing.png into ``out``; returns the paths."""
    paths = [out / "timing.json", out / "timing.md"]
    write_atomically(paths[0], lambda path: path.write_text(as_json(results), encoding="utf-8"))
    write_atomically(paths[1], lambda path: path.write_text(timing_markdown(results), encoding="utf-8"))
    rows = {TITLES[name]: row["curves"] for name, row in results["generations"].items() if "curves" in row}
    if rows:
        curves = {
            label: {name: [(p[0], p[1]) for p in row[curve]] for name, row in rows.items()}
            for curve, label in CURVES.items()
        }
        setting = results["timing"]
        figure = plot_scaling(curves, title=f"{setting['backbone']}, {results['device']}, {setting['dtype']}")
        paths.append(out / "timing.png")
        write_atomically(paths[-1], lambda path: figure.savefig(path))
    return paths
