"""Faster R-CNN's training: the 4-step alternating procedure, and approximate joint training (section 3.2)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lineage.common.history import History, TrainingReport
from lineage.common.inputs import check_learnable
from lineage.common.optimise import optimise
from lineage.common.resume import make_pieces, run_once
from lineage.common.running import PLAINLY, Running
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.convolutions import Convolutions
from lineage.fast_rcnn.minibatch import Batch, loader
from lineage.faster_rcnn.detector import FasterRCNN
from lineage.faster_rcnn.rpn import select_proposals


def train(
    detector: FasterRCNN,
    dataset: VOCDataset,
    proposals: list[Tensor] | None = None,
    *,
    seed: int,
    work_dir: Path,
    running: Running = PLAINLY,
) -> TrainingReport:
    """Train ``detector`` in place by the recipe's procedure. ``proposals`` are not used: it makes its own.

    Args:
        work_dir: holds what a resumed run needs. Remove it when ``detector`` is kept elsewhere.
        running: of the 4 steps only the last is validated, the first with a whole detector to measure.
    Raises:
        ValueError: no object to learn from; or the recipe names an unknown procedure.
    """
    check_learnable(dataset.target(index) for index in range(len(dataset)))
    procedure = detector.recipe.procedure
    if procedure not in PROCEDURES:
        raise ValueError(f"recipe: procedure {procedure!r} is none of {', '.join(PROCEDURES)}")
    detector.backbone.freeze_leading_layers(detector.recipe.frozen)
    detector.train()
    report = PROCEDURES[procedure](detector, dataset, seed, work_dir, running)
    detector.eval()
    return report


def _joint(detector: FasterRCNN, dataset: VOCDataset, seed: int, work_dir: Path, running: Running) -> TrainingReport:
    solver, convolve = detector.recipe.solver, Convolutions(detector)

    def losses_of(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return detector.losses_on(*convolve(batch), batch.targets, None, generator)

    history = optimise(
        [detector], losses_of, len(dataset), solver, seed=seed, label="Faster R-CNN: joint",
        load=loader(detector, dataset), resume=work_dir / "joint.safetensors", running=running,
    )  # fmt: skip
    return TrainingReport("joint", solver.steps, solver.pictures, 0, (history,))


def _alternating(
    detector: FasterRCNN, dataset: VOCDataset, seed: int, work_dir: Path, running: Running
) -> TrainingReport:
    """The 4 steps. Steps 1 and 2 each start from the pre-trained convolutions; from step 3 on they are shared."""
    recipe, in_parts = detector.recipe, running.without_validation()
    pretrained = copy.deepcopy(detector.backbone.state_dict())

    def rpn(path: Path, step: int) -> History:
        return _train_rpn(detector, dataset, seed + step, path, in_parts, f"Faster R-CNN {step}/4: RPN")

    def head(path: Path, step: int) -> History:
        regions = propose_all(detector, dataset, work_dir / f"proposals{step}")
        return _train_head(detector, dataset, regions, seed + step, path, running, f"Faster R-CNN {step}/4: detector")

    first = _step(1, rpn, detector, work_dir)
    step_1 = copy.deepcopy(detector)  # proposes for step 2 with convolutions of its own
    detector.backbone.load_state_dict(pretrained)

    def head_on_step_1(path: Path, step: int) -> History:
        regions = propose_all(step_1, dataset, work_dir / f"proposals{step}")
        return _train_head(detector, dataset, regions, seed + step, path, in_parts, f"Faster R-CNN {step}/4: detector")

    second = _step(2, head_on_step_1, detector, work_dir)
    detector.backbone.conv.requires_grad_(False)
    third = _step(3, rpn, detector, work_dir)
    fourth = _step(4, head, detector, work_dir)
    detector.backbone.conv.requires_grad_(True)
    detector.backbone.freeze_leading_layers(recipe.frozen)
    solvers = (recipe.rpn_solver, recipe.head_solver) * 2
    steps, pictures = sum(s.steps for s in solvers), sum(s.pictures for s in solvers)
    return TrainingReport("4-step alternating", steps, pictures, 0, (first, second, third, fourth))


def _rpn_alone(
    detector: FasterRCNN, dataset: VOCDataset, seed: int, work_dir: Path, running: Running
) -> TrainingReport:
    """Step 1 of the 4: a proposer for another detector. The head stays untrained."""
    solver, path = detector.recipe.rpn_solver, work_dir / "rpn.safetensors"
    history = _train_rpn(detector, dataset, seed + 1, path, running.without_validation(), "Faster R-CNN: RPN")
    return TrainingReport("RPN alone", solver.steps, solver.pictures, 0, (history,))


PROCEDURES = {"joint": _joint, "alternating": _alternating, "rpn": _rpn_alone}


def _step(number: int, run: Callable[[Path, int], History], detector: FasterRCNN, work_dir: Path) -> History:
    """One of the four steps, kept when done, so that an interrupted run takes up at the step it was in."""
    done, resume = work_dir / f"step{number}-done.safetensors", work_dir / f"step{number}.safetensors"
    return run_once(done, detector, lambda: run(resume, number), resume)


def _train_rpn(
    detector: FasterRCNN, dataset: VOCDataset, seed: int, resume: Path, running: Running, label: str
) -> History:
    convolve = Convolutions(detector)

    def losses_of(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return detector.rpn_losses(*convolve(batch), batch.targets, generator)[0]

    return optimise(
        [detector.backbone, detector.rpn], losses_of, len(dataset), detector.recipe.rpn_solver, seed=seed, label=label,
        load=loader(detector, dataset), resume=resume, running=running,
    )  # fmt: skip


def _train_head(
    detector: FasterRCNN,
    dataset: VOCDataset,
    regions: list[Tensor],
    seed: int,
    resume: Path,
    running: Running,
    label: str,
) -> History:
    convolve = Convolutions(detector)

    def losses_of(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        assert batch.regions is not None
        return detector.roi_losses(*convolve(batch), batch.targets, batch.regions, generator)

    return optimise(
        [detector.backbone, detector.head], losses_of, len(dataset), detector.recipe.head_solver, seed=seed,
        label=label, load=loader(detector, dataset, regions), resume=resume, running=running,
    )  # fmt: skip


@torch.inference_mode()
def propose_all(detector: FasterRCNN, dataset: VOCDataset, folder: Path | None = None) -> list[Tensor]:
    """The RPN's training-time proposals (R, 4) for every picture; kept in ``folder`` for a run that is resumed."""
    device = next(detector.parameters()).device

    def propose(index: int) -> dict[str, Tensor]:
        features, frame = detector.convolve(dataset[index][0].to(device))
        scores, offsets = detector.rpn(features)
        boxes, _ = select_proposals(
            scores[0], offsets[0], detector.rpn.anchors(features), frame.size, detector.recipe.rpn, training=True
        )
        return {"boxes": frame.boxes_out(boxes).cpu().clone()}

    return [item["boxes"] for item in make_pieces(folder, len(dataset), propose, "Faster R-CNN: proposals")]
