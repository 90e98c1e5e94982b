"""python benchmarks/gpu.py: all that is measured on a GPU, in ten minutes, with nothing but the project.

The most wanted comes first, and the file is written after every part: what the budget cuts off is "not measured".
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import operators
import torch
import training
from peers import detection_row
from side_by_side import RESULTS, write

from lineage.bench.timed import Setting, set_precision
from lineage.bench.timing import time_generations
from lineage.bench.timing_command import picture_size

BACKBONES = ("vgg16", "resnet50", "alexnet")
KINDS = (("tf32", False), ("float32", False), ("bf16", False), ("bf16", True))  # dtype, compiled
Part = Callable[[], Any]


def parts(device: torch.device, size: tuple[int, int], proposals: int, rounds: int) -> dict[str, Part]:
    """Name -> what measures it, the most wanted first."""
    base = Setting(device, size=size, proposals=proposals)
    found: dict[str, Part] = {}
    on_gpu = device.type == "cuda"

    def timing(backbone: str, dtype: str, compiled: bool, curves: bool) -> Part:
        setting = dataclasses.replace(base, backbone=backbone, dtype=dtype, compiled=compiled)
        return lambda: time_generations(setting, rounds=rounds, curves=curves)

    for dtype, compiled in KINDS if on_gpu else KINDS[1:2]:
        for backbone in BACKBONES:
            name = f"timing, {backbone}, {dtype}{', compiled' if compiled else ''}"
            found[name] = timing(backbone, dtype, compiled, curves=(backbone, dtype) == ("vgg16", "tf32"))
    for dtype in ("tf32", "float32") if on_gpu else ("float32",):
        for backbone in BACKBONES:
            found[f"peer, {backbone}, {dtype}"] = lambda b=backbone, d=dtype: peer(b, d, size, device, rounds)
    for backbone in BACKBONES[:2]:
        found[f"training, {backbone}"] = lambda b=backbone: steps(b, size, device, rounds)
    found["operators"] = lambda: operators.pooling(device) + operators.warping(device)
    return found


def peer(backbone: str, dtype: str, size: tuple[int, int], device: torch.device, rounds: int) -> dict[str, Any]:
    """Ours against torchvision's, detecting. TF32's rounding turns decisions: the agreement is said, not asked for."""
    set_precision(dtype)
    return detection_row(f"{backbone}, {dtype}", backbone, size, device, rounds)


def steps(backbone: str, size: tuple[int, int], device: torch.device, rounds: int) -> list[dict[str, Any]]:
    """Training steps against torchvision's parts."""
    set_precision("float32")
    return training.step_rows(backbone, size, device, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="600x1000")
    parser.add_argument("--proposals", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--budget", type=float, default=540, help="seconds after which no part is begun")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of gpu-DEVICE.json")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    start = time.perf_counter()
    todo = parts(device, picture_size(arguments.size), arguments.proposals, arguments.rounds)
    todo = {name: part for name, part in todo.items() if arguments.only in name}
    done: dict[str, Any] = dict.fromkeys(todo)  # None: not measured
    for name, part in todo.items():
        if time.perf_counter() - start > arguments.budget:
            break
        print(f"== {name}", flush=True)
        try:
            done[name] = part()
        except Exception as error:  # one part's failure is a finding of its own and costs the others nothing
            traceback.print_exc()
            done[name] = {"error": f"{type(error).__name__}: {error}"}
        if device.type == "cuda":
            torch.cuda.empty_cache()
        seconds = time.perf_counter() - start
        write(f"gpu-{device.type}", "GPU", [], device, arguments.out, parts=done, seconds=seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
