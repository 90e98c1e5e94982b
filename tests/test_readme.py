"""README's tables are the committed results, and its results say how they came about."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def test_readmes_tables_are_in_step_with_the_results():
    script = ROOT / "benchmarks" / "update_readme.py"
    assert subprocess.run([sys.executable, script, "--check"]).returncode == 0


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_says_where_it_comes_from_and_adds_up(path):
    results = json.loads(path.read_text())
    for field in ("device", "versions", "commit", "command", "data", "backbone", "recipe"):
        assert results[field]
    for row in results["generations"].values():
        assert len(row["map_values"]) == len(results["seeds"])
        assert row["map_mean"] == pytest.approx(sum(row["map_values"]) / len(row["map_values"]))
        assert row["ms_per_image"] == pytest.approx(sum(row["ms_by_phase"].values()))
    first = results["generations"].get("rcnn")
    if first:
        for row in results["generations"].values():
            assert row["speedup_with_proposals"] == pytest.approx(first["ms_per_image"] / row["ms_per_image"])
