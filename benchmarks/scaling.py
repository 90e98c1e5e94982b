"""python benchmarks/scaling.py: one process with one thread and with two, and two processes with one thread each.

What each phase takes (a minute or two a setting, on drawn pictures, EfficientNet-Lite0 with random weights: what a step
costs does not depend on what was learnt), and from that, by arithmetic, what 1 to 100 machines would take for VOC2007
and COCO, and what is the bottleneck there. Writes benchmarks/results/scaling.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from side_by_side import RESULTS

from lineage.backbones import build_backbone
from lineage.bench.circumstances import circumstances
from lineage.bench.results import as_json
from lineage.common.checkpoint import write_atomically
from lineage.common.running import Running
from lineage.common.together import barrier, is_first, together, world
from lineage.data.proposals import cached_proposals
from lineage.data.shapes import ensure_shapes
from lineage.data.voc import VOCDataset
from lineage.experiments.detections import detect_all
from lineage.experiments.generations import build_detector, named_recipe, train_detector

SETTINGS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}
PICTURES, STEPS, PER_STEP = 24, 12, 4
WARM_UP = 4  # steps whose time is not counted: kernels are prepared
# Assumed, not measured: what the machines have between them, and what they read pictures and features from.
NETWORK, LATENCY = 1.25e9, 50e-6  # bytes a second (10 Gb/s) and seconds a message
DISK = 1e9  # bytes a second that a shared file system gives all machines together
MACHINES = (1, 2, 4, 10, 100)
DATA = {  # pictures, epochs, pictures a step, bytes of R-CNN's fc7 of 2000 proposals a picture in half precision
    "VOC2007": {"pictures": 5_011, "epochs": 10, "per_step": 4},
    "COCO": {"pictures": 118_287, "epochs": 12, "per_step": 16},
}
FEATURES = 2 * 2000 * 1280  # bytes a picture: EfficientNet's features of 2000 proposals, half precision


def phases(folder: Path) -> dict[str, float]:
    """Seconds a picture of each phase, whoever makes it."""
    pictures = VOCDataset(ensure_shapes(folder / "data", trainval=PICTURES, test=1), "trainval")
    search = named_recipe("rcnn", "quick").proposals
    cached_proposals(pictures.every(PICTURES), search, "compiled", folder / "proposals", jobs=1)
    found: dict[str, Any] = {}

    def propose() -> None:
        found["regions"] = cached_proposals(pictures, search, "timed", folder / "proposals", jobs=1)

    seconds = {"proposals": timed(propose) / PICTURES}
    recipe = named_recipe("faster_rcnn", "quick")
    ticks: list[float] = []
    solver = replace(recipe.solver, steps=STEPS + WARM_UP, warmup=0, images_per_step=PER_STEP // 2, accumulate=2)
    detector = build_detector(
        "faster_rcnn", build_backbone("efficientnet_lite0"), pictures.classes, replace(recipe, solver=solver)
    )

    running = Running(listen=lambda *_: ticks.append(time.perf_counter()))
    train_detector(detector, pictures, None, seed=0, work_dir=folder / "work", running=running)
    seconds["training"] = (ticks[-1] - ticks[WARM_UP - 1]) / STEPS / PER_STEP
    detector.eval()
    detect_all(detector, pictures.every(PICTURES // 2), None, "warm up")
    seconds["detection"] = timed(lambda: detect_all(detector, pictures, None, "timed")) / PICTURES
    seconds["gradient, bytes"] = 4.0 * sum(p.numel() for p in detector.parameters() if p.requires_grad)
    return seconds


def timed(work: Callable[[], object]) -> float:
    """Seconds until the last process has done its share."""
    barrier()
    start = time.perf_counter()
    work()
    barrier()
    return time.perf_counter() - start


def measured(processes: int, threads: int) -> dict[str, float]:
    """:func:`phases` of a job of its own."""
    with tempfile.TemporaryDirectory() as folder:
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        subprocess.run(
            [sys.executable, *launch, __file__, "--worker", folder], check=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        return json.loads((Path(folder) / "seconds.json").read_text(encoding="utf-8"))


def projected(one: dict[str, float]) -> dict[str, dict[str, dict[str, Any]]]:
    """Hours of each phase by data set and number of machines like this one, and what holds it up."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for name, data in DATA.items():
        rows[name] = {}
        for machines in MACHINES:
            busy = min(machines, data["per_step"])  # a minibatch is one process's work, of a picture at least
            steps = data["pictures"] * data["epochs"] / data["per_step"]
            computing = steps * data["per_step"] / busy * one["training"]
            ring = 2 * (busy - 1) / busy * one["gradient, bytes"] / NETWORK + 2 * (busy - 1) * LATENCY
            exchanging = steps * ring
            features = 2 * data["pictures"] * FEATURES / DISK  # written once, read once, by all together
            hours = {
                "proposals": data["pictures"] * one["proposals"] / machines / 3600,
                "training, computing": computing / 3600,
                "training, exchanging": exchanging / 3600,
                "R-CNN's features, on disk": features / 3600,
                "detection": data["pictures"] * one["detection"] / machines / 3600,
            }
            rows[name][str(machines)] = {
                **hours,
                "busy in training": busy,
                "bottleneck": max(hours, key=lambda phase: hours[phase]),
            }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", type=Path, help="a process of one job; its folder")
    chosen = parser.parse_args()
    if chosen.worker:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        with together():
            seconds = phases(chosen.worker)
            if is_first():
                (chosen.worker / "seconds.json").write_text(json.dumps(seconds | {"world": world()}), encoding="utf-8")
        return
    rows = {name: measured(*setting) for name, setting in SETTINGS.items()}
    results = {
        **circumstances("python benchmarks/scaling.py", torch.device("cpu")),
        "scaling": rows,
        "assumed": {"network, bytes/s": NETWORK, "latency, s": LATENCY, "disk, bytes/s": DISK},
        "data": DATA,
        "projected": projected(min(rows.values(), key=lambda row: row["training"])),
    }
    write_atomically(RESULTS / "scaling.json", lambda path: path.write_text(as_json(results), encoding="utf-8"))


if __name__ == "__main__":
    main()
