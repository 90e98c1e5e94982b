"""R-CNN's training: three separate procedures, with a feature cache between the first and the others."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lineage.common.history import TrainingReport
from lineage.common.inputs import check_learnable
from lineage.common.resume import run_once
from lineage.common.running import PLAINLY, Running
from lineage.data.voc import VOCDataset
from lineage.rcnn.detector import RCNN
from lineage.rcnn.features import fit_on_features
from lineage.rcnn.finetune import finetune


def train(
    detector: RCNN,
    dataset: VOCDataset,
    proposals: list[Tensor],
    *,
    seed: int,
    work_dir: Path,
    running: Running = PLAINLY,
) -> TrainingReport:
    """Fine-tune, cache features, fit SVMs, fit regressors. ``detector`` is trained in place.

    Args:
        proposals: (R, 4) a picture of ``dataset``.
        work_dir: holds the feature cache and what a resumed run needs. Remove it when ``detector`` is kept elsewhere.
    Raises:
        ValueError: no object to learn from.
    """
    check_learnable(dataset.target(index) for index in range(len(dataset)))
    recipe, net = detector.recipe, detector.backbone
    tuned, resume = work_dir / "finetuned.safetensors", work_dir / "finetune.safetensors"
    history = run_once(
        tuned,
        net,
        lambda: finetune(net, dataset, proposals, recipe, seed=seed, resume=resume, running=running),
        resume,
    )

    @torch.inference_mode()
    def extract(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        device = next(detector.parameters()).device
        pool5, fc7 = detector.features(image.to(device), boxes.to(device))
        return pool5.cpu(), fc7.cpu()

    cache_bytes = fit_on_features(
        detector, dataset, proposals, extract, work_dir / "features", seed=seed, label="R-CNN"
    )
    return TrainingReport(
        procedure="fine-tune, SVMs, regressors", steps=recipe.finetune.steps,
        pictures=recipe.finetune.pictures, cache_bytes=cache_bytes, histories=(history,),
    )  # fmt: skip
