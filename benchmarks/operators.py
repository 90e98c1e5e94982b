"""python benchmarks/operators.py: pooling, warping and matrix products against torchvision's, OpenCV's and torch's."""

from __future__ import annotations

import argparse
import sys

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from side_by_side import compare, write
from torch import Tensor

from lineage.bench.timed import draw_proposals, draw_scene
from lineage.cli import keep_freed_memory
from lineage.common.image import IMAGENET_MEAN, IMAGENET_STD, as_channels_last, normalise
from lineage.common.linear import linear
from lineage.fast_rcnn.roi_pool import roi_pool, with_picture_index
from lineage.rcnn.warp import warp_crops, warp_crops_reference
from lineage.sppnet.mapping import window_to_cells
from lineage.sppnet.pyramid import spatial_pyramid_pool

PROPOSALS, CROP = 2000, 227
MAP = (38, 50)  # 600 x 800 pixels at stride 16


def pooling(device: torch.device) -> list[dict]:
    """RoI pooling with and without its gradient, and the pyramid."""
    generator = torch.Generator().manual_seed(0)
    features = as_channels_last(torch.rand(1, 512, *MAP, generator=generator).to(device))
    boxes = draw_proposals(PROPOSALS, (600, 800), seed=0).to(device)
    rois = with_picture_index([boxes])
    theirs = torchvision.ops.roi_pool
    default = features.contiguous()  # the memory format that torchvision's operator is written for
    assert torch.equal(roi_pool(features, [boxes], 7, 1 / 16), theirs(default, rois, (7, 7), 1 / 16))
    learning, learning_default = features.clone().requires_grad_(), default.clone().requires_grad_()

    def with_gradient(pool, maps: Tensor, regions) -> None:  # type: ignore[no-untyped-def]
        maps.grad = None
        pool(maps, regions, (7, 7), 1 / 16).sum().backward()

    with_gradient(roi_pool, learning, [boxes])
    with_gradient(theirs, learning_default, rois)
    assert learning.grad is not None and learning_default.grad is not None
    torch.testing.assert_close(learning.grad, learning_default.grad)
    cells = window_to_cells(boxes, 16, MAP)
    levels = (6, 3, 2, 1)
    name = "torchvision.ops.roi_pool"
    rows = []
    with torch.no_grad():
        rows.append(
            compare(
                f"RoI pooling, {PROPOSALS} RoIs of 512 x 38 x 50, 7 x 7 bins",
                lambda: roi_pool(features, [boxes], 7, 1 / 16),
                name, lambda: theirs(default, rois, (7, 7), 1 / 16), goal=0.5, device=device,
                remark="the same output, to the bit",
            )
        )  # fmt: skip
    rows.append(
        compare(
            f"RoI pooling and its gradient, {PROPOSALS} RoIs of 512 x 38 x 50",
            lambda: with_gradient(roi_pool, learning, [boxes]),
            name, lambda: with_gradient(theirs, learning_default, rois), goal=0.5, device=device,
        )
    )  # fmt: skip
    with torch.no_grad():
        rows.append(
            compare(
                "SPP's levels 6, 3, 2, 1", lambda: spatial_pyramid_pool(features, cells, levels),
                "its finest level alone", lambda: spatial_pyramid_pool(features, cells, levels[:1]), goal=1.3,
                device=device,
            )
        )  # fmt: skip
    return rows


def warping(device: torch.device) -> list[dict]:
    """2000 crops of a 500 x 375 picture, as R-CNN's CNN takes them: float, normalised, channels_last."""
    image = draw_scene((375, 500), seed=0)
    pixels = normalise(image, IMAGENET_MEAN, IMAGENET_STD).to(device)
    boxes = draw_proposals(PROPOSALS, (375, 500), seed=0)
    whole = boxes.round().int().tolist()
    array = np.ascontiguousarray(image.permute(1, 2, 0).numpy())

    def resize_each() -> Tensor:
        """What one would write first: no context, no filling, whole pixels."""
        crops = [cv2.resize(array[y1:y2, x1:x2], (CROP, CROP)) for x1, y1, x2, y2 in whole]
        stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        return normalise(stacked.to(device), IMAGENET_MEAN, IMAGENET_STD)

    placed = boxes.to(device)
    what = f"warping {PROPOSALS} crops to {CROP} px, with context and mean fill"
    rois = with_picture_index([placed])
    return [
        compare(what, lambda: warp_crops(pixels, placed, CROP, 16), "cv2.resize crop by crop, without either",
                resize_each, goal=1.0, rounds=5, device=device),
        compare(what, lambda: warp_crops(pixels, placed, CROP, 16), "one grid_sample",
                lambda: warp_crops_reference(pixels, placed, CROP), rounds=5, device=device),
        compare(what, lambda: warp_crops(pixels, placed, CROP, 16), "one torchvision.ops.roi_align",
                lambda: torchvision.ops.roi_align(pixels[None], rois, (CROP, CROP), sampling_ratio=1, aligned=True),
                rounds=5, device=device),
    ]  # fmt: skip


def products(device: torch.device) -> list[dict]:
    """fc6 of VGG16 for Faster R-CNN's proposals, and fc7 for Fast R-CNN's."""
    rows = []
    for name, regions, inputs in (("fc6", 300, 25088), ("fc7", 2000, 4096)):
        x, weight, bias = (torch.randn(shape, device=device) for shape in ((regions, inputs), (4096, inputs), 4096))
        with torch.inference_mode():
            rows.append(
                compare(
                    f"VGG16's {name}, {regions} regions", lambda x=x, w=weight, b=bias: linear(x, w, b),
                    "torch's F.linear", lambda x=x, w=weight, b=bias: F.linear(x, w, b), device=device,
                )
            )  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(parser.parse_args().device)
    keep_freed_memory()
    rows = pooling(device) + warping(device) + products(device)
    write(f"operators-{device.type}", "Operators", rows, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
