"""Faster R-CNN's training: the 4-step alternating procedure, and approximate joint training (section 3.2)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from lineage.common.optimise import LossCurves, Solver, TrainingReport, optimise, run_once
from lineage.common.progress import track
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.train import load_batch
from lineage.faster_rcnn.detector import FasterRCNN
from lineage.faster_rcnn.rpn import select_proposals


def train(
    detector: FasterRCNN, dataset: VOCDataset, proposals: list[Tensor] | None = None, *, seed: int, work_dir: Path
) -> TrainingReport:
    """Train ``detector`` in place by the recipe's procedure. ``proposals`` are not used: it makes its own.

    Args:
        work_dir: holds what a resumed run needs; emptied at the end.
    Raises:
        ValueError: the recipe names an unknown procedure.
    """
    procedure = detector.recipe.procedure
    if procedure not in PROCEDURES:
        raise ValueError(f"recipe: procedure {procedure!r} is none of {', '.join(PROCEDURES)}")
    detector.backbone.freeze_leading_layers(detector.recipe.frozen)
    detector.train()
    report = PROCEDURES[procedure](detector, dataset, seed, work_dir)
    detector.eval()
    return report


def _joint(detector: FasterRCNN, dataset: VOCDataset, seed: int, work_dir: Path) -> TrainingReport:
    solver = detector.recipe.solver

    def losses_of(indices: list[int], generator: torch.Generator) -> dict[str, Tensor]:
        images, targets, _ = load_batch(dataset, indices, generator, detector)
        return detector.losses(images, targets, None, generator)

    curves = optimise(
        [detector], losses_of, len(dataset), solver, seed=seed, label="Faster R-CNN: joint",
        resume=work_dir / "joint.safetensors",
    )  # fmt: skip
    return TrainingReport("joint", solver.steps, solver.steps * solver.images_per_step, 0, curves)


def _alternating(detector: FasterRCNN, dataset: VOCDataset, seed: int, work_dir: Path) -> TrainingReport:
    """The 4 steps. Steps 1 and 2 each start from the pre-trained convolutions; from step 3 on they are shared."""
    recipe = detector.recipe
    pretrained = copy.deepcopy(detector.backbone.state_dict())

    def rpn(path: Path, step: int) -> LossCurves:
        return _train_rpn(detector, dataset, recipe.rpn_solver, seed + step, path)

    def head(path: Path, step: int) -> LossCurves:
        return _train_head(detector, dataset, propose_all(detector, dataset), recipe.head_solver, seed + step, path)

    _step(1, rpn, detector, work_dir)
    step_1 = copy.deepcopy(detector)  # proposes for step 2 with convolutions of its own
    detector.backbone.load_state_dict(pretrained)

    def head_on_step_1(path: Path, step: int) -> LossCurves:
        return _train_head(detector, dataset, propose_all(step_1, dataset), recipe.head_solver, seed + step, path)

    _step(2, head_on_step_1, detector, work_dir)
    detector.backbone.conv.requires_grad_(False)
    curves = _step(3, rpn, detector, work_dir)
    curves |= _step(4, head, detector, work_dir)
    detector.backbone.conv.requires_grad_(True)
    detector.backbone.freeze_leading_layers(recipe.frozen)
    for path in work_dir.glob("step*.safetensors"):
        path.unlink()
    solvers = (recipe.rpn_solver, recipe.head_solver) * 2
    steps, pictures = sum(s.steps for s in solvers), sum(s.steps * s.images_per_step for s in solvers)
    return TrainingReport("4-step alternating", steps, pictures, 0, curves)


def _rpn_alone(detector: FasterRCNN, dataset: VOCDataset, seed: int, work_dir: Path) -> TrainingReport:
    """Step 1 of the 4: a proposer for another detector. The head stays untrained."""
    solver = detector.recipe.rpn_solver
    curves = _train_rpn(detector, dataset, solver, seed + 1, work_dir / "rpn.safetensors")
    return TrainingReport("RPN alone", solver.steps, solver.steps * solver.images_per_step, 0, curves)


PROCEDURES = {"joint": _joint, "alternating": _alternating, "rpn": _rpn_alone}


def _step(number: int, run: Callable[[Path, int], LossCurves], detector: FasterRCNN, work_dir: Path) -> LossCurves:
    """One of the four steps, kept when done, so that an interrupted run takes up at the step it was in."""
    done, resume = work_dir / f"step{number}-done.safetensors", work_dir / f"step{number}.safetensors"
    return run_once(done, detector, lambda: run(resume, number))


def _train_rpn(detector: FasterRCNN, dataset: VOCDataset, solver: Solver, seed: int, resume: Path) -> LossCurves:
    def losses_of(indices: list[int], generator: torch.Generator) -> dict[str, Tensor]:
        images, targets, _ = load_batch(dataset, indices, generator, detector)
        features, frames = detector.convolve_batch(images)
        return detector.rpn_losses(features, frames, targets, generator)[0]

    modules: list[nn.Module] = [detector.backbone, detector.rpn]
    return optimise(modules, losses_of, len(dataset), solver, seed=seed, label="Faster R-CNN: RPN", resume=resume)


def _train_head(
    detector: FasterRCNN, dataset: VOCDataset, regions: list[Tensor], solver: Solver, seed: int, resume: Path
) -> LossCurves:
    def losses_of(indices: list[int], generator: torch.Generator) -> dict[str, Tensor]:
        images, targets, boxes = load_batch(dataset, indices, generator, detector, regions)
        features, frames = detector.convolve_batch(images)
        assert boxes is not None
        return detector.roi_losses(features, frames, targets, boxes, generator)

    modules: list[nn.Module] = [detector.backbone, detector.head]
    return optimise(modules, losses_of, len(dataset), solver, seed=seed, label="Faster R-CNN: detector", resume=resume)


@torch.inference_mode()
def propose_all(detector: FasterRCNN, dataset: VOCDataset) -> list[Tensor]:
    """The RPN's training-time proposals (R, 4) for every picture."""
    device = next(detector.parameters()).device
    regions = []
    for index in track(range(len(dataset)), "Faster R-CNN: proposals", len(dataset)):
        features, frame = detector.convolve(dataset[index][0].to(device))
        scores, offsets = detector.rpn(features)
        boxes, _ = select_proposals(
            scores[0], offsets[0], detector.rpn.anchors(features), frame.size, detector.recipe.rpn, training=True
        )
        regions.append(frame.boxes_out(boxes).cpu().clone())
    return regions
