"""Mixed precision: convolutions and matrix products in bfloat16, with float32 weights."""

from __future__ import annotations

import contextlib

import torch


def mixed(amp: str | None, device: torch.device) -> contextlib.AbstractContextManager:
    """Where torch picks bfloat16 for what gains by it, if ``amp`` is "bf16"; None changes nothing.

    Raises:
        ValueError: ``amp`` is something else.
    """
    if amp is None:
        return contextlib.nullcontext()
    if amp != "bf16":
        raise ValueError(f"amp {amp!r} is neither None nor 'bf16'")
    return torch.autocast(device.type, torch.bfloat16)
