"""COCO data sets as tools export them, right ones to be spoilt by a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image


def picture(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    """Write a picture of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 100, 50)).save(path)
    return path


def ground_truth(names: list[str], first: int = 1) -> dict[str, Any]:
    """Pictures of 40 x 30 pixels with a bolt each, numbered from ``first``; categories 3 bolt and 7 nut."""
    images = [{"id": first + i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)]
    annotations = [
        {"id": 100 + image["id"], "image_id": image["id"], "category_id": 3, "bbox": [1, 2, 10.5, 20], "iscrowd": 0}
        for image in images
    ]
    categories = [{"id": 7, "name": "nut"}, {"id": 3, "name": "bolt"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_json(path: Path, document: Any) -> Path:
    """As text where it is a text, else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path
