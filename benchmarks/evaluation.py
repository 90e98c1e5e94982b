"""python benchmarks/evaluation.py: average precision of 5000 pictures and 20 classes against COCO's tools, IoU 0.5."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from typing import Any

import numpy as np
import torch
from side_by_side import compare, write
from torch import Tensor

from lineage.evaluation.coco import to_coco
from lineage.evaluation.voc import evaluate_voc
from lineage.evaluation.voc_reference import evaluate_voc_reference

PICTURES, CLASSES = 5000, 20
CHECKED = 300  # pictures for the loop, which takes minutes for all


def draw_results(pictures: int, seed: int = 0) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """Objects, and detections of which most are near one: some with a wrong class, some twice, some of nothing."""
    rng = np.random.default_rng(seed)
    detections, targets = [], []
    for _ in range(pictures):
        count = int(rng.integers(1, 6))
        corner, side = rng.uniform(0, 400, (count, 2)), rng.uniform(20, 200, (count, 2))
        boxes = np.concatenate([corner, corner + side], axis=1)
        labels = rng.integers(1, CLASSES + 1, count)
        near = boxes.repeat(3, axis=0) + rng.normal(0, 8, (3 * count, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        wrong = rng.random(3 * count) < 0.2
        near_labels = np.where(wrong, rng.integers(1, CLASSES + 1, 3 * count), labels.repeat(3))
        corner, side = rng.uniform(0, 400, (10, 2)), rng.uniform(20, 200, (10, 2))
        found = np.concatenate([near, np.concatenate([corner, corner + side], axis=1)])
        found_labels = np.concatenate([near_labels, rng.integers(1, CLASSES + 1, 10)])
        scores = np.concatenate([rng.beta(4, 2, 3 * count), rng.beta(1, 4, 10)])
        targets.append(
            {
                "boxes": torch.from_numpy(boxes).float(),
                "labels": torch.from_numpy(labels),
                "difficult": torch.zeros(count, dtype=torch.bool),
            }
        )
        detections.append(
            {
                "boxes": torch.from_numpy(found).float(),
                "scores": torch.from_numpy(scores).float(),
                "labels": torch.from_numpy(found_labels),
            }
        )
    return detections, targets


def coco_tool(coco_class: Any, eval_class: Any, truth: dict, results: list[dict]) -> Any:
    """A function that evaluates at IoU 0.5 alone and returns AP50; reading the JSON is not in it."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco_class()
        ground.dataset = truth
        ground.createIndex()
        loaded = ground.loadRes([dict(result) for result in results])

    def evaluate() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            tool = eval_class(ground, loaded, "bbox")
            tool.params.iouThrs = np.array([0.5])
            tool.params.areaRng, tool.params.areaRngLbl = [[0, 1e10]], ["all"]
            tool.params.maxDets = [100]
            tool.evaluate()
            tool.accumulate()
        precision = tool.eval["precision"][0, :, :, 0, 0]  # (recalls, classes)
        return float(precision[precision > -1].mean())

    return evaluate


def main() -> int:
    from faster_coco_eval import COCO as FasterCOCO
    from faster_coco_eval import COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    detections, targets = draw_results(PICTURES)
    some = detections[:CHECKED], targets[:CHECKED], CLASSES
    ours, loop = evaluate_voc(*some), evaluate_voc_reference(*some)
    if any(ours.ap[label] != loop.ap[label] and not math.isnan(loop.ap[label]) for label in ours.ap):
        raise SystemExit("ours differs from the loop")
    truth, results = to_coco(detections, targets, CLASSES)
    pycocotools = coco_tool(COCO, COCOeval, truth, results)
    faster_coco_eval = coco_tool(FasterCOCO, COCOeval_faster, truth, results)

    def evaluate() -> float:
        return evaluate_voc(detections, targets, CLASSES, use_11_point=False).map

    difference = abs(evaluate() - pycocotools())
    if difference > 2e-3:
        raise SystemExit(f"ours differs from COCO's AP50 by {difference:.4f}")
    found = sum(len(one["labels"]) for one in detections)
    what = f"AP at IoU 0.5 of {PICTURES} pictures, {CLASSES} classes, {found} detections"
    remark = (
        f"ours from tensors, input checks included; theirs from what they have loaded. Equal to the plain loop exactly "
        f"({CHECKED} pictures), to COCO's AP50 within {difference:.1e}."
    )
    rows = [
        compare(what, evaluate, "pycocotools", pycocotools, goal=1 / 40, remark=remark),
        compare(what, evaluate, "faster-coco-eval", faster_coco_eval, remark="as above"),
    ]
    write("evaluation", "Evaluation", rows, torch.device("cpu"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
