"""python benchmarks/update_readme.py: write the tables in README.md from benchmarks/results/*.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"rcnn": "R-CNN", "sppnet": "SPP-net", "fast_rcnn": "Fast R-CNN", "faster_rcnn": "Faster R-CNN"}
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
            f"{row['train_seconds']:.0f}",
            f"{row['cache_bytes'] / 1e6:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    seeds = len(results["seeds"])
    facts = (
        f"{results['data']}, {results['dataset']['train_pictures']} training and {results['dataset']['test_pictures']} "
        f"test pictures, {results['backbone']}, {results['recipe']} recipe, {seeds} seed{'s' if seeds > 1 else ''}; "
        f"{results['device']}, torch {results['versions']['torch']}, commit {results['commit']}: `{results['command']}`"
    )
    return "\n".join([*lines, "", facts])


def main() -> int:
    """Replace what stands between ``<!-- results: FILE -->`` and ``<!-- end -->``; --check only compares."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    parts = text.split("<!-- results: ")
    fresh = parts[0]
    for part in parts[1:]:
        name, rest = part.split(" -->", 1)
        after = rest.split("<!-- end -->", 1)[1]
        results = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
        fresh += f"<!-- results: {name} -->\n{table(results)}\n<!-- end -->{after}"
    if "--check" in sys.argv:
        return int(fresh != text)
    readme.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
