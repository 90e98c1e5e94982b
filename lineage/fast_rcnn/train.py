"""Fast R-CNN's training: one procedure, no feature cache."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from lineage.common.augment import Augmentation, augment, draw_mirror
from lineage.common.history import TrainingReport
from lineage.common.image import Frame, as_channels_last, resize_factor, stack_maps, to_frame
from lineage.common.kept_maps import KeptMaps
from lineage.common.loading import Load
from lineage.common.optimise import optimise
from lineage.common.running import PLAINLY, Running
from lineage.data.voc import VOCDataset
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.recipe import HeadSettings, Recipe


class Batch(NamedTuple):
    """A minibatch, as it was loaded."""

    images: list[Tensor | Frame]  # (3, H, W), or what became of it in the network's frame
    targets: list[dict[str, Tensor]]
    regions: list[Tensor] | None  # proposals (R, 4) a picture
    names: list[tuple[int, bool]] | None  # picture and whether mirrored; None: none comes again


def train(
    detector: FastRCNN,
    dataset: VOCDataset,
    proposals: list[Tensor],
    *,
    seed: int,
    work_dir: Path,
    running: Running = PLAINLY,
) -> TrainingReport:
    """Train ``detector`` in place, end to end.

    Args:
        proposals: (R, 4) a picture of ``dataset``.
        work_dir: holds what a resumed run needs; emptied at the end.
    """
    solver = cast(Recipe, detector.recipe).solver
    detector.backbone.freeze_leading_layers(detector.recipe.frozen)

    convolve = Convolutions(detector)

    def losses_of(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        assert batch.regions is not None
        return detector.roi_losses(*convolve(batch), batch.targets, batch.regions, generator)

    detector.train()
    history = optimise(
        [detector], losses_of, len(dataset), solver, seed=seed, label="Fast R-CNN: train",
        load=loader(detector, dataset, proposals), resume=work_dir / "train.safetensors", running=running,
    )  # fmt: skip
    detector.eval()
    return TrainingReport("end to end", solver.steps, solver.pictures, 0, (history,))


def loader(detector: FastRCNN, dataset: VOCDataset, proposals: list[Tensor] | None = None) -> Load:
    """:func:`load_batch` for a detector, without the network: another process may have to be sent it."""
    net = detector.backbone
    return partial(
        load_batch, dataset, recipe=detector.recipe, mean=net.mean, std=net.std, proposals=proposals
    )  # fmt: skip


def load_batch(
    dataset: VOCDataset,
    indices: list[int],
    generator: torch.Generator,
    recipe: HeadSettings,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    proposals: list[Tensor] | None = None,
) -> Batch:
    """Pictures, targets and proposals of a minibatch, each picture augmented by the recipe.

    A picture larger than the network wants it is brought to its frame here: 12 megapixels are 144 MB, their frame 9.
    """
    images: list[Tensor | Frame] = []
    targets, regions, names = [], [], []
    for index in indices:
        image, target = dataset[index]
        boxes = proposals[index] if proposals is not None else torch.zeros(0, 4)
        count, mirror = len(boxes), draw_mirror(recipe.flip, generator)
        image, both = augment(
            image, torch.cat([boxes, target["boxes"]]), mirror, recipe.augmentation, generator
        )  # fmt: skip
        height, width = image.shape[1:]
        shrinks = resize_factor(height, width, recipe.shorter, recipe.longer) < 1
        images.append(to_frame(image, recipe.shorter, recipe.longer, mean, std) if shrinks else image)
        targets.append({**target, "boxes": both[count:]})
        regions.append(both[:count])
        names.append((index, mirror))
    comes_again = recipe.augmentation == Augmentation()
    return Batch(images, targets, regions if proposals is not None else None, names if comes_again else None)


class Convolutions:
    """``detector.convolve_batch`` of a minibatch. What does not learn of it is computed once a picture, on a CPU.

    That is, where the maps at that place take less memory than the pictures do.
    """

    def __init__(self, detector: FastRCNN) -> None:
        self.detector, self.kept = detector, KeptMaps()
        self.frames: dict[tuple[int, bool], Frame] = {}
        self.fixed = self._fixed_layers() if next(detector.parameters()).device.type == "cpu" else 0

    def __call__(self, batch: Batch) -> tuple[Tensor, list[Frame]]:
        if self.fixed == 0 or batch.names is None:
            return self.detector.convolve_batch(self._on_device(batch.images))
        maps = [
            self.kept.get(name, partial(self._convolve, name, image))[0]  # (1, C, h, w)
            for name, image in zip(batch.names, batch.images)
        ]
        return self._learning_part(maps), [self.frames[name] for name in batch.names]

    def _convolve(self, name: tuple[int, bool], image: Tensor | Frame) -> list[Tensor]:
        net, recipe = self.detector.backbone, self.detector.recipe
        frame = to_frame(image, recipe.shorter, recipe.longer, net.mean, net.std)
        self.frames[name] = frame.without_pixels()
        return [net.conv[: self.fixed](as_channels_last(frame.pixels))]

    def _learning_part(self, maps: list[Tensor]) -> Tensor:
        """From maps (1, C', h', w') of the layers before to one (B, C, h, w).

        Upright pictures and lying ones go apart: padded to both's sides, they would be half padding.
        """
        learning, found = self.detector.backbone.conv[self.fixed :], dict[int, Tensor]()
        for upright in (False, True):
            rows = [row for row, part in enumerate(maps) if (part.shape[2] > part.shape[3]) == upright]
            if rows:
                computed = learning(as_channels_last(stack_maps([maps[row] for row in rows])))
                found |= zip(rows, computed.split(1))
        return as_channels_last(stack_maps([found[row] for row in range(len(maps))]))

    @torch.no_grad()
    def _fixed_layers(self) -> int:
        """How many leading children of ``conv`` do not learn; none, where keeping their maps would be no gain."""
        conv = self.detector.backbone.conv
        fixed = next((i for i, layer in enumerate(conv) if any(p.requires_grad for p in layer.parameters())), len(conv))
        picture = next(conv.parameters()).new_zeros(1, 3, 64, 64)
        return fixed if conv[:fixed](picture).half().nbytes < picture.nbytes else 0

    def _on_device(self, images: list[Tensor | Frame]) -> list[Any]:
        device = next(self.detector.parameters()).device
        return [
            image.to(device) if isinstance(image, Frame) else image.to(device, non_blocking=True) for image in images
        ]
