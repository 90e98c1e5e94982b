"""The scripts in benchmarks/: what they share, and that the one for a GPU still runs where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

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


CFG = """
[net]
width=64
height=32

[convolutional]
batch_normalize=1
filters=4
size=3
stride=16
pad=1
activation=relu

[maxpool]
size=3
stride=1

[shortcut]
from=-2
activation=linear

[route]
layers=-1, 0

[convolutional]
filters=14  # two anchors of 5 + 2 numbers
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=1,2
anchors=1,1, 16,8, 32,16
classes=2
scale_x_y=1.2
"""


def test_a_network_of_darknets_files(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from darknet import Darknet

    (tmp_path / "a.cfg").write_text(CFG)
    numbers = np.random.default_rng(0).random(4 * 4 + 4 * 27 + 14 + 14 * 8, np.float32)
    header = np.array([0, 2, 0, 0, 0], np.int32).tobytes()  # version 0.2: a count of 8 bytes follows
    (tmp_path / "a.weights").write_bytes(header + numbers.tobytes())
    network = Darknet(tmp_path / "a.cfg", tmp_path / "a.weights")
    conv, norm, last = network.layers[0][0], network.layers[0][1], network.layers[4][0]
    read = [norm.bias, norm.weight, norm.running_mean, norm.running_var, conv.weight, last.bias, last.weight]
    assert np.array_equal(torch.cat([tensor.detach().flatten() for tensor in read]).numpy(), numbers)

    kept = {}
    network.layers[0].register_forward_hook(lambda _, inputs, output: kept.update(first=output))
    network.layers[4].register_forward_pre_hook(lambda _, inputs: kept.update(last=inputs[0]))
    (found,) = network([torch.rand(3, 64, 128)])
    x = kept["first"]  # (1, 4, 2, 4)
    torch.testing.assert_close(kept["last"], torch.cat([x + F.max_pool2d(x, 3, 1, 1), x], dim=1))
    assert len(found["boxes"]) > 0 and set(found["labels"].tolist()) <= {1, 2}

    (tmp_path / "a.weights").write_bytes(header + numbers.tobytes() + bytes(12))
    with pytest.raises(ValueError, match=r"a\.weights: 253 numbers, and the network has 250"):
        Darknet(tmp_path / "a.cfg", tmp_path / "a.weights")


def test_a_yolo_layers_boxes(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from darknet import Yolo

    layer = Yolo({"mask": "1,2", "anchors": "1,1, 16,8, 32,16", "classes": "2", "scale_x_y": "1.2"}, (32, 64))
    maps = torch.zeros(1, 14, 2, 4)
    maps[0, 7:14, 1, 2] = torch.tensor([0, 100, 0, 0.5, 100, 100, -100])  # the second anchor of one cell
    boxes, scores = layer(maps)
    row = (1 * 4 + 2) * 2 + 1
    x, y, height = (0.5 + 2) / 4, (1.1 + 1) / 2, np.exp(0.5) * 16 / 32
    assert boxes[row].tolist() == pytest.approx([x - 0.25, y - height / 2, x + 0.25, y + height / 2])
    assert scores[row].tolist() == pytest.approx([1, 0])
    assert scores[row - 1].tolist() == [0.25, 0.25] and boxes.shape == (16, 4)
