"""Selective search: the boxes of all regions of several hierarchies, best guesses first."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

from lineage.selective_search.grouping import group_features
from lineage.selective_search.segmentation import segment
from lineage.selective_search.similarity import region_features
from lineage.selective_search.strategies import FAST, QUALITY, Strategy, convert

ENGINES = ("lineage", "opencv")


def selective_search(
    image: np.ndarray | Tensor,
    strategies: Sequence[Strategy] = FAST,
    *,
    width: int | None = 500,
    sigma: float = 0.8,
    min_side: int = 20,
    limit: int | None = None,
    engine: str = "lineage",
    seed: int = 0,
) -> np.ndarray:
    """Region proposals of a picture.

    Args:
        image: uint8 (H, W, 3) RGB, or a float tensor (3, H, W) in 0..1.
        strategies: FAST, QUALITY, QUICK or your own.
        width: the picture is resized to it first, as R-CNN's selective_search_boxes.m does; None keeps its size.
        sigma: of the smoothing before segmentation, in pixels of the resized picture.
        min_side: boxes under this many of those pixels a side are dropped.
        limit: at most so many boxes.
        engine: "lineage", or "opencv" for its C++ (fast and quality mode), where cv2 was built with it.
        seed: of the order: a box's rank in its hierarchy times a random number (section 3.3).
    Returns:
        (N, 4) float32, in pixels of ``image``, no two equal, N >= 1: if nothing else is left, the whole picture.
    Raises:
        ValueError: an unknown engine, or not a picture. RuntimeError: this cv2 has no selective search.
    """
    pixels = _as_uint8(image)
    factor = 1.0 if width is None else width / pixels.shape[1]
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    resized = pixels if factor == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    if engine == "lineage":
        boxes = _ranked(_hierarchies(resized, strategies, sigma), seed)
    elif engine == "opencv":
        boxes = _opencv(resized, strategies)
    else:
        raise ValueError(f"engine {engine!r} is none of {', '.join(ENGINES)}")
    sides = boxes[:, 2:] - boxes[:, :2]
    boxes = boxes[(sides >= min_side).all(axis=1)]
    if len(boxes) == 0:
        boxes = np.array([[0, 0, *size]])
    scale = np.array([pixels.shape[1] / size[0], pixels.shape[0] / size[1]] * 2)
    return (boxes[:limit] * scale).astype(np.float32)


def _as_uint8(image: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(image, Tensor):
        image = (image.detach().cpu().permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"selective search: expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    return np.ascontiguousarray(image)


def _hierarchies(image: np.ndarray, strategies: Sequence[Strategy], sigma: float) -> list[np.ndarray]:
    """Each strategy's boxes, the whole picture first. Segmentations and features are shared where they can be."""
    segmented: dict[tuple[str, float], tuple[np.ndarray, ...]] = {}
    found = []
    for strategy in strategies:
        key = (strategy.colour_space, strategy.k)
        if key not in segmented:
            converted = convert(image, strategy.colour_space)
            labels = segment(converted, strategy.k, sigma, int(strategy.k))
            segmented[key] = (labels, *region_features(converted, labels))
        labels, colour, texture, sizes, boxes = segmented[key]
        found.append(group_features(labels, colour, texture, sizes, boxes, strategy.weights).boxes[::-1])
    return found


def _ranked(hierarchies: list[np.ndarray], seed: int) -> np.ndarray:
    """Distinct boxes of all hierarchies: large regions first, but mixed by chance (section 3.3)."""
    rng = np.random.default_rng(seed)
    boxes = np.concatenate(hierarchies)
    rank = np.concatenate([np.arange(1, len(part) + 1) for part in hierarchies])
    boxes = boxes[np.argsort(rank * rng.random(len(rank)), kind="stable")]
    _, first = np.unique(boxes, axis=0, return_index=True)
    return boxes[np.sort(first)]


def _opencv(image: np.ndarray, strategies: Sequence[Strategy]) -> np.ndarray:
    """OpenCV's C++ selective search, from opencv-contrib."""
    module = getattr(getattr(cv2, "ximgproc", None), "segmentation", None)
    create = getattr(module, "createSelectiveSearchSegmentation", None)  # plain builds have an empty ximgproc
    if create is None:
        raise RuntimeError(
            'engine "opencv": this cv2 has no ximgproc.segmentation.createSelectiveSearchSegmentation; '
            'install opencv-contrib-python-headless in place of opencv-python-headless, or use engine "lineage"'
        )
    search = create()
    search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
    if tuple(strategies) == QUALITY:
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    boxes = np.asarray(search.process()).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    _, first = np.unique(boxes, axis=0, return_index=True)
    return boxes[np.sort(first)]
