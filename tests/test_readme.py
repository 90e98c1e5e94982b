"""The documents' tables are the committed results, and each says how it came about."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def test_the_documents_tables_are_in_step_with_the_results():
    script = ROOT / "benchmarks" / "update_readme.py"
    assert subprocess.run([sys.executable, script, "--check"]).returncode == 0


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_says_where_it_comes_from_and_adds_up(path):
    results = json.loads(path.read_text())
    for field in ("device", "versions", "commit", "command"):
        assert results[field]
    for row in (*results.get("generations", {}).values(), *results.get("variants", {}).values()):
        if "timing" in results:
            continue
        assert len(row["map_values"]) == len(results["seeds"])
        assert row["map_mean"] == pytest.approx(sum(row["map_values"]) / len(row["map_values"]))
    for row in results.get("generations", {}).values():
        assert row["ms_per_image"] == pytest.approx(sum(row["ms_by_phase"].values()))
    for row in results.get("procedures", {}).values():
        assert row["hours"] == pytest.approx(row["seconds_per_step"] * row["steps"] / 3600)
    for row in results.get("rows", []):
        assert row["ratio"] == pytest.approx(row["ours_ms"][0] / row["peer_ms"][0])
    first = results.get("generations", {}).get("rcnn")
    if first:
        for row in results["generations"].values():
            assert row["speedup_with_proposals"] == pytest.approx(first["ms_per_image"] / row["ms_per_image"])


def test_every_result_is_shown_somewhere():
    pages = (ROOT / "README.md", ROOT / "models" / "README.md", *(ROOT / "benchmarks").glob("*.md"))
    shown = "".join(path.read_text() for path in pages)
    assert [path.name for path in RESULTS if f"<!-- results: {path.name} -->" not in shown] == []
