"""Matrix products with a layer's weights, by the quickest library that torch carries.

On a CPU torch's own choice for float32 is MKL. On some processors that are not Intel's it reaches less than half of
what oneDNN does, elsewhere it is the quicker of the two (benchmarks/NOTES.md), so a process tries both, once. oneDNN is
asked for by handing it tensors in its own layout; operators of our own around that keep such tensors from whoever looks
on: a trace, a FLOP counter, torch.compile.
"""

from __future__ import annotations

import functools
import math
import os
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry, shape_wrapper

# oneDNN has to be this much quicker. Far from both kinds of machine (2.2 times, and 0.8 to 1.0), so that noise decides
# nothing: the two differ in the last bit, and a training that is resumed has to choose as it did.
MARGIN = 1.4
CLEARLY = 1.25  # above and below the margin; nearer to it, more rounds are measured: a busy machine's noise wears off
ROUNDS, MOST_ROUNDS = 10, 100
WORTH_IT = 2**22  # multiply-adds: fewer take less time than calling an operator written in Python, some 30 µs


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``: (N, D), (E, D), (E,) -> (N, E). Differentiable; F.linear's numbers but for rounding."""
    small = x.numel() * len(weight) < WORTH_IT
    other = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if small or other or not onednn_is_quicker():
        return F.linear(x, weight, bias)
    return torch.ops.lineage.linear(x, weight, bias)


CHOICE = "LINEAGE_ONEDNN"


@functools.cache
def onednn_is_quicker() -> bool:
    """Whether this machine's products are worth the detour; some 50 ms to find out, once a process.

    ``$LINEAGE_ONEDNN`` (0 or 1) decides instead, for two runs on a machine where both are about as quick, which round
    differently.

    The operators themselves are not asked: torch takes two seconds for the first call of one that Python defines.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    if (said := os.environ.get(CHOICE)) is not None:
        return said == "1"
    with torch.inference_mode():
        x, weight = torch.zeros(256, 1024), torch.zeros(1024, 1024)
        seconds: dict[Any, float] = {}
        for done in range(1, MOST_ROUNDS + 1):  # in turns, so that a slow moment meets both
            for product in (F.linear, _by_onednn):
                start = time.perf_counter()
                product(x, weight, None)
                seconds[product] = min(seconds.get(product, math.inf), time.perf_counter() - start)
            torchs, onednns = seconds.values()
            ratio = torchs / onednns / MARGIN
            if done >= ROUNDS and not 1 / CLEARLY < ratio < CLEARLY:
                break
    return ratio > 1


class Linear(nn.Linear):
    """torch's Linear, with its product computed by :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def use_our_linear(module: nn.Module) -> None:
    """Replace every nn.Linear in ``module`` by a :class:`Linear` with the same parameters."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            ours = Linear(child.in_features, child.out_features, child.bias is not None, device="meta")
            ours.weight, ours.bias = child.weight, child.bias
            setattr(module, name, ours)
        else:
            use_our_linear(child)


# ---- the operators ----------------------------------------------------------------------------------


@torch.library.custom_op("lineage::linear", mutates_args=(), schema="(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
def _forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _by_onednn(x, weight, bias)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x.to_mkldnn(), weight, bias).to_dense()


@torch.library.custom_op(
    "lineage::linear_input_gradient", mutates_args=(), schema="(Tensor gradient, Tensor weight) -> Tensor"
)
def _input_gradient(gradient: Tensor, weight: Tensor) -> Tensor:
    shape = [len(gradient), weight.shape[1]]
    return torch.ops.aten.mkldnn_linear_backward_input(shape, gradient.contiguous().to_mkldnn(), weight).to_dense()


@torch.library.custom_op(
    "lineage::linear_weight_gradient", mutates_args=(), schema="(Tensor gradient, Tensor x, Tensor weight) -> Tensor"
)
def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    inputs = gradient.contiguous().to_mkldnn(), x.to_mkldnn(), weight, False
    return torch.ops.aten.mkldnn_linear_backward_weights(*inputs)[0].to_dense()


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _ = inputs
    ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
    ctx.weight = weight.detach()  # its shape and layout, which the operator asks for


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    return (
        torch.ops.lineage.linear_input_gradient(gradient, weight) if ctx.needs_input_grad[0] else None,
        torch.ops.lineage.linear_weight_gradient(gradient, x, ctx.weight) if ctx.needs_input_grad[1] else None,
        gradient.sum(dim=0) if ctx.needs_input_grad[2] else None,
    )


_forward.register_autograd(_backward, setup_context=_remember)
_forward.register_fake(lambda x, weight, bias: x.new_empty(len(x), len(weight)))
_input_gradient.register_fake(lambda gradient, weight: gradient.new_empty(len(gradient), weight.shape[1]))
_weight_gradient.register_fake(lambda gradient, x, weight: torch.empty_like(weight))


def _forward_flops(x: tuple[int, ...], weight: tuple[int, ...], *_: object, **__: object) -> int:
    return 2 * x[0] * weight[0] * weight[1]


def _gradient_flops(gradient: tuple[int, ...], other: tuple[int, ...], *_: object, **__: object) -> int:
    return 2 * gradient[0] * gradient[1] * other[1]


# register_flop_formula does not take another namespace's operators before torch 2.5.
flop_registry[torch.ops.lineage.linear] = shape_wrapper(_forward_flops)
flop_registry[torch.ops.lineage.linear_input_gradient] = shape_wrapper(_gradient_flops)
flop_registry[torch.ops.lineage.linear_weight_gradient] = shape_wrapper(_gradient_flops)
