"""Each generation, trained on two pictures, finds every object of them again: the whole chain fits together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lineage.backbones import build_backbone
from lineage.common.sampling import seeded_generator
from lineage.data.figures import CLASSES, TRAIN_PATTERNS
from lineage.data.shapes import DEFAULT, draw_picture
from lineage.evaluation.voc import evaluate_voc
from lineage.experiments.generations import build_detector, named_recipe, train_detector

KNOBS = replace(DEFAULT, objects=(2, 3), sides=(56, 130), truncation=0.0, overlap=0.0)


class Pictures:
    """Two drawn pictures without difficult objects, held in memory."""

    classes = CLASSES

    def __init__(self) -> None:
        self.items: list[tuple[Tensor, dict[str, Tensor]]] = []
        seed = 0
        while len(self.items) < 2:
            pixels, objects = draw_picture(np.random.default_rng(seed), TRAIN_PATTERNS, KNOBS)
            seed += 1
            if len(objects) < 2 or any(item["difficult"] for item in objects):
                continue
            boxes = torch.tensor([item["box"] for item in objects], dtype=torch.float32)
            boxes[:, :2] -= 1  # VOC counts from 1 and includes both ends
            target = {
                "boxes": boxes,
                "labels": torch.tensor([CLASSES.index(item["name"]) + 1 for item in objects]),
                "difficult": torch.zeros(len(objects), dtype=torch.bool),
            }
            self.items.append((torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, target))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.items[index]

    def target(self, index: int) -> dict[str, Tensor]:
        return self.items[index][1]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture(scope="module")
def proposals(pictures: Pictures) -> list[Tensor]:
    """Selective search's boxes, boxes near each object, and boxes anywhere."""
    search = replace(named_recipe("fast_rcnn", "quick").proposals, limit=100)
    found = []
    for index in range(len(pictures)):
        image, target = pictures[index]
        height, width = image.shape[1:]
        limits = torch.tensor([width, height, width, height]).float()
        generator = seeded_generator(7, index)
        near = target["boxes"].repeat(12, 1)
        near = near + torch.randn(near.shape, generator=generator) * 6
        corners = torch.rand(40, 2, generator=generator) * (limits[:2] - 60)
        anywhere = torch.cat([corners, corners + 20 + torch.rand(40, 2, generator=generator) * 40], dim=1)
        found.append(torch.cat([search.propose(image), near, anywhere]).clamp(min=0).minimum(limits))
    return found


def settings(generation: str, procedure: str | None, steps: int):
    """QUICK with fewer steps, both pictures in each, and without mirroring."""
    recipe = (
        replace(named_recipe(generation, "quick"), flip=False)
        if generation != "sppnet"
        else named_recipe(generation, "quick")
    )
    solvers = [name for name in ("finetune", "solver", "rpn_solver", "head_solver") if hasattr(recipe, name)]
    recipe = replace(recipe, **{n: replace(getattr(recipe, n).shortened(steps), images_per_step=2) for n in solvers})
    if hasattr(recipe, "svm"):
        # C = 1e-3 and lambda = 1000 are set for sums over thousands of examples; one or two objects a class weigh so
        # little against these regularisers that the SVMs hardly leave 0.
        recipe = replace(recipe, svm=replace(recipe.svm, C=1.0), regression=replace(recipe.regression, ridge=10.0))
    return replace(recipe, procedure=procedure) if procedure else recipe


@pytest.mark.parametrize(
    ("generation", "procedure", "steps"),
    [
        ("rcnn", None, 60),
        ("sppnet", None, 60),
        ("fast_rcnn", None, 100),
        ("faster_rcnn", "joint", 120),
        ("faster_rcnn", "alternating", 80),
    ],
)
def test_two_pictures_are_learnt_by_heart(generation, procedure, steps, pictures, proposals, tmp_path: Path):
    detector = build_detector(generation, build_backbone("tiny"), CLASSES, settings(generation, procedure, steps))
    images, targets = [image for image, _ in pictures.items], [target for _, target in pictures.items]
    given = None if generation == "faster_rcnn" else proposals
    assert evaluate_voc(detector(images, proposals=given), targets, len(CLASSES)).map < 0.5  # it has to be learnt
    train_detector(detector, pictures, proposals, seed=0, work_dir=tmp_path / "work")
    detections = detector(images, proposals=given)
    for iou in (0.5, 0.7):
        result = evaluate_voc(detections, targets, len(CLASSES), iou)
        assert result.map == pytest.approx(1.0, abs=1e-12), (iou, result.ap)
