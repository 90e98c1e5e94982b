"""The scripts in benchmarks/: what they share, and that the one for a GPU still runs where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def side_by_side(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import side_by_side

    return side_by_side


def test_both_sides_take_turns_and_the_ratio_is_of_medians(side_by_side, monkeypatch):
    seconds = {"ours": iter([1.0, 2.0, 9.0]), "peer": iter([4.0, 4.0, 4.0])}
    order = []

    def timed(function, device):
        order.append(function())
        return next(seconds[order[-1]])

    monkeypatch.setattr(side_by_side, "seconds_of", timed)
    row = side_by_side.compare("work", lambda: "ours", "theirs", lambda: "peer", goal=0.4, rounds=3)
    assert order == ["peer", "ours", "ours", "peer", "peer", "ours"]
    assert row["ours_ms"] == [2000, 1000, 9000]
    assert row["ratio"] == 0.5
    assert row["ratio_quartiles"][0] < 0.5 < row["ratio_quartiles"][1]


def test_a_result_is_written_with_its_circumstances(side_by_side, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmarks/operators.py", "--device", "cpu"])
    side_by_side.write("x", "Things", [], torch.device("cpu"), tmp_path)
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["command"] == "python benchmarks/operators.py --device cpu"
    assert found["comparison"] == "Things" and found["commit"] and found["device"]


def test_the_gpu_script_runs_on_a_cpu_and_says_what_it_did_not_do(tmp_path):
    script = [sys.executable, BENCHMARKS / "gpu.py", "--device", "cpu", "--size", "128x160", "--proposals", "20"]
    done = subprocess.run(
        [*script, "--rounds", "1", "--only", "alexnet", "--out", tmp_path, "--budget", "0.001"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "gpu-cpu.json").read_text())["parts"]
    assert list(parts) == ["timing, alexnet, float32", "peer, alexnet, float32"]
    assert list(parts["timing, alexnet, float32"]["generations"]) == ["rcnn", "sppnet", "fast_rcnn", "faster_rcnn"]
    assert parts["peer, alexnet, float32"] is None  # the budget was spent
