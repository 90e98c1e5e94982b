"""The embedded default dataset: textured figures on textured ground, in VOC layout, from a seed.

All classes share colours and textures, so only its outline tells a figure's class. Test pictures also use
textures that no training picture has. Figures occlude each other, leave the picture, and lie among clutter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import torch
from torch import Tensor

from lineage.common.folders import write_folder
from lineage.common.locks import alone
from lineage.common.progress import track
from lineage.common.workers import in_processes
from lineage.data.figures import CLASSES, TEST_PATTERNS, TRAIN_PATTERNS, Pattern, Rng, figure_mask, texture, two_colours

GENERATOR_VERSION = 2  # part of the folder's name: raise it whenever the same seed and knobs draw other pictures
Window = tuple[slice, slice]
SIZE = (320, 240)  # width, height: one size, since a CPU's kernels are prepared anew for each
VALIDATION = 0.2  # share of trainval that is val


@dataclass(frozen=True)
class Difficulty:
    """The knobs. Lengths in pixels, contrasts as differences of RGB 0..1."""

    objects: tuple[int, int] = (1, 5)
    sides: tuple[int, int] = (24, 200)  # of an object's box before occlusion and truncation
    aspect: float = 1.5  # longest side over shortest, at most
    tilt: float = 0.6  # from upright, in radians, at most
    contrast: float = 0.24  # least distance of a figure's mean colour to the ground around it
    texture: float = 0.4  # how far a texture's two colours lie apart
    ground_texture: float = 0.2
    clutter: int = 2  # at most so many blobs and strokes of no class
    overlap: float = 0.3  # at most this share of an object may be covered by later ones
    truncation: float = 0.15  # chance that an object may leave the picture
    noise: float = 0.02
    blur: float = 0.7  # sigma, at most
    lighting: float = 0.25


DEFAULT = Difficulty()
DIFFICULT_VISIBLE = 0.65  # an object less visible than this is marked difficult


@dataclass
class Drawn:
    """A picture in the making."""

    canvas: np.ndarray  # (H, W, 3) float32, RGB 0..1
    owner: np.ndarray  # (H, W) int32: which object is seen, 0 = none
    objects: list[tuple[str, int, bool]]  # class, pixels of the whole figure, truncated


def draw_picture(rng: Rng, patterns: tuple[Pattern, ...], knobs: Difficulty = DEFAULT) -> tuple[np.ndarray, list[dict]]:
    """One picture (H, W, 3) uint8 RGB and its objects: name, box (inclusive, from 1, as VOC), truncated, difficult."""
    width, height = SIZE
    canvas = texture(height, width, two_colours(rng, knobs.ground_texture), patterns, rng)
    drawn = Drawn(canvas, np.zeros((height, width), np.int32), [])
    _scatter_clutter(drawn, rng, patterns, int(rng.integers(0, knobs.clutter + 1)))
    for _ in range(int(rng.integers(knobs.objects[0], knobs.objects[1] + 1))):
        _place_figure(drawn, rng, patterns, knobs)
    _strokes(drawn, rng, int(rng.integers(0, 3)))
    return _expose(drawn.canvas, rng, knobs), _describe(drawn)


def _scatter_clutter(drawn: Drawn, rng: Rng, patterns: tuple[Pattern, ...], count: int) -> None:
    """Blobs of no class: smooth closed curves, textured like everything else."""
    height, width = drawn.owner.shape
    for _ in range(count):
        radius = rng.uniform(8, 45)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 12))))
        radii = radius * rng.uniform(0.35, 1.0, len(angles))
        points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)
        side = int(2 * radius) + 12  # room for the soft edge
        mask = np.zeros((side, side), np.uint8)
        cv2.fillPoly(mask, [np.round(points + side / 2).astype(np.int32)], 255, lineType=cv2.LINE_AA)
        soft = cv2.GaussianBlur(mask, (0, 0), 2.0).astype(np.float32) / 255
        x, y = (int(rng.uniform(0, extent) - side / 2) for extent in (width, height))
        part, there = _overlap((x, y), (side, side), (width, height))
        _paint(drawn.canvas[there], soft[part], texture(side, side, two_colours(rng, 0.5), patterns, rng)[part])


def _overlap(corner: tuple[int, int], size: tuple[int, int], picture: tuple[int, int]) -> tuple[Window, Window]:
    """The part of a window (width, height) that lies in the picture, in its own (rows, columns) and the picture's."""
    (x, y), (w, h), (width, height) = corner, size, picture
    part = (slice(max(0, -y), max(0, min(h, height - y))), slice(max(0, -x), max(0, min(w, width - x))))
    there = (slice(max(0, y), max(0, min(height, y + h))), slice(max(0, x), max(0, min(width, x + w))))
    return part, there


def _strokes(drawn: Drawn, rng: Rng, count: int) -> None:
    """Thin lines across everything."""
    height, width = drawn.owner.shape
    for _ in range(count):
        ends = [tuple(int(v) for v in rng.uniform(0, 1, 2) * (width, height)) for _ in range(2)]
        cv2.line(drawn.canvas, ends[0], ends[1], rng.uniform(0, 1, 3).tolist(), int(rng.integers(1, 3)), cv2.LINE_AA)


def _place_figure(drawn: Drawn, rng: Rng, patterns: tuple[Pattern, ...], knobs: Difficulty) -> None:
    """Try a few places for a random figure; give up rather than bury an earlier one."""
    height, width = drawn.owner.shape
    name = CLASSES[rng.integers(len(CLASSES))]
    side = float(
        np.exp(rng.uniform(np.log(knobs.sides[0] * 1.15), np.log(min(knobs.sides[1], 0.85 * min(width, height)))))
    )
    stretch = np.sqrt(np.exp(rng.uniform(-1, 1) * np.log(knobs.aspect)))
    w, h = (int(np.clip(s, knobs.sides[0], knobs.sides[1])) for s in (side * stretch, side / stretch))
    mask = figure_mask(name, w, h, rng.uniform(-knobs.tilt, knobs.tilt))  # (h, w)
    leaves = 0.5 if rng.random() < knobs.truncation else 0.0
    for _ in range(12):
        x = int(rng.uniform(-leaves * w, width - w + leaves * w))
        y = int(rng.uniform(-leaves * h, height - h + leaves * h))
        part, there = _overlap((x, y), (w, h), (width, height))
        seen = mask[part]
        if seen.sum() > 0.35 * mask.sum() and not _buries(drawn, there, seen, knobs.overlap):
            break
    else:
        return
    colours = _contrasting(drawn.canvas[there], rng, knobs)
    paint = texture(h, w, colours, patterns, rng)[part]
    _paint(drawn.canvas[there], seen, paint)
    drawn.objects.append((name, int((mask > 0.5).sum()), seen.shape != mask.shape))
    drawn.owner[there][seen > 0.5] = len(drawn.objects)


def _contrasting(ground: np.ndarray, rng: Rng, knobs: Difficulty) -> np.ndarray:
    """Two colours (2, 3) whose mean differs enough from the ground's (h, w, 3)."""
    around = ground.mean(axis=(0, 1))
    while True:
        colours = two_colours(rng, knobs.texture)
        if np.abs(colours.mean(axis=0) - around).mean() >= knobs.contrast:
            return colours


def _buries(drawn: Drawn, there: Window, seen: np.ndarray, limit: float) -> bool:
    covered = np.bincount(drawn.owner[there][seen > 0.5], minlength=len(drawn.objects) + 1)
    visible = np.bincount(drawn.owner.ravel(), minlength=len(drawn.objects) + 1)
    hidden_already = [1 - visible[i] / max(1, total) for i, (_, total, _) in enumerate(drawn.objects, start=1)]
    return any(
        covered[i] and hidden_already[i - 1] + covered[i] / max(1, drawn.objects[i - 1][1]) > limit
        for i in range(1, len(drawn.objects) + 1)
    )


def _paint(canvas: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    canvas += mask[..., None] * (colour - canvas)


def _expose(canvas: np.ndarray, rng: Rng, knobs: Difficulty) -> np.ndarray:
    """Lighting across the picture, blur, sensor noise, 8 bits."""
    height, width = canvas.shape[:2]
    corners = 1 + knobs.lighting * rng.uniform(-1, 1, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    canvas = cv2.GaussianBlur(canvas * light[..., None], (0, 0), rng.uniform(0.2, knobs.blur))
    noise = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(knobs.noise * rng.random())
    return ((canvas + noise).clip(0, 1) * 255).round().astype(np.uint8)


def _describe(drawn: Drawn) -> list[dict]:
    """The objects' boxes around their visible pixels, as VOC's annotators drew them."""
    found = []
    for number, (name, total, truncated) in enumerate(drawn.objects, start=1):
        rows, columns = np.where(drawn.owner == number)
        if len(rows) == 0:
            continue
        box = (int(columns.min()) + 1, int(rows.min()) + 1, int(columns.max()) + 1, int(rows.max()) + 1)
        sides = (box[2] - box[0] + 1, box[3] - box[1] + 1)
        difficult = len(rows) < DIFFICULT_VISIBLE * total or min(sides) < 14
        found.append({"name": name, "box": box, "truncated": truncated, "difficult": difficult})
    return found


def ensure_shapes(cache_dir: str | Path, seed: int = 0, trainval: int = 400, test: int = 120) -> Path:
    """The dataset's folder; drawn on the first call, complete or not there at all."""
    knobs = hashlib.sha256(repr(DEFAULT).encode()).hexdigest()[:8]
    name = f"shapes-v{GENERATOR_VERSION}-{knobs}-seed{seed}-{trainval}-{test}"
    root = Path(cache_dir) / name
    if not root.is_dir():
        with alone(root):
            if not root.is_dir():
                write_folder(root, lambda temporary: write_shapes(temporary, seed, trainval, test))
    return root


def write_shapes(
    root: str | Path, seed: int = 0, trainval: int = 400, test: int = 120, jobs: int | None = None
) -> None:
    """Write the dataset in VOC layout under ``root``: splits trainval = train + val, and test.

    Every picture has a random stream of its own, so the bytes depend on the seed and not on ``jobs``.
    """
    root = Path(root)
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pictures = [(0, i) for i in range(trainval)] + [(1, i) for i in range(test)]
    names = [f"{'train' if split == 0 else 'test'}_{index:05d}" for split, index in pictures]
    tasks = ((root, name, seed, split, index) for name, (split, index) in zip(names, pictures))
    done = in_processes(_write_picture, tasks, jobs)
    for _ in track(done, "draw shapes", len(pictures)):
        pass
    learn, held_out = names[:trainval], names[trainval:]
    cut = trainval - round(trainval * VALIDATION)
    for split, ids in {"trainval": learn, "train": learn[:cut], "val": learn[cut:], "test": held_out}.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in ids))


def _write_picture(root: Path, name: str, seed: int, split: int, index: int) -> None:
    patterns = TRAIN_PATTERNS if split == 0 else TEST_PATTERNS
    image, objects = draw_picture(np.random.default_rng([seed, split, index]), patterns)
    ok, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert ok
    (root / "JPEGImages" / f"{name}.jpg").write_bytes(encoded.tobytes())
    ElementTree.ElementTree(_annotation(name, image.shape, objects)).write(root / "Annotations" / f"{name}.xml")


def _annotation(name: str, shape: tuple[int, ...], objects: list[dict]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = f"{name}.jpg"
    size = ElementTree.SubElement(root, "size")
    for field, value in zip(("width", "height", "depth"), (shape[1], shape[0], 3)):
        ElementTree.SubElement(size, field).text = str(value)
    for item in objects:
        element = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(element, "name").text = item["name"]
        for field in ("truncated", "difficult"):
            ElementTree.SubElement(element, field).text = str(int(item[field]))
        box = ElementTree.SubElement(element, "bndbox")
        for field, value in zip(("xmin", "ymin", "xmax", "ymax"), item["box"]):
            ElementTree.SubElement(box, field).text = str(value)
    return root


def classification_crops(count: int, size: int, seed: int, jobs: int | None = None) -> tuple[Tensor, Tensor]:
    """The lineage's step 0: a classification set, one figure to a crop, as ImageNet was to R-CNN.

    Returns:
        uint8 (count, 3, size, size) RGB and int64 labels (count,) in 0..C-1. Training textures only.
    """
    parts = [range(start, min(start + 500, count)) for start in range(0, count, 500)]
    drawn = in_processes(_draw_crops, ((part, size, seed) for part in parts), jobs)
    crops, labels = (np.concatenate(column) for column in zip(*drawn))
    return torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


def _draw_crops(indices: range, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    crops, labels = zip(*(_draw_crop(np.random.default_rng([seed, 2, index]), size) for index in indices))
    return np.stack(crops), np.array(labels)


def _draw_crop(rng: Rng, size: int, knobs: Difficulty = DEFAULT) -> tuple[np.ndarray, int]:
    canvas = texture(size, size, two_colours(rng, knobs.ground_texture), TRAIN_PATTERNS, rng)
    drawn = Drawn(canvas, np.zeros((size, size), np.int32), [])
    _scatter_clutter(drawn, rng, TRAIN_PATTERNS, int(rng.integers(0, 3)))
    label = int(rng.integers(len(CLASSES)))
    side, stretch = size * rng.uniform(0.6, 1.0), np.exp(rng.uniform(-0.5, 0.5) * np.log(knobs.aspect))
    w, h = int(side * stretch), int(side / stretch)
    mask = figure_mask(CLASSES[label], w, h, rng.uniform(-knobs.tilt, knobs.tilt))
    x, y = (int((size - side) * rng.uniform(0, 1)) for side in (w, h))
    part, there = _overlap((x, y), (w, h), (size, size))
    colours = _contrasting(drawn.canvas[there], rng, knobs)
    _paint(drawn.canvas[there], mask[part], texture(h, w, colours, TRAIN_PATTERNS, rng)[part])
    return _expose(drawn.canvas, rng, knobs), label
