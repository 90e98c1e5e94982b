"""python benchmarks/voc_plan.py: what the papers' recipes cost with VGG16 on VOC2007, from steps measured here.

Random weights and synthetic 500 x 375 pictures of VOC's size: what a step costs does not depend on what it learns.
Writes benchmarks/results/voc-plan-DEVICE.json; `python benchmarks/update_readme.py` makes the table in VOC.md of it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lineage.backbones import build_backbone
from lineage.bench.circumstances import circumstances
from lineage.bench.results import as_json
from lineage.common import kept_maps
from lineage.common.checkpoint import write_atomically
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.experiment import changed
from lineage.experiments.generations import build_detector, named_recipe, train_detector
from lineage.rcnn.finetune import finetune
from lineage.sppnet import train as sppnet_train

ROOT = Path(__file__).resolve().parents[1]
TRAINVAL = 5011  # pictures of VOC2007
PROPOSALS = 2000
SAMPLED = 20  # R-CNN's crops are timed on every twentieth


class Synthetic:
    """Four pictures of VOC's size, three objects each."""

    classes = VOC_CLASSES

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.items = []
        for _ in range(4):
            corners = torch.rand(3, 2, generator=generator) * torch.tensor([300.0, 200.0])
            boxes = torch.cat([corners, corners + 60 + 120 * torch.rand(3, 2, generator=generator)], dim=1)
            labels = torch.randint(1, 21, (3,), generator=generator)
            target = {"boxes": boxes, "labels": labels, "difficult": torch.zeros(3, dtype=torch.bool)}
            self.items.append((torch.rand(3, 375, 500, generator=generator), target))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.items[index]

    def proposals(self) -> list[Tensor]:
        """Half of them near the objects, so that minibatches get their share of foreground."""
        generator = torch.Generator().manual_seed(1)
        result = []
        for _, target in self.items:
            near = target["boxes"].repeat(PROPOSALS // 6, 1)
            near = near + 15 * torch.randn(len(near), 4, generator=generator)
            corners = torch.rand(PROPOSALS - len(near), 2, generator=generator) * torch.tensor([400.0, 275.0])
            far = torch.cat([corners, corners + 20 + 80 * torch.rand(len(corners), 2, generator=generator)], dim=1)
            result.append(torch.cat([near, far]).clamp(min=0).minimum(torch.tensor([500.0, 375, 500, 375])))
        return result


def procedures(device: torch.device) -> dict[str, tuple[str, int, Callable[[int], None]]]:
    """Name -> (generation, steps that the paper takes, a function that takes so many steps)."""
    data, work = Synthetic(), Path(tempfile.mkdtemp())
    proposals: Any = data.proposals()

    def detector_of(generation: str, *changes: tuple[str, Any]) -> Any:
        recipe = changed(named_recipe(generation, "paper"), changes)
        return build_detector(generation, build_backbone("vgg16"), VOC_CLASSES, recipe).to(device)

    def rcnn(steps: int) -> None:
        detector = detector_of("rcnn", ("finetune.steps", steps))
        finetune(detector.backbone, data, proposals, detector.recipe, seed=0)  # type: ignore[arg-type]

    def sppnet(steps: int) -> None:
        detector = detector_of("sppnet", ("finetune.steps", steps))
        sppnet_train.finetune_fc(detector, data, proposals, 0, work / "spp.safetensors")  # type: ignore[arg-type]

    @torch.inference_mode()
    def rcnn_features(steps: int) -> None:
        detector, image = detector_of("rcnn"), data[0][0].to(device)
        for _ in range(steps):
            detector.features(image, proposals[0][::SAMPLED].to(device))

    @torch.inference_mode()
    def sppnet_features(steps: int) -> None:
        detector, image = detector_of("sppnet"), data[0][0].to(device)
        for _ in range(steps):
            detector.fc(detector.pool(*detector.convolve(image), proposals[0].to(device)))

    def fast(steps: int) -> None:
        detector = detector_of("fast_rcnn", ("solver.steps", steps))
        train_detector(detector, data, proposals, seed=0, work_dir=work)  # type: ignore[arg-type]

    def rpn(steps: int) -> None:
        detector = detector_of("faster_rcnn", ("procedure", "rpn"), ("rpn_solver.steps", steps))
        train_detector(detector, data, None, seed=0, work_dir=work)  # type: ignore[arg-type]

    def joint(steps: int) -> None:
        detector = detector_of("faster_rcnn", ("procedure", "joint"), ("solver.steps", steps))
        train_detector(detector, data, None, seed=0, work_dir=work)  # type: ignore[arg-type]

    paper = {name: named_recipe(name, "paper") for name in ("rcnn", "sppnet", "fast_rcnn", "faster_rcnn")}
    return {
        "R-CNN: fine-tuning": ("rcnn", paper["rcnn"].finetune.steps, rcnn),
        "R-CNN: features of 2000 proposals": ("rcnn", TRAINVAL, rcnn_features),
        "SPP-net: fine-tuning of fc6, fc7": ("sppnet", paper["sppnet"].finetune.steps, sppnet),
        "SPP-net: features of 2000 proposals": ("sppnet", TRAINVAL, sppnet_features),
        "Fast R-CNN: training": ("fast_rcnn", paper["fast_rcnn"].solver.steps, fast),
        "Faster R-CNN: RPN (steps 1, 3)": ("faster_rcnn", 2 * paper["faster_rcnn"].rpn_solver.steps, rpn),
        "Faster R-CNN: detector (steps 2, 4)": ("faster_rcnn", 2 * paper["faster_rcnn"].head_solver.steps, fast),
        "Faster R-CNN: joint, instead": ("faster_rcnn", paper["faster_rcnn"].solver.steps, joint),
    }


def seconds_of(run: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Seconds a step: ``steps`` more of them against one, so that building the network does not count."""

    def timed(count: int) -> float:
        start = time.perf_counter()
        run(count)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    timed(1)  # kernels are chosen, memory is touched
    few = timed(1)
    return (timed(1 + steps) - few) / steps


def memory(device: torch.device) -> int:
    """Peak bytes: of the GPU since the last call, or of this process ever."""
    if device.type != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=3, help="measured a procedure; 500 on a GPU")
    parser.add_argument("--only", help="procedures whose name contains this; printed, and no file written")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    kept_maps.ROOM = 0  # of 5011 pictures a handful would be kept; of the four here all
    rows = {}
    for name, (generation, steps, run) in procedures(device).items():
        if arguments.only and arguments.only not in name:
            continue
        seconds = seconds_of(run, arguments.steps, device)
        with FlopCounterMode(display=False) as counter:
            run(1)
        flops = counter.get_total_flops()
        if run.__name__ == "rcnn_features":  # on a sample of the crops
            seconds, flops = seconds * SAMPLED, flops * SAMPLED
        rows[name] = {
            "generation": generation, "seconds_per_step": seconds, "steps": steps, "hours": seconds * steps / 3600,
            "flops_per_step": flops, "peak_memory_bytes": memory(device),
        }  # fmt: skip
        print(f"{name}: {seconds:.3f} s a step, {flops / 1e12:.2f} TFLOPs", flush=True)
    if arguments.only:
        return 0
    results = {
        "plan": "voc2007, vgg16", **circumstances("python benchmarks/voc_plan.py", device),
        "measured_steps": arguments.steps, "procedures": rows,
    }  # fmt: skip
    out = ROOT / "benchmarks" / "results" / f"voc-plan-{device.type}.json"
    write_atomically(out, lambda path: path.write_text(as_json(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
