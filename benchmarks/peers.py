"""python benchmarks/peers.py: Faster R-CNN against torchvision's, with the same weights and numbers of proposals."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from side_by_side import compare, write
from torch import Tensor

from lineage.backbones import build_backbone
from lineage.bench.timed import draw_scene, set_precision
from lineage.bench.timing_command import picture_size
from lineage.bench.torchvision_peer import spread_out, torchvision_faster_rcnn
from lineage.cli import keep_freed_memory
from lineage.common.boxes import box_iou
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.experiment import changed
from lineage.faster_rcnn.detector import FasterRCNN
from lineage.faster_rcnn.recipe import PAPER


def pair(backbone: str, size: tuple[int, int], device: torch.device) -> tuple[FasterRCNN, Any, Tensor]:
    """Ours, torchvision's with our weights, and a picture of the size that both see it at."""
    torch.manual_seed(0)
    image = draw_scene(size, seed=0).to(device)
    recipe = changed(PAPER, (("shorter", None), ("longer", max(size))))
    ours = FasterRCNN(build_backbone(backbone), VOC_CLASSES, recipe).to(device).eval()
    spread_out(ours, image)
    return ours, torchvision_faster_rcnn(ours), image


def agreement(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The share of our detections that have one of theirs of the same class at IoU 0.9 or more."""
    overlap = box_iou(mine["boxes"], theirs["boxes"]) * (mine["labels"][:, None] == theirs["labels"])
    return float((overlap.amax(dim=1) >= 0.9).float().mean())


def detection_row(
    label: str, backbone: str, size: tuple[int, int], device: torch.device, rounds: int,
    goal: float | None = None, least_agreement: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Ours against torchvision's on one picture.

    Raises:
        SystemExit: less than ``least_agreement`` of our detections are torchvision's.
    """
    ours, theirs, image = pair(backbone, size, device)
    with torch.inference_mode():
        same = agreement(ours([image])[0], theirs([image])[0])
        if same < least_agreement:
            raise SystemExit(f"{backbone}: only {same:.0%} of our detections are torchvision's: not the same work")
        return compare(
            f"Faster R-CNN, {label}, {size[0]} x {size[1]} pixels, 300 proposals",
            lambda: ours([image]), "torchvision's", lambda: theirs([image]), goal=goal, rounds=rounds, device=device,
            remark=f"both in channels_last; {same:.0%} of our detections are torchvision's at IoU 0.9",
        )  # fmt: skip


def options(description: str, backbones: str, rounds: int) -> argparse.Namespace:
    """The command line of a comparison with torchvision, and the process made ready for it."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--backbones", default=backbones)
    parser.add_argument("--size", type=picture_size, default="600x800")
    parser.add_argument("--rounds", type=int, default=rounds)
    found = parser.parse_args()
    keep_freed_memory()
    set_precision("float32")
    return found


def main() -> int:
    chosen = options(__doc__, "vgg16,resnet50", 9)
    rows = [
        detection_row(
            name, name, chosen.size, chosen.device, chosen.rounds, 0.95 if name == "vgg16" else None,
            least_agreement=0.9,  # rounding may turn a close decision here and there
        )
        for name in chosen.backbones.split(",")
    ]  # fmt: skip
    write(f"peers-{chosen.device.type}", "Detection", rows, chosen.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
