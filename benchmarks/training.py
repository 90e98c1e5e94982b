"""python benchmarks/training.py: training steps of Fast and Faster R-CNN against torchvision's parts, same weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import torch
from peers import options, pair
from side_by_side import compare, write
from torch import Tensor

from lineage.bench.timed import draw_proposals
from lineage.common.optimise import make_optimiser
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.experiment import changed
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.recipe import PAPER as FAST_PAPER
from lineage.faster_rcnn.recipe import PAPER

RATE = 1e-5  # small: what is learnt does not matter, but the losses have to stay finite


def targets_for(size: tuple[int, int], device: torch.device) -> dict[str, Tensor]:
    """Five objects."""
    boxes = draw_proposals(5, size, seed=1)
    labels = torch.arange(1, 6)
    return {"boxes": boxes.to(device), "labels": labels.to(device), "difficult": torch.zeros(5, dtype=torch.bool)}


def proposals_for(target: dict[str, Tensor], size: tuple[int, int], count: int = 2000) -> Tensor:
    """Half of them near the objects, so that a minibatch gets its share of foreground."""
    generator = torch.Generator().manual_seed(2)
    near = target["boxes"].cpu().repeat(count // 10, 1)
    near = near + 10 * torch.randn(near.shape, generator=generator)
    boxes = torch.cat([near, draw_proposals(count - len(near), size, seed=3)])
    extent = torch.tensor([size[1], size[0]] * 2)
    return boxes.clamp(min=0).minimum(extent).to(target["boxes"].device)


def stepper(module: Any, losses_of: Callable[[], dict[str, Tensor]], optimiser: torch.optim.Optimizer) -> Callable:
    """One gradient step."""

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        total = torch.stack(list(losses_of().values())).sum()
        total.backward()
        optimiser.step()
        assert torch.isfinite(total), f"{type(module).__name__}: the loss is {total.item()}"

    return step


def torchvisions_optimiser(module: Any) -> torch.optim.Optimizer:
    """As torchvision's reference training makes it."""
    learning = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.SGD(learning, lr=RATE, momentum=0.9, weight_decay=5e-4)


def faster(backbone: str, size: tuple[int, int], device: torch.device) -> tuple[Callable, Callable]:
    """Joint steps on one picture."""
    ours, theirs, image = pair(backbone, size, device)
    theirs = copy.deepcopy(theirs)  # or they would train the same weights
    target = targets_for(size, device)
    for net in (ours.backbone.conv, theirs.backbone):
        for layer in list(net)[: ours.backbone.frozen]:
            layer.requires_grad_(False)
    ours.train(), theirs.train()
    solver = changed(PAPER.solver, (("learning_rate", RATE),))
    generator = torch.Generator().manual_seed(0)
    return (
        stepper(ours, lambda: ours.losses([image], [target], None, generator), make_optimiser([ours], solver)),
        stepper(theirs, lambda: theirs([image], [target]), torchvisions_optimiser(theirs)),
    )


def fast(backbone: str, size: tuple[int, int], device: torch.device) -> tuple[Callable, Callable]:
    """End-to-end steps on two pictures with 2000 given proposals each; torchvision's RoI heads behind its backbone."""
    whole, theirs, image = pair(backbone, size, device)
    theirs = copy.deepcopy(theirs)
    recipe = changed(FAST_PAPER, (("shorter", None), ("longer", max(size))))
    net = whole.backbone
    net.fc = whole.head.fc
    ours = FastRCNN(net, VOC_CLASSES, recipe).to(device)
    target = targets_for(size, device)
    regions = proposals_for(target, size)
    for part in (ours.backbone.conv, theirs.backbone):
        for layer in list(part)[: ours.backbone.frozen]:
            layer.requires_grad_(False)
    theirs.rpn = None
    ours.train(), theirs.train()
    generator = torch.Generator().manual_seed(0)

    def their_losses() -> dict[str, Tensor]:
        images, targets = theirs.transform([image, image], [target, target])
        features = {"0": theirs.backbone(images.tensors)}
        return theirs.roi_heads(features, [regions, regions], images.image_sizes, targets)[1]

    def our_losses() -> dict[str, Tensor]:
        return ours.losses([image, image], [target, target], [regions, regions], generator)

    solver = changed(FAST_PAPER.solver, (("learning_rate", RATE),))
    return (
        stepper(ours, our_losses, make_optimiser([ours], solver)),
        stepper(theirs, their_losses, torchvisions_optimiser(theirs)),
    )


def step_rows(
    backbone: str, size: tuple[int, int], device: torch.device, rounds: int, goal: float | None = None
) -> list[dict[str, Any]]:
    """Both detectors' steps against torchvision's."""
    rows = []
    for name, make, peer, setting in (
        ("Faster R-CNN, joint", faster, "torchvision's", "1 picture, 64 RoIs"),
        ("Fast R-CNN", fast, "torchvision's backbone and RoI heads", "2 pictures, 64 RoIs each"),
    ):
        ours, theirs = make(backbone, size, device)
        what = f"training step of {name}, {backbone}, {size[0]} x {size[1]} pixels, {setting}"
        rows.append(compare(what, ours, peer, theirs, goal=goal, rounds=rounds, device=device))
        del ours, theirs  # two networks and their optimisers
    return rows


def main() -> int:
    chosen = options(__doc__, "vgg16", 5)
    rows = []
    for backbone in chosen.backbones.split(","):
        rows += step_rows(backbone, chosen.size, chosen.device, chosen.rounds, goal=1.0)
    write(f"training-{chosen.device.type}", "Training", rows, chosen.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
