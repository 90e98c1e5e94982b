"""Classification networks that become detectors: one protocol, :class:`~lineage.backbones.backbone.Backbone`."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from lineage.backbones.backbone import Backbone
from lineage.backbones.preprocessing import PREPROCESSINGS, declare, warn_of_wrong_range
from lineage.backbones.weights import load_weights

# The module that each stands in, imported when it is asked for: a model depends on its own backbone's code alone.
MODULES = {
    "tiny": "small", "alexnet": "imagenet", "zf": "zf", "vgg16": "imagenet", "resnet18": "imagenet",
    "resnet50": "imagenet", "efficientnet_lite0": "efficientnet",
}  # fmt: skip
NAMES = tuple(MODULES)
# Of the layer that detectors throw away, in the files that have it.
CLASSIFIERS = {
    "alexnet": "classifier.6", "zf": "fc8", "vgg16": "classifier.6", "resnet18": "fc", "resnet50": "fc",
    "efficientnet_lite0": "_fc",
}  # fmt: skip
__all__ = ["NAMES", "PREPROCESSINGS", "Backbone", "build_backbone", "module_of"]


def module_of(name: str) -> str:
    """The full name of the module that builds a backbone."""
    return f"lineage.backbones.{MODULES[name]}"


def build_backbone(
    name: str, weights: str | Path | None = None, seed: int = 0, preprocessing: str | None = None
) -> Backbone:
    """A backbone by name.

    Args:
        weights: None (random), "imagenet" (torchvision's hub; for efficientnet_lite0 the pip package), or a file
            (.pth or .safetensors) or its address, with torchvision's state-dict names (VGG16, ZF: or Caffe's).
        seed: of the random weights.
        preprocessing: what the weights of a file were trained with, "torchvision" or "caffe"; None is the usual one of
            the network. A network that plainly wants another range is warned of.
    Raises:
        ValueError: an unknown name, or weights that do not fit.
    """
    if name not in NAMES:
        raise ValueError(f"backbone {name!r} is none of {', '.join(NAMES)}")
    if name == "tiny" and weights is not None:
        raise ValueError("backbone 'tiny' has no published weights; it is pre-trained here, on crops of shapes")
    if preprocessing is not None and weights in (None, "imagenet"):
        raise ValueError(f"preprocessing {preprocessing!r}: belongs to weights of your own, from a file or an address")
    state = load_weights(name, weights) if weights is not None else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # torch's and torchvision's own initialisers draw from the global stream
        build = getattr(importlib.import_module(module_of(name)), name)
        if name == "tiny":
            return build(torch.Generator().manual_seed(seed))
        try:
            backbone = build(state)
        except RuntimeError as error:  # load_state_dict's, which lists every tensor
            first = str(error).splitlines()[1].strip()[:200]
            raise ValueError(f"weights: {weights} do not fit {name}: {first}") from None
    if preprocessing is not None:
        declare(backbone, preprocessing)
    classifier = CLASSIFIERS[name]
    if state is not None and f"{classifier}.weight" in state:
        warn_of_wrong_range(backbone, state[f"{classifier}.weight"], state[f"{classifier}.bias"], str(weights))
    return backbone
