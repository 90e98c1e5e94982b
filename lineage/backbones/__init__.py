"""Classification networks that become detectors: one protocol, :class:`~lineage.backbones.backbone.Backbone`."""

from __future__ import annotations

from pathlib import Path

import torch

from lineage.backbones.backbone import Backbone
from lineage.backbones.efficientnet import efficientnet_lite0
from lineage.backbones.imagenet import alexnet, resnet18, vgg16
from lineage.backbones.small import tiny
from lineage.backbones.weights import load_weights

NAMES = ("tiny", "alexnet", "vgg16", "resnet18", "efficientnet_lite0")
__all__ = ["NAMES", "Backbone", "build_backbone"]


def build_backbone(name: str, weights: str | Path | None = None, seed: int = 0) -> Backbone:
    """A backbone by name.

    Args:
        weights: None (random), "imagenet" (torchvision's hub; for efficientnet_lite0 the pip package), or a
            file (.pth or .safetensors) with torchvision's state-dict names.
        seed: of the random weights.
    Raises:
        ValueError: an unknown name, or weights that do not fit.
    """
    if name not in NAMES:
        raise ValueError(f"backbone {name!r} is none of {', '.join(NAMES)}")
    if name == "tiny" and weights is not None:
        raise ValueError("backbone 'tiny' has no published weights; it is pre-trained here, on crops of shapes")
    state = load_weights(name, weights) if weights is not None else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # torch's and torchvision's own initialisers draw from the global stream
        if name == "tiny":
            return tiny(torch.Generator().manual_seed(seed))
        builders = {"alexnet": alexnet, "vgg16": vgg16, "resnet18": resnet18, "efficientnet_lite0": efficientnet_lite0}
        try:
            return builders[name](state)
        except RuntimeError as error:  # load_state_dict's, which lists every tensor
            first = str(error).splitlines()[1].strip()[:200]
            raise ValueError(f"weights: {weights} do not fit {name}: {first}") from None
