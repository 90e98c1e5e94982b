"""Depthwise convolution whose weights learn quickly on a CPU.

A depthwise kernel has k x k numbers a channel and each is a sum over every cell of every map, work for which torch's
CPU libraries have no good plan: the gradient of the weights takes them many times as long as that of the input, and
most of a training step (benchmarks/NOTES.md). Here the sum runs with the channels side by side in memory. Threads
share out channels and not cells, so the numbers are the same to the bit for any number of them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from torch import Tensor

BLOCK = 128  # channels at a time, at most: the sums of a 5 x 5 kernel take 13 kB, and stay in the nearest cache
WORTH_THREADS = 2**20  # multiply-adds: fewer take less time than waking a thread


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """F.conv2d with one group a channel; its numbers, and in ``weight`` its gradient but for rounding.

    Args:
        x: (B, C, H, W). weight: (C, 1, k, k). bias: (C,).
    Returns:
        (B, C, ~H / stride, ~W / stride).
    """
    learning = torch.is_grad_enabled() and weight.requires_grad
    if not learning or x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return F.conv2d(x, weight, bias, stride, padding, 1, len(weight))
    return _Depthwise.apply(x, weight, bias, stride, padding)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:  # type: ignore[override]
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            stride, padding = [ctx.stride] * 2, [ctx.padding] * 2
            of_x, _, _ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, stride, padding, [1, 1], False, [0, 0], len(weight), [True, False, False]
            )
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, gradient, weight.shape[2], ctx.stride, ctx.padding)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(dim=(0, 2, 3))
        return of_x, of_weight, of_bias, None, None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """What a depthwise convolution's weights (C, 1, k, k) are told by its output's ``gradient`` (B, C, h, w).

    Args:
        x: its input (B, C, H, W). kernel: k.
    """
    cells = x.permute(0, 2, 3, 1).contiguous().numpy()  # (B, H, W, C): no copy where it is channels_last
    given = gradient.permute(0, 2, 3, 1).contiguous().numpy()  # (B, h, w, C)
    threads = torch.get_num_threads() if given.size * kernel * kernel >= WORTH_THREADS else 1
    channels = x.shape[1]
    block = -(-channels // (threads * -(-channels // (threads * BLOCK))))  # as many blocks for each thread
    part = partial(_sums, cells, given, kernel, stride, padding)
    blocks = [(first, min(first + block, channels)) for first in range(0, channels, block)]
    if threads == 1:
        parts = [part(*ends) for ends in blocks]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda ends: part(*ends), blocks))
    return torch.cat([torch.from_numpy(sums) for sums in parts], dim=2).permute(2, 0, 1)[:, None]


@njit(cache=True, nogil=True)
def _sums(cells, given, kernel, stride, padding, first, last):  # type: ignore[no-untyped-def]
    """(k, k, c) of the channels first..last: what each cell of the kernel saw, times what came back for it, summed."""
    pictures, height, width, _ = cells.shape
    _, rows, columns, _ = given.shape
    channels = last - first
    sums = np.zeros((kernel, kernel, channels), np.float32)
    for n in range(pictures):
        for i in range(rows):
            for ky in range(kernel):
                y = i * stride + ky - padding
                if y < 0 or y >= height:
                    continue
                for kx in range(kernel):
                    shift = kx - padding
                    j = max(0, -(shift // stride))  # the first column whose cell is on the map
                    end = min(columns, (width - 1 - shift) // stride + 1)
                    total = sums[ky, kx]  # (c,)
                    while j + 3 < end:  # four cells a pass, or the sums would be fetched and stored for each
                        x = j * stride + shift
                        a, b = cells[n, y, x, first:last], cells[n, y, x + stride, first:last]
                        c, d = cells[n, y, x + 2 * stride, first:last], cells[n, y, x + 3 * stride, first:last]
                        p, q = given[n, i, j, first:last], given[n, i, j + 1, first:last]
                        r, s = given[n, i, j + 2, first:last], given[n, i, j + 3, first:last]
                        for k in range(channels):
                            total[k] += (a[k] * p[k] + b[k] * q[k]) + (c[k] * r[k] + d[k] * s[k])
                        j += 4
                    while j < end:
                        a, p = cells[n, y, j * stride + shift, first:last], given[n, i, j, first:last]
                        for k in range(channels):
                            total[k] += a[k] * p[k]
                        j += 1
    return sums
