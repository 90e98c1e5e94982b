"""python benchmarks/peers.py: Faster R-CNN against torchvision's, with the same weights and numbers of proposals."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from side_by_side import compare, write
from torch import Tensor

from lineage.backbones import build_backbone
from lineage.bench.experiment import changed
from lineage.bench.timed import draw_scene, set_precision
from lineage.bench.timing_command import picture_size
from lineage.bench.torchvision_peer import spread_out, torchvision_faster_rcnn
from lineage.cli import keep_freed_memory
from lineage.common.boxes import box_iou
from lineage.data.voc import VOC_CLASSES
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--backbones", default="vgg16,resnet50")
    parser.add_argument("--size", default="600x800")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    device, size = torch.device(arguments.device), picture_size(arguments.size)
    keep_freed_memory()
    set_precision("float32")
    rows = []
    with torch.inference_mode():
        for backbone in arguments.backbones.split(","):
            ours, theirs, image = pair(backbone, size, device)
            same = agreement(ours([image])[0], theirs([image])[0])
            if same < 0.9:  # rounding may turn a close decision here and there
                raise SystemExit(f"{backbone}: only {same:.0%} of our detections are torchvision's: not the same work")
            rows.append(
                compare(
                    f"Faster R-CNN, {backbone}, {size[0]} x {size[1]} pixels, 300 proposals",
                    lambda ours=ours, image=image: ours([image]), "torchvision's",
                    lambda theirs=theirs, image=image: theirs([image]), goal=0.95 if backbone == "vgg16" else None,
                    rounds=arguments.rounds, device=device,
                    remark=f"both in channels_last; {same:.0%} of our detections are torchvision's at IoU 0.9",
                )
            )  # fmt: skip
    write(f"peers-{device.type}", "Detection", rows, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
