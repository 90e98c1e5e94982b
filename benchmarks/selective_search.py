"""python benchmarks/selective_search.py --opencv-python PYTHON: selective search's fast mode against OpenCV's C++.

OpenCV's is in opencv-contrib-python-headless, which cannot live beside the package's own OpenCV: make it an environment
of its own (``python -m venv cv && cv/bin/python -m pip install opencv-contrib-python-headless``) and name its Python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from side_by_side import row, write
from torch import Tensor

from lineage.data.catalogue import open_dataset
from lineage.experiments.options import default_cache, keep_freed_memory
from lineage.selective_search import FAST, best_overlaps, mean_best_overlap, recall, selective_search

WIDTH, MIN_SIDE = 500, 20  # R-CNN's


class Peer:
    """OpenCV in its own process, which is started once and waits between pictures."""

    def __init__(self, python: str, folder: Path) -> None:
        worker = Path(__file__).with_name("opencv_worker.py")
        self.path = folder / "picture.npy"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([python, str(worker)], stdin=pipe, stdout=pipe, text=True, env=_environment())
        self.version = ""

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        np.save(self.path, image)
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{self.path}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            raise SystemExit("--opencv-python: that Python's OpenCV has no selective search, or stopped")
        seconds, self.version = float(answer[0]), answer[1]
        return np.load(f"{self.path}.boxes.npy"), seconds


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def measure(data: str, count: int, peer: Peer) -> dict:
    """One data set's row: time, and how well as many boxes of each cover the objects."""
    dataset = open_dataset(data, "test", default_cache() / "data")
    ours_ms, peer_ms, truths = [], [], []
    ours_boxes: list[Tensor] = []
    peer_boxes: list[Tensor] = []
    for index in range(min(count, len(dataset))):
        image, target = dataset[index]
        pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        height = round(pixels.shape[0] * WIDTH / pixels.shape[1])
        resized = cv2.resize(pixels, (WIDTH, height))
        if index == 0:  # compiled and touched
            selective_search(resized, FAST, width=None, min_side=MIN_SIDE)
            peer(resized)
        start = time.perf_counter()
        ours = selective_search(resized, FAST, width=None, min_side=MIN_SIDE)
        ours_ms.append(1e3 * (time.perf_counter() - start))
        theirs, seconds = peer(resized)
        peer_ms.append(1e3 * seconds)
        theirs = theirs[((theirs[:, 2:] - theirs[:, :2]) >= MIN_SIDE).all(axis=1)]
        same = min(len(ours), len(theirs))
        ours_boxes.append(torch.from_numpy(ours[:same]).float())
        peer_boxes.append(torch.from_numpy(theirs[:same]).float())
        truths.append(target["boxes"] * WIDTH / pixels.shape[1])
    quality = {}
    for name, boxes in (("ours", ours_boxes), ("peer", peer_boxes)):
        overlaps = best_overlaps(boxes, truths)
        quality[name] = {"mean_best_overlap": mean_best_overlap(overlaps), "recall_at_0.7": recall(overlaps, 0.7)}
    boxes_each = np.mean([len(boxes) for boxes in ours_boxes])
    text = "; ".join(
        f"{name}: mean best overlap {found['mean_best_overlap']:.3f}, recall at 0.7 {found['recall_at_0.7']:.3f}"
        for name, found in quality.items()
    )
    name = Path(data).name
    what = f"selective search, fast mode, {name}, {len(truths)} pictures {WIDTH} px wide"
    found = row(what, ours_ms, f"OpenCV {peer.version}", peer_ms, goal=0.35,
                remark=f"with {boxes_each:.0f} boxes a picture each, {text}")  # fmt: skip
    print(f"  {found['remark']}")
    return {**found, "quality": quality}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--opencv-python", required=True, help="a Python with opencv-contrib-python-headless")
    parser.add_argument("--data", nargs="*", default=["shapes"], help="shapes, or folders in VOC layout")
    parser.add_argument("--pictures", type=int, default=40)
    options = parser.parse_args()
    sys.argv = ["PYTHON" if word == options.opencv_python else word for word in sys.argv]  # as the result quotes it
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(options.opencv_python, Path(folder))
        rows = [measure(data, options.pictures, peer) for data in options.data]
        peer.process.terminate()
    write("selective_search", "Selective search", rows, torch.device("cpu"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
