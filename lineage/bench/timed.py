"""A detector ready for the stopwatch: its size, type, layout and number of proposals as a setting says.

What a stage costs does not depend on what the network has learnt but on sizes and counts, so weights may be random
and proposals drawn at random. What would depend on it is fixed: every generation's NMS gets :data:`CANDIDATES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lineage.backbones import build_backbone
from lineage.bench.measure import proposals_of
from lineage.common.stages import Trace, trace
from lineage.data.figures import TRAIN_PATTERNS
from lineage.data.shapes import draw_picture
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.experiment import changed
from lineage.experiments.generations import build_detector, generation_of, named_recipe

DTYPES = ("float32", "tf32", "bf16")
CANDIDATES = 1000  # pairs of region and class above the score threshold
PER_REGION = ("warp", "cnn", "svm", "ridge")  # R-CNN's stages that cost the same for every crop


@dataclass(frozen=True)
class Setting:
    """What is timed. Lengths in pixels.

    Attributes:
        weights: a file or its address; None is random.
        size: (height, width) of the pictures; the network sees them at this size.
        proposals: regions a picture of the first three generations; Faster R-CNN has ``rpn_proposals``.
        dtype: of :data:`DTYPES`; "tf32" and "bf16" for convolutions and fc layers, boxes stay in float32.
        compiled: torch.compile for them.
        sampled: as many of R-CNN's crops are run and the rest extrapolated; None runs all.
    """

    device: torch.device
    backbone: str = "vgg16"
    weights: str | None = None
    size: tuple[int, int] = (600, 800)
    proposals: int = 2000
    rpn_proposals: int = 300
    dtype: str = "float32"
    channels_last: bool = True
    compiled: bool = False
    sampled: int | None = None

    def facts(self) -> dict[str, Any]:
        """The setting as a results file has it."""
        kept = {field: value for field, value in dataclasses.asdict(self).items() if field != "device"}
        return {**kept, "size": list(self.size), "weights": self.weights or "random"}


class Reduced(nn.Module):
    """A part of a network in another floating-point type, between float32 on both sides."""

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.part, self.dtype = part.to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x.to(self.dtype)).float()


class Contiguous(nn.Module):
    """A part of a network in the default memory format, though its input comes in channels_last."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part.to(memory_format=torch.contiguous_format)

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x.contiguous())


def check(setting: Setting) -> None:
    """Raise ValueError unless the setting can be timed on its device."""
    if setting.dtype not in DTYPES:
        raise ValueError(f"--dtype: {setting.dtype!r} is none of {', '.join(DTYPES)}")
    if setting.dtype == "tf32" and setting.device.type != "cuda":
        raise ValueError("--dtype: tf32 is a GPU's; this is a CPU")
    if min(setting.size) < 64:
        raise ValueError(f"--size: sides of at least 64 pixels, not {setting.size[0]}x{setting.size[1]}")


def set_precision(dtype: str) -> None:
    """Whether a GPU may round the inputs of float32 products to TF32's 10 bits."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"


def draw_scene(size: tuple[int, int], seed: int) -> Tensor:
    """A picture (3, h, w) of ``size`` in 0..1: pictures of the embedded data set side by side."""
    rng = np.random.default_rng(seed)
    height, width = size
    tile_height, tile_width = draw_picture(rng, TRAIN_PATTERNS)[0].shape[:2]
    rows, columns = -(-height // tile_height), -(-width // tile_width)
    scene = np.vstack(
        [np.hstack([draw_picture(rng, TRAIN_PATTERNS)[0] for _ in range(columns)]) for _ in range(rows)]
    )  # fmt: skip
    return torch.from_numpy(scene[:height, :width].copy()).permute(2, 0, 1).float() / 255


def draw_proposals(count: int, size: tuple[int, int], seed: int) -> Tensor:
    """Boxes (count, 4) inside a picture, their sides spread evenly in log from 20 pixels to the picture's."""
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32)  # (2,)
    sides = 20 * (extent / 20) ** torch.rand(count, 2, generator=generator)  # (count, 2)
    corner = torch.rand(count, 2, generator=generator) * (extent - sides)
    return torch.cat([corner, corner + sides], dim=1)


@dataclass
class Run:
    """One picture through one detector."""

    traced: Trace
    regions: int
    factor: float  # by which R-CNN's per-region stages stand for more regions than were run

    def factor_of(self, stage: str) -> float:
        return self.factor if stage in PER_REGION else 1.0

    def ms(self, by: str) -> dict[str, float]:
        """Milliseconds by "name" or by "phase"."""
        totals: dict[str, float] = {}
        for record in self.traced.records:
            key = getattr(record, by)
            totals[key] = totals.get(key, 0.0) + 1e3 * record.seconds * self.factor_of(record.name)
        return totals

    @property
    def total_ms(self) -> float:
        return sum(self.ms("phase").values())


class Timed:
    """A detector prepared as the setting says, with its work counted on a first picture."""

    def __init__(self, setting: Setting, generation: str, image: Tensor, boxes: Tensor) -> None:
        self.setting, self.generation = setting, generation
        self.regions = setting.rpn_proposals if generation_of(generation).proposes else setting.proposals
        backbone = build_backbone(setting.backbone, setting.weights)
        self.detector: Any = build_detector(generation, backbone, VOC_CLASSES, _recipe(setting, generation))
        svms: Any = getattr(self.detector, "svms", None)
        if svms is not None:  # untrained ones are 0 and tell nothing apart
            svms.weight.normal_(generator=torch.Generator().manual_seed(0))
        self.detector.to(setting.device)
        if setting.dtype == "bf16":
            self._wrap(partial(Reduced, dtype=torch.bfloat16))
        if not setting.channels_last:
            self._wrap(Contiguous)
        self._fix_candidates(image, boxes)
        self.counted = self(image, boxes, count=True)  # before it is compiled: compiled parts count nothing
        self.device_peak: int | None = None
        if setting.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self(image, boxes)
            self.device_peak = torch.cuda.max_memory_allocated()
        if setting.compiled:
            self._wrap(torch.compile)

    def __call__(self, image: Tensor, boxes: Tensor, regions: int | None = None, *, count: bool = False) -> Run:
        """One picture with the first ``regions`` of ``boxes``, or with as many of the RPN's own."""
        given, factor = self._given(boxes, regions or self.regions)
        with trace(self.detector, count=count, keep_tensors=False) as t:
            self.detector.detect(image.to(self.setting.device), given)
        return Run(t, proposals_of(t) if given is None else round(factor * len(given)), factor)

    def _given(self, boxes: Tensor, regions: int) -> tuple[Tensor | None, float]:
        """The proposals to hand over, and how many times as many they stand for."""
        if generation_of(self.generation).proposes:
            self.detector.recipe = changed(self.detector.recipe, (("rpn.after_nms_test", regions),))
            return None, 1.0
        boxes = boxes[:regions]
        sampled = self.setting.sampled
        if self.generation != "rcnn" or sampled is None or sampled >= len(boxes):
            return boxes, 1.0
        return boxes[:sampled], len(boxes) / sampled

    def _wrap(self, wrapper: Callable[[nn.Module], Any]) -> None:
        """Put the heavy parts into a wrapper each."""
        detector = self.detector
        detector.backbone.conv = wrapper(detector.backbone.conv)
        holder = detector.head if hasattr(detector, "head") else detector.backbone
        holder.fc = wrapper(holder.fc)
        if hasattr(detector, "rpn"):
            detector.rpn.conv = wrapper(detector.rpn.conv)

    def _fix_candidates(self, image: Tensor, boxes: Tensor) -> None:
        """Set the score threshold so that :data:`CANDIDATES` pairs of region and class pass."""
        with trace(self.detector, count=False) as t:
            self.detector.detect(image.to(self.setting.device), self._given(boxes, self.regions)[0])
        scores = next(record.outputs for record in t.records if record.phase == "classify").flatten()
        threshold = scores.topk(min(CANDIDATES + 1, len(scores))).values[-1].item()
        self.detector.recipe = dataclasses.replace(self.detector.recipe, score_threshold=threshold)


def _recipe(setting: Setting, generation: str) -> Any:
    """The paper's, for pictures that come at the network's size."""
    longer = max(setting.size)
    changes: dict[str, tuple[tuple[str, Any], ...]] = {
        "rcnn": (),
        "sppnet": (("scales", (None,)), ("longer", longer)),
        "fast_rcnn": (("shorter", None), ("longer", longer)),
        "faster_rcnn": (("shorter", None), ("longer", longer)),
    }
    return changed(named_recipe(generation, "paper"), changes[generation])
