"""python benchmarks/update_readme.py: write the documents' tables from benchmarks/results/*.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lineage.bench.ablations.report import ablation_markdown
from lineage.bench.circumstances import circumstances_line
from lineage.bench.published import headline
from lineage.bench.remarks import real_differences
from lineage.bench.result_tables import class_table, tables
from lineage.bench.timing_report import timing_markdown
from lineage.common.tables import markdown_table
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.generations import TITLES
from lineage.viz import milliseconds

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LINEAGE_RATIOS = "timing-vgg16-600x800-cpu.json"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "models" / "README.md",
    *(ROOT / "benchmarks" / name for name in ("README.md", "ABLATIONS.md", "VOC.md")),
]
SUSTAINED = 30  # TFLOP/s: about half of what a card of 60 in float32 can do
HEADER = (
    "| | mAP@0.5, % (range) | ms a picture | of it proposals | times R-CNN | without proposals | GFLOPs "
    "| training, s | cache, MB |"
)


def table(results: dict[str, Any]) -> str:
    """One run as a Markdown table with what it was measured on beneath."""
    lines = [HEADER, "|---|---|---|---|---|---|---|---|---|"]
    for name, row in results["generations"].items():
        values = [100 * value for value in row["map_values"]]
        spread = f" ({min(values):.1f}-{max(values):.1f})" if len(values) > 1 else ""
        speedups = [row["speedup_with_proposals"], row["speedup_without_proposals"]]
        cells = [
            TITLES[name],
            f"{100 * row['map_mean']:.1f}{spread}",
            f"{row['ms_per_image']:.1f}",
            f"{row['ms_by_phase']['propose']:.1f}",
            *(f"{value:.1f}x" if value else "-" for value in speedups),
            f"{sum(row['flops_by_phase'].values()) / 1e9:.2f}",
            "-" if row["train_seconds"] is None else f"{row['train_seconds']:.0f}",  # trained beside other work
            f"{row['cache_bytes'] / 1e6:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    seeds = len(results["seeds"])
    facts = (
        f"{results['data']}, {results['dataset']['train_pictures']} training and {results['dataset']['test_pictures']} "
        f"test pictures, {results['backbone']}, {results['recipe']} recipe, {seeds} seed{'s' if seeds > 1 else ''}; "
        f"{circumstances_line(results)}"
    )
    return "\n".join([*lines, "", facts])


def voc_table(results: dict[str, Any]) -> str:
    """What was measured on VOC's own pictures, beside the papers' rows."""
    lines = [
        "| | mAP@0.5, % (95 %) | its paper, small network | its paper, VGG16 | COCO's AP, % | ms a picture "
        "| of it proposals | GFLOPs | training, h | cache, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["generations"].items():
        low, high = (100 * end for end in row["map_interval"])
        published = [headline(quantity, name) for quantity in ("map_voc07_small", "map_voc07")]
        cells = [
            TITLES[name],
            f"{100 * row['map_mean']:.1f} ({low:.1f}-{high:.1f})",
            *(f"{figure.value:.1f}" if figure else "-" for figure in published),
            f"{100 * row['coco']['AP']:.1f}",
            f"{row['ms_per_image']:.0f}",
            f"{row['ms_by_phase']['propose']:.0f}",
            f"{sum(row['flops_by_phase'].values()) / 1e9:.1f}",
            f"{row['train_seconds'] / 3600:.1f}",
            f"{row['cache_bytes'] / 1e6:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    remark = real_differences(results)
    data = results["dataset"]
    facts = (
        f"{results['data']}, {data['train_pictures']} training and {data['test_pictures']} test pictures, "
        f"{results['backbone']}, {results['recipe']} recipe; {circumstances_line(results)}"
    )
    return "\n".join([*lines, "", *([remark, ""] if remark else []), facts])


def parts_of_voc(results: dict[str, Any], part: str) -> str:
    """``classes``: AP a class beside the papers'. ``errors``: what goes wrong, and how sure the mAPs are."""
    if part == "classes":
        return "\n".join(markdown_table(class_table(results)))
    (errors,) = [table for table in tables(results) if table.title.startswith("How sure")]
    return "\n".join([f"{errors.title}.", "", *markdown_table(errors)])


def plan_table(results: dict[str, Any]) -> str:
    """The cost of the papers' recipes on VOC2007, procedure by procedure."""
    lines = [
        "| procedure | s a step, measured | steps | hours at that rate | TFLOPs a step | peak memory so far, GB "
        f"| hours if {SUSTAINED} TFLOP/s were sustained (arithmetic) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results["procedures"].items():
        lines.append(
            f"| {name} | {row['seconds_per_step']:.3g} | {row['steps']:,} | {row['hours']:.3g} "
            f"| {row['flops_per_step'] / 1e12:.2f} | {row['peak_memory_bytes'] / 1e9:.1f} "
            f"| {row['flops_per_step'] * row['steps'] / (SUSTAINED * 1e12) / 3600:.2g} |"
        )
    facts = (
        f"VGG16 on synthetic 500 x 375 pictures, {results['measured_steps']} step(s) of each measured; "
        f"{circumstances_line(results)}"
    )
    return "\n".join([*lines, "", facts])


def comparison_table(results: dict[str, Any]) -> str:
    """What was measured side by side, with the goal of each ratio."""
    lines = ["| what | ours, ms | against | theirs, ms | ours / theirs | goal |", "|---|---|---|---|---|---|"]
    remarks = []
    for row in results["rows"]:
        low, high = row["ratio_quartiles"]
        goal = "" if row["goal"] is None else f"{row['goal']:.3g}: {'met' if row['ratio'] <= row['goal'] else 'missed'}"
        times = [milliseconds(row[side][0]) for side in ("ours_ms", "peer_ms")]
        ratio = f"{row['ratio']:.3g} ({low:.3g}-{high:.3g})"
        lines.append(f"| {' | '.join([row['what'], times[0], row['peer'], times[1], ratio, goal])} |")
        if row["remark"]:
            remarks.append(f"- {row['what']}: {row['remark']}.")
    return "\n".join([*lines, "", *remarks, "", circumstances_line(results)])


def goals_table() -> str:
    """Every ratio that has a goal: times of all comparisons, and what --timing gives."""
    lines = ["| | against | measured | goal |", "|---|---|---|---|"]
    timing = json.loads((RESULTS / LINEAGE_RATIOS).read_text())
    setting, rows = timing["timing"], timing["generations"]
    where = f"{setting['backbone']}, {setting['size'][0]} x {setting['size'][1]} pixels, proposals not counted"
    for name, goal in (("fast_rcnn", 73), ("faster_rcnn", 146)):
        times = rows[name]["speedup_without_proposals"]
        lines.append(f"| {TITLES[name]}'s speed, {where} | R-CNN's | {times:.1f}x | at least {goal}x |")
    for name, stage in (("rcnn", "cnn"), ("fast_rcnn", "conv"), ("fast_rcnn", "fc")):
        share = rows[name]["stages"][stage]["shares"]["arithmetic"]
        what = f"{TITLES[name]}'s {stage} stage, arithmetic"
        lines.append(f"| {what} | the device's measured rate | {100 * share:.0f} % | at least 50 % |")
    for path in sorted(RESULTS.glob("*.json")):
        for row in json.loads(path.read_text()).get("rows", []):
            if row["goal"] is not None:
                missed = "" if row["ratio"] <= row["goal"] else " (missed)"
                cells = row["what"], row["peer"], f"{row['ratio']:.3g}x", f"at most {row['goal']:.3g}x{missed}"
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gpu_tables(results: dict[str, Any]) -> str:
    """All parts of gpu.py: milliseconds of the four generations by backbone and type, then what was compared."""
    head = ["ms a picture, proposals not counted", *TITLES.values(), "times R-CNN", "Faster R-CNN, pictures/s"]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|---|---|"]
    compared: list[dict[str, Any]] = []
    for name, part in results["parts"].items():
        if part is None or "error" in part:
            why = "not measured" if part is None else part["error"]
            lines.append(f"| {name} | {why} |  |  |  |  |  |")
        elif "generations" in part:
            rows = part["generations"]
            times = [milliseconds(rows[one]["ms_per_image_without_proposals"]) for one in TITLES]
            ratios = "/".join(f"{rows[one]['speedup_without_proposals']:.0f}" for one in list(TITLES)[1:])
            rate = 1e3 / rows["faster_rcnn"]["ms_per_image"]
            lines.append(f"| {name.removeprefix('timing, ')} | {' | '.join(times)} | {ratios} | {rate:.0f} |")
        else:
            compared += part if isinstance(part, list) else [part]
    return "\n".join([*lines, "", comparison_table({**results, "rows": compared})])


def capstone_table(results: dict[str, Any]) -> str:
    """mAP of assignment A7's solution and of typical mistakes in it."""
    lines = ["| | mAP@0.5, % |", "|---|---|"]
    for name, row in results["capstone"].items():
        values = ", ".join(f"{100 * value:.1f}" for value in row["map_values"])
        lines.append(f"| {name} | {values} |")
    return "\n".join([*lines, "", circumstances_line(results)])


def peers_table(results: dict[str, Any]) -> str:
    """Detectors of other people's on VOC's pictures, beside ours, and which differences are real."""
    lines = [
        "| | mAP@0.5, % (95 %) | COCO's AP, % | right | badly placed | background | never found | ms a picture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["peers"].items():
        total = {kind: sum(one[kind] for one in row["errors"].values()) for kind in next(iter(row["errors"].values()))}
        shares = (100 * total[kind] / total["objects"] for kind in ("correct", "localisation", "background", "missed"))
        low, high = (100 * end for end in row["map_interval"])
        cells = [
            name, f"{100 * row['map']:.1f} ({low:.1f}-{high:.1f})", f"{100 * row['coco']['AP']:.1f}",
            *(f"{share:.0f} %" for share in shares), f"{row['ms_per_image']:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    apart = [
        f"- {second} against {first}: {100 * pair['mean']:+.1f} ({100 * pair['interval'][0]:+.1f} to "
        f"{100 * pair['interval'][1]:+.1f})"
        for pair in results["differences"]
        for first, second in [pair["between"]]
    ]
    facts = (
        f"{results['data']}, {results['train_pictures']} training and {results['test_pictures']} test pictures, "
        f"{results['recipe']} recipe; {circumstances_line(results)}"
    )
    return "\n".join(
        [*lines, "", "Differences of mAP, with the 95 % interval of a paired bootstrap:", "", *apart, "", facts]
    )


def kills_table(results: dict[str, Any]) -> str:
    """Where runs were killed, and what came out."""
    lines = [
        "| | s, undisturbed | kills | got through | came out other | failed | files left over |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results["kills"].items():
        cells = (
            f"{row['seconds']:.1f}",
            row["kills"],
            row["results"],
            row["other"],
            row["failed"],
            len(row["left_over"]),
        )
        lines.append(f"| {' | '.join([name, *map(str, cells)])} |")
    total = sum(row["kills"] for row in results["kills"].values())
    room, both = results["no_room"], results["two_at_once"]
    facts = [
        f"- R-CNN without room for a file of {room['bytes'] / 1e3:.0f} kB: "
        f"{'stopped' if room['stopped'] else 'went on'}; with room the same came out: {_yes(room['same'])}.",
        f"- Two R-CNN at once on one cache: the same came out of both: {_yes(both['same'])}.",
    ]
    return "\n".join([*lines, "", f"{total} kills.", "", *facts, "", circumstances_line(results)])


def scaling_table(results: dict[str, Any]) -> str:
    """One and two processes here, and the arithmetic for more machines."""
    lines = ["| ms a picture | proposals | training | detection |", "|---|---|---|---|"]
    for name, row in results["scaling"].items():
        times = (milliseconds(1e3 * row[phase]) for phase in ("proposals", "training", "detection"))
        lines.append(f"| {' | '.join([name, *times])} |")
    for data, rows in results["projected"].items():
        phases = [name for name in next(iter(rows.values())) if name not in ("busy in training", "bottleneck")]
        head = [f"{data}: machines", *(f"{phase}, h" for phase in phases), "busy in training", "bottleneck"]
        lines += ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        for machines, row in rows.items():
            cells = [
                machines,
                *(f"{row[phase]:.2g}" for phase in phases),
                str(row["busy in training"]),
                row["bottleneck"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", circumstances_line(results)])


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def rendered(results: dict[str, Any]) -> str:
    """A results file of any kind as Markdown."""
    if "ablation" in results:
        return ablation_markdown(results).rstrip()
    if "timing" in results:
        return timing_markdown(results).rstrip()
    if "parts" in results:
        return gpu_tables(results)
    if "comparison" in results:
        return comparison_table(results)
    if "capstone" in results:
        return capstone_table(results)
    if "scaling" in results:
        return scaling_table(results)
    if "kills" in results:
        return kills_table(results)
    if "peers" in results:
        return peers_table(results)
    if "plan" in results:
        return plan_table(results)
    ours = tuple(results["dataset"]["classes"]) == VOC_CLASSES
    return voc_table(results) if ours else table(results)


def _text(name: str) -> str:
    """What stands under ``FILE``, ``FILE classes``, ``FILE errors`` or ``goals``."""
    if name == "goals":
        return goals_table()
    file, _, part = name.partition(" ")
    results = json.loads((RESULTS / file).read_text())
    return parts_of_voc(results, part) if part else rendered(results)


def main() -> int:
    """Replace what stands between ``<!-- results: FILE -->`` (:func:`_text`) and ``<!-- end -->``; --check compares."""
    stale = False
    for document in DOCUMENTS:
        text = document.read_text()
        parts = text.split("<!-- results: ")
        fresh = parts[0]
        for part in parts[1:]:
            name, rest = part.split(" -->", 1)
            after = rest.split("<!-- end -->", 1)[1]
            fresh += f"<!-- results: {name} -->\n{_text(name)}\n<!-- end -->{after}"
        stale |= fresh != text
        if "--check" not in sys.argv:
            document.write_text(fresh)
    return int(stale and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
