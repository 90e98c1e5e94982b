"""COCO's AP[.5:.95], by a library over our own export.

faster-coco-eval rather than pycocotools: the same numbers from the same JSON, matched in C++, without
printing to the terminal, and with wheels for current Pythons. The tests hold the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lineage.evaluation.flat import Picture, flatten


def to_coco(
    detections: Sequence[Picture],
    targets: Sequence[Picture],
    num_classes: int,
    classes: Sequence[str] | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth and results as COCO's two JSON documents.

    Args:
        detections, targets, num_classes: as of :func:`~lineage.evaluation.voc.evaluate_voc`.
        classes: C names; "1".."C" when not given.
    Returns:
        (ground truth: images, categories, annotations; results), boxes as (x, y, width, height); picture
        i has image_id i + 1, label c has category_id c.

    A ``difficult`` object becomes ``iscrowd = 1``, the only mark that COCO's evaluation reads (it overwrites
    ``ignore``): finding it is neither rewarded nor punished, as in VOC. COCO divides such an overlap by the
    detection's area instead of the union, so a small detection inside a big difficult object is forgiven too.

    Raises:
        ValueError: as evaluate_voc, or ``classes`` has another length.
    """
    found, truth = flatten(detections, targets, num_classes)
    names = [str(label) for label in range(1, num_classes + 1)] if classes is None else list(classes)
    if len(names) != num_classes:
        raise ValueError(f"classes: expected {num_classes} names, got {len(names)}")
    annotations = [
        {
            "id": row + 1,
            "image_id": int(truth.picture[row]) + 1,
            "category_id": int(truth.labels[row]),
            "bbox": _xywh(truth.boxes[row]),
            "area": math.prod(_xywh(truth.boxes[row])[2:]),
            "iscrowd": int(truth.difficult[row]),
        }
        for row in range(len(truth.labels))
    ]
    results = [
        {
            "image_id": int(found.picture[row]) + 1,
            "category_id": int(found.labels[row]),
            "bbox": _xywh(found.boxes[row]),
            "score": float(found.scores[row]),
        }
        for row in range(len(found.labels))
    ]
    ground_truth = {
        "info": {"description": "exported by lineage"},
        "images": [{"id": number + 1} for number in range(len(targets))],
        "categories": [{"id": label, "name": name} for label, name in enumerate(names, start=1)],
        "annotations": annotations,
    }
    return ground_truth, results


def evaluate_coco(detections: Sequence[Picture], targets: Sequence[Picture], num_classes: int) -> dict[str, float]:
    """COCO's ``AP`` (mean over IoU .5, .55 .. .95), ``AP50`` and ``AP75``, over all areas, 0..1.

    AP50 is not VOC's AP at 0.5: COCO reads the envelope at 101 recalls, matches a detection to the best
    object *still free*, and keeps at most 100 detections a picture and class. From VOC's area under the curve
    that differs by some 1.5e-3 on good detections (from the 11-point average by more, as VOC's own two do).

    Args:
        As of :func:`~lineage.evaluation.voc.evaluate_voc`.
    Returns:
        nan where no object counts, 0 where there is no detection.
    """
    ground_truth, results = to_coco(detections, targets, num_classes)
    names = ("AP", "AP50", "AP75")
    if all(annotation["iscrowd"] for annotation in ground_truth["annotations"]):
        return dict.fromkeys(names, math.nan)
    if not results:  # the library cannot load an empty list
        return dict.fromkeys(names, 0.0)
    from faster_coco_eval import COCO, COCOeval_faster  # heavy, and only this needs it

    truth = COCO(ground_truth)
    evaluation = COCOeval_faster(truth, truth.loadRes(results), iouType="bbox")
    evaluation.run()
    return {name: float(value) for name, value in zip(names, evaluation.stats[:3])}


def _xywh(box: Any) -> list[float]:
    x1, y1, x2, y2 = (float(value) for value in box)
    return [x1, y1, x2 - x1, y2 - y1]
