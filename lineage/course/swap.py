"""Run the detectors, or the whole benchmark, on functions of one's own."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Function = Callable[..., Any]
# What an exercise asks for, and where the package has it.
SWAPPABLE = {
    "box_iou": "lineage.common.boxes",
    "encode_boxes": "lineage.common.boxes",
    "decode_boxes": "lineage.common.boxes",
    "clip_boxes_to_image": "lineage.common.boxes",
    "nms": "lineage.common.nms",
    "match_boxes": "lineage.common.matching",
    "sample_balanced": "lineage.common.sampling",
    "evaluate_voc": "lineage.evaluation.voc",
    "voc_ap_11_point": "lineage.evaluation.voc",
    "voc_ap_area": "lineage.evaluation.voc",
    "warp_crops": "lineage.rcnn.warp",
    "spatial_pyramid_pool": "lineage.sppnet.pyramid",
    "window_to_cells": "lineage.sppnet.mapping",
    "roi_pool": "lineage.fast_rcnn.roi_pool",
    "smooth_l1": "lineage.fast_rcnn.loss",
    "multi_task_loss": "lineage.fast_rcnn.loss",
    "base_anchors": "lineage.faster_rcnn.anchors",
    "grid_anchors": "lineage.faster_rcnn.anchors",
    "rpn_targets": "lineage.faster_rcnn.loss",
    "rpn_loss": "lineage.faster_rcnn.loss",
    "select_proposals": "lineage.faster_rcnn.rpn",
}


@contextmanager
def using(**functions: Function) -> Iterator[None]:
    """Put functions of one's own in the place of the package's, as long as the block lasts.

        with using(nms=my_nms):
            detector([image])

    They are found wherever a module of the package holds them. ``nms`` also stands in for ``batched_nms``, one call
    a class, so that every detection has gone through it.

    Raises:
        ValueError: a name that is none of :data:`SWAPPABLE`, or a function that cannot be called as the package does.
    """
    from lineage.common.nms import batched_nms, batched_nms_reference

    replacements: dict[str, tuple[Function, Function]] = {}  # the original, its replacement
    for name, mine in functions.items():
        if name not in SWAPPABLE:
            raise ValueError(f"using: {name!r} is none of {', '.join(SWAPPABLE)}")
        original = getattr(importlib.import_module(SWAPPABLE[name]), name)
        _check_call(name, original, mine)
        replacements[name] = original, mine
        if name == "nms":
            by_class = functools.partial(batched_nms_reference, suppress=mine)
            replacements["batched_nms"] = batched_nms, by_class
    by_original = {id(original): mine for original, mine in replacements.values()}
    loaded = set(sys.modules)
    changed = []
    try:
        for holder, attribute, value in _held_functions():
            if id(value) in by_original:
                changed.append((holder, attribute, value))
                setattr(holder, attribute, by_original[id(value)])
        yield
    finally:
        for holder, attribute, value in changed:
            setattr(holder, attribute, value)
        for holder, attribute, value in _held_functions():  # of modules that were first imported within the block
            if holder.__name__ not in loaded and attribute in replacements and value is replacements[attribute][1]:
                setattr(holder, attribute, replacements[attribute][0])


def _check_call(name: str, original: Function, mine: Function) -> None:
    """Raise ValueError unless ``mine`` takes the arguments that ``original`` must be given."""
    if not callable(mine):
        raise ValueError(f"using: {name}={mine!r} is not a function")
    wanted = [p for p in inspect.signature(original).parameters.values() if p.default is p.empty]
    positional = [p.name for p in wanted if p.kind is not p.KEYWORD_ONLY]
    named = {p.name: None for p in wanted if p.kind is p.KEYWORD_ONLY}
    try:
        inspect.signature(mine).bind(*positional, **named)
    except TypeError as error:
        call = ", ".join([*positional, *(f"{key}=" for key in named)])
        raise ValueError(f"using: the package calls {name}({call}), and yours does not fit: {error}") from None


def _held_functions() -> list[tuple[Any, str, Any]]:
    """(module, name, function) for every function that a loaded module of the package holds, imported ones too."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "lineage"]
    return [
        (module, attribute, value)
        for module in modules
        for attribute, value in vars(module).items()
        if callable(value) and not isinstance(value, type) and not attribute.startswith("__")
    ]
