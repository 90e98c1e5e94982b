"""Numbers of the code as tensors."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """``values`` (N,) on the device and in the type of ``like``. Not to be written to.

    Sending them to a GPU makes the host wait for all that it has asked for so far: there they are sent once.
    """
    if like.device.type == "cpu":
        return like.new_tensor(values)
    return _kept(values, like.dtype, like.device)


@lru_cache(maxsize=256)
def _kept(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it may be needed in training too
        return torch.tensor(values, dtype=dtype, device=device)
