"""python benchmarks/peer_voc.py --data VOCdevkit: torchvision's Faster R-CNN taught by our recipe, against ours.

Both start from the same backbone and the same random layers, take the same steps on the same pictures in one order,
and learn from the maps of the same frozen layers. What is left is what the two programs do with them: how anchors and
RoIs are matched and drawn, objectness by one score an anchor or by two, the losses and their weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from darknet import Darknet
from side_by_side import RESULTS
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from lineage.bench.accuracy import add_accuracy, differences
from lineage.bench.circumstances import circumstances
from lineage.bench.results import as_json
from lineage.bench.torchvision_peer import torchvision_faster_rcnn
from lineage.cli import keep_freed_memory
from lineage.common.checkpoint import write_atomically
from lineage.common.image import Frame
from lineage.common.matching import usable_objects
from lineage.common.optimise import optimise
from lineage.common.precision import mixed
from lineage.common.resume import forget
from lineage.data.voc import VOCDataset
from lineage.experiments.checkpoints import load_detector
from lineage.experiments.detections import evaluate_detector
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import build_detector
from lineage.experiments.options import default_cache, make_experiment
from lineage.experiments.pretrained import require_model
from lineage.experiments.pretraining import pretrained_backbone
from lineage.experiments.training import trained_detector
from lineage.fast_rcnn.convolutions import Convolutions
from lineage.fast_rcnn.minibatch import Batch, loader

RESUME = "peer_voc.safetensors"  # in the cache, until the results are written


class Peer(nn.Module):
    """torchvision's detector, asked as ours is."""

    amp: str | None = None

    def __init__(self, theirs: nn.Module) -> None:
        super().__init__()
        self.theirs = theirs

    def forward(self, images: list[Tensor], proposals: object = None) -> list[dict[str, Tensor]]:
        with torch.inference_mode(), mixed(self.amp, images[0].device):
            return self.theirs(images)


def taught(experiment: Experiment, train: VOCDataset, seed: int) -> Peer:
    """torchvision's, trained by the experiment's recipe for Faster R-CNN."""
    torch.manual_seed(seed)  # of torchvision's sampling
    backbone, _ = pretrained_backbone(experiment, seed, print)
    recipe = experiment.recipe_of("faster_rcnn")
    ours: Any = build_detector("faster_rcnn", backbone, train.classes, recipe)
    ours.backbone.freeze_leading_layers(recipe.frozen)
    theirs, convolve = torchvision_faster_rcnn(ours).train(), Convolutions(ours)

    def losses_of(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        features, frames = convolve(batch)
        sizes = [frame.size for frame in frames]
        targets = [in_frame(target, frame) for target, frame in zip(batch.targets, frames)]
        pictures = ImageList(features, sizes)  # of which the RPN reads the sizes alone
        proposals, losses = theirs.rpn(pictures, {"0": features}, targets)
        _, more = theirs.roi_heads({"0": features}, proposals, sizes, targets)
        return {**losses, **more}

    optimise(
        [theirs], losses_of, len(train), recipe.solver, seed=seed, label="torchvision's", load=loader(ours, train),
        resume=experiment.cache / RESUME,
    )  # fmt: skip
    return Peer(theirs.eval())


def in_frame(target: dict[str, Tensor], frame: Frame) -> dict[str, Tensor]:
    """The objects that count, where the network sees them."""
    boxes, labels = usable_objects(target)
    return {"boxes": frame.boxes_in(boxes), "labels": labels}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--test-every", type=int, default=4, help="test on one picture in so many")
    parser.add_argument("--amp", choices=["bf16"])
    parser.add_argument("--darknet", nargs=2, type=Path, metavar=("CFG", "WEIGHTS"), help="a YOLOv3 of VOC's classes")
    chosen = parser.parse_args()
    keep_freed_memory()
    experiment = make_experiment(
        data=chosen.data, backbone="efficientnet_lite0", weights="imagenet", recipe="evening", device="cpu",
        procedure=None, cache=default_cache(), steps=chosen.steps, amp=chosen.amp, test_every=chosen.test_every,
    )  # fmt: skip
    train, test = experiment.datasets()
    trained = f"{chosen.steps:,} steps"
    detectors: dict[str, Callable[[], Any]] = {
        f"Faster R-CNN, {trained}": lambda: trained_detector(experiment, "faster_rcnn", 0, train, None, print)[0],
        f"torchvision's, same backbone and recipe, {trained}": lambda: taught(experiment, train, 0),
        "Faster R-CNN of models/": lambda: load_detector(require_model("faster_rcnn"))[0],
    }
    if chosen.darknet:
        detectors[f"{chosen.darknet[0].stem}, its authors' weights"] = lambda: Darknet(*chosen.darknet)
    targets = [test.target(index) for index in range(len(test))]
    rows: dict[str, dict[str, Any]] = {}
    found = {}
    for name, made in detectors.items():
        detector = made()
        detector.amp = chosen.amp
        start = time.perf_counter()
        result, found[name] = evaluate_detector(detector, test, None, name)
        seconds = time.perf_counter() - start
        rows[name] = {"map": float(result.map), "ms_per_image": 1e3 * seconds / len(test)}
        print(f"{name}: mAP {result.map:.3f}")
    resampled = add_accuracy(rows, found, targets, test.classes)
    results = {
        **circumstances("python benchmarks/peer_voc.py", torch.device("cpu")), "data": Path(chosen.data).name,
        "train_pictures": len(train), "test_pictures": len(test), "recipe": "evening",
        "solver": dataclasses.asdict(experiment.recipe_of("faster_rcnn").solver), "peers": rows,
        "differences": differences(resampled),
    }  # fmt: skip
    write_atomically(RESULTS / "peer-voc2007.json", lambda path: path.write_text(as_json(results), encoding="utf-8"))
    forget(experiment.cache / RESUME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
