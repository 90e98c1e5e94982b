"""Networks of Darknet's .cfg and .weights files, as far as a YOLOv3 on MobileNet needs them.

OpenCV read them up to version 4; what a layer computes follows Darknet's documentation of the file format.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lineage.common.nms import suppress_per_class

Section = dict[str, str]
LEAST_SCORE, NMS_IOU, MOST = 0.005, 0.45, 100  # of Darknet's own `detector map`; detections a picture


def sections(text: str) -> Iterator[tuple[str, Section]]:
    """(kind, its fields), one a layer, the first of them "net"."""
    for part in text.split("[")[1:]:
        kind, _, body = part.partition("]")
        lines = (line.split("#")[0] for line in body.splitlines())
        pairs = (line.split("=", 1) for line in lines if "=" in line)
        yield kind, {name.strip(): value.strip() for name, value in pairs}


class Convolution(nn.Sequential):
    """Convolution, batch norm where the file says so, and ReLU or nothing."""

    def __init__(self, inputs: int, fields: Section) -> None:
        size, outputs, norm = int(fields["size"]), int(fields["filters"]), "batch_normalize" in fields
        padding = size // 2 if fields.get("pad", "0") == "1" else int(fields.get("padding", 0))
        layers: list[nn.Module] = [
            nn.Conv2d(
                inputs, outputs, size, int(fields["stride"]), padding, groups=int(fields.get("groups", 1)),
                bias=not norm,
            )
        ]  # fmt: skip
        if norm:
            layers.append(nn.BatchNorm2d(outputs, eps=1e-5))
        if fields["activation"] != "linear":
            layers.append({"relu": nn.ReLU, "relu6": nn.ReLU6}[fields["activation"]]())
        super().__init__(*layers)

    def read(self, numbers: np.ndarray, at: int) -> int:
        """Biases; scales, means and variances of a norm; weights: from ``at`` on. Returns where they end."""
        conv = self[0]
        norm = next((layer for layer in self if isinstance(layer, nn.BatchNorm2d)), None)
        if norm is None:
            tensors: list[Any] = [conv.bias, conv.weight]
        else:
            tensors = [norm.bias, norm.weight, norm.running_mean, norm.running_var, conv.weight]
        for tensor in tensors:
            end = at + tensor.numel()
            tensor.data.copy_(torch.from_numpy(numbers[at:end].copy()).view_as(tensor))
            at = end
        return at


class Yolo(nn.Module):
    """An output layer: maps (1, A (5 + C), h, w) -> boxes (N, 4) as shares of the picture, scores (N, C)."""

    def __init__(self, fields: Section, size: tuple[int, int]) -> None:
        super().__init__()
        height, width = size
        sizes = torch.tensor([float(number) for number in fields["anchors"].split(",")]).view(-1, 2)
        self.anchors = sizes[[int(number) for number in fields["mask"].split(",")]] / torch.tensor([width, height])
        self.spread, self.classes = float(fields.get("scale_x_y", 1)), int(fields["classes"])

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        height, width = maps.shape[2:]
        each = maps.view(len(self.anchors), 5 + self.classes, height, width).permute(2, 3, 0, 1)  # (h, w, A, 5 + C)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        cell = torch.stack([x, y], dim=-1)[:, :, None]  # (h, w, 1, 2)
        centre = each[..., :2].sigmoid() * self.spread - (self.spread - 1) / 2 + cell
        centre = centre / torch.tensor([width, height])
        half = each[..., 2:4].exp() * self.anchors / 2
        scores = each[..., 4:5].sigmoid() * each[..., 5:].sigmoid()
        return torch.cat([centre - half, centre + half], dim=-1).view(-1, 4), scores.reshape(-1, self.classes)


class Darknet(nn.Module):
    """A detector of files of Darknet's, asked as ours is: ``[image (3, H, W)] -> [{"boxes", "scores", "labels"}]``."""

    def __init__(self, cfg: Path, weights: Path) -> None:
        super().__init__()
        (_, net), *layers = sections(cfg.read_text())
        self.size = int(net["height"]), int(net["width"])
        self.kinds, channels = layers, [3]
        self.layers = nn.ModuleList()
        for kind, fields in layers:
            self.layers.append(self._layer(kind, fields, channels[-1]))
            channels.append(self._outputs(kind, fields, channels))
        self.read(weights)
        self.eval()

    def _layer(self, kind: str, fields: Section, inputs: int) -> nn.Module:
        if kind == "convolutional":
            return Convolution(inputs, fields)
        if kind == "maxpool":
            size, stride = int(fields["size"]), int(fields["stride"])
            return nn.MaxPool2d(size, stride, size // 2)
        if kind == "upsample":
            return nn.Upsample(scale_factor=int(fields["stride"]))
        if kind == "yolo":
            return Yolo(fields, self.size)
        return nn.Identity()  # route, shortcut: forward() knows

    @staticmethod
    def _outputs(kind: str, fields: Section, channels: list[int]) -> int:
        if kind == "convolutional":
            return int(fields["filters"])
        if kind == "route":
            return sum(channels[row if row < 0 else row + 1] for row in _layers_of(fields))
        return channels[-1]

    def read(self, weights: Path) -> None:
        """Set every tensor from the file.

        Raises:
            ValueError: it has more or fewer numbers than the network.
        """
        raw = weights.read_bytes()
        major, minor = np.frombuffer(raw, np.int32, 2)
        rest = np.frombuffer(raw, np.float32, offset=20 if 10 * major + minor >= 2 else 16)
        at = 0
        for layer in self.layers:
            if isinstance(layer, Convolution):
                at = layer.read(rest, at)
        if at != len(rest):
            raise ValueError(f"{weights.name}: {len(rest)} numbers, and the network has {at}")

    @torch.inference_mode()
    def forward(self, images: list[Tensor], proposals: object = None) -> list[dict[str, Tensor]]:
        return [self._detect(image) for image in images]

    def _detect(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[1:]
        x = F.interpolate(image[None], self.size, mode="bilinear", antialias=False)
        outputs: list[Tensor] = []
        found = []
        for (kind, fields), layer in zip(self.kinds, self.layers):
            if kind == "route":
                x = torch.cat([outputs[row] for row in _layers_of(fields)], dim=1)
            elif kind == "shortcut":
                x = x + outputs[int(fields["from"])]
            elif kind == "yolo":
                found.append(layer(x))
            else:
                x = layer(x)
            outputs.append(x)
        boxes, scores = (torch.cat(parts) for parts in zip(*found))
        boxes = (boxes * torch.tensor([width, height, width, height])).clamp(min=0)
        boxes = torch.minimum(boxes, torch.tensor([width, height, width, height]).float())
        each = boxes[:, None].expand(-1, scores.shape[1], -1)  # (N, C, 4)
        return suppress_per_class(each, scores, score_threshold=LEAST_SCORE, iou_threshold=NMS_IOU, max_detections=MOST)


def _layers_of(fields: Section) -> list[int]:
    return [int(number) for number in fields["layers"].split(",")]
