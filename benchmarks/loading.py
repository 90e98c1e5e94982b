"""python benchmarks/loading.py: the share of a training step that is spent waiting for pictures, by worker processes.

The network's part of a step is asleep, as the processor is while a GPU computes; loading is real: JPEG files of a size
are read, decoded, augmented and brought to the papers' 600 x 1000 pixels. Printed, and not written to results/.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lineage.common.image import IMAGENET_MEAN, IMAGENET_STD
from lineage.common.optimise import Solver, optimise
from lineage.common.running import Running
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.minibatch import load_batch
from lineage.faster_rcnn.recipe import PAPER

PICTURES = 8
SIZES = {"VOC's 500 x 375": (375, 500), "12 megapixels": (3000, 4000)}  # height, width


def write_pictures(root: Path, size: tuple[int, int]) -> VOCDataset:
    """Clouds with some grain, which JPEG keeps about as many bytes of as of a photograph; one object each."""
    generator = np.random.default_rng(0)
    height, width = size
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for number in range(PICTURES):
        clouds = cv2.resize(generator.uniform(0, 255, (12, 16, 3)).astype(np.float32), (width, height))
        pixels = (clouds + generator.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "JPEGImages" / f"{number}.jpg"), pixels)
        box = f"<xmin>10</xmin><ymin>20</ymin><xmax>{width // 2}</xmax><ymax>{height // 2}</ymax>"
        (root / "Annotations" / f"{number}.xml").write_text(
            f"<annotation><object><name>cloud</name><bndbox>{box}</bndbox></object></annotation>"
        )
    (root / "ImageSets" / "Main" / "trainval.txt").write_text("\n".join(map(str, range(PICTURES))))
    return VOCDataset(root, "trainval")


def waited(dataset: VOCDataset, workers: int, steps: int, seconds: float) -> tuple[float, float]:
    """Seconds a step, and of them those spent waiting for its two pictures."""
    layer = nn.Linear(1, 1)

    def losses_of(batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        time.sleep(seconds)
        return {"nothing": layer.weight.sum()}

    solver = Solver("sgd", 0.0, steps=steps, images_per_step=2, weight_decay=0.0)
    load = partial(load_batch, dataset, recipe=PAPER, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    start = time.perf_counter()
    history = optimise(
        [layer], losses_of, len(dataset), solver, seed=0, label=f"{workers} workers", load=load,
        running=Running(workers),
    )  # fmt: skip
    return (time.perf_counter() - start) / steps, history.wait_seconds / steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--milliseconds", default="50,200", help="that the network's part of a step takes")
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            dataset = write_pictures(Path(folder) / "data", size)
            dataset._room = 0  # of a large set next to nothing is kept decoded
            for milliseconds in map(int, arguments.milliseconds.split(",")):
                for workers in map(int, arguments.workers.split(",")):
                    whole, wait = waited(dataset, workers, arguments.steps, milliseconds / 1000)
                    print(
                        f"{name}, {milliseconds} ms a step elsewhere, {workers} workers: {1000 * whole:.0f} ms a step, "
                        f"{wait / whole:.0%} of it waiting",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
