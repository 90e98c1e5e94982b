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

from lineage.common.image import as_channels_last

BLOCK = 128  # channels at a time, at most: the sums of a 5 x 5 kernel take 13 kB, and stay in the nearest cache
WORTH_THREADS = 2**20  # multiply-adds: fewer take less time than waking a thread


def depthwise_relu6(
    x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int, *, relu6_first: bool = True
) -> Tensor:
    """relu6, a convolution with one group a channel, relu6: what stands between an inverted bottleneck's 1 x 1's.

    The three are one step because of what lies between them: gradients that come back in another memory layout than
    their map, which costs torch twenty times the time. They are computed in float32; in mixed precision only what
    enters and leaves is bfloat16, for torch has no quick gradient of this convolution in it.

    Args:
        x: (B, C, H, W), on a CPU, quickest in channels_last; float32 or bfloat16. weight: (C, 1, k, k) and
        bias: (C,), both float32. relu6_first: whether ``x`` is to be clamped, too.
    Returns:
        (B, C, ~H / stride, ~W / stride), of x's type; its gradients are torch's but for rounding.
    """
    return _DepthwiseReLU6.apply(x, weight, bias, stride, padding, relu6_first)


class _DepthwiseReLU6(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int, relu6_first: bool
    ) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            clamped = as_channels_last((x.clamp(0, 6) if relu6_first else x).float())
            output = F.conv2d(clamped, weight, bias, stride, padding, 1, len(weight)).clamp_(0, 6).to(x.dtype)
        ctx.save_for_backward(clamped, weight, output)
        ctx.stride, ctx.padding, ctx.relu6_first = stride, padding, relu6_first
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None, None]:  # type: ignore[override]
        clamped, weight, output = ctx.saved_tensors
        of_output = _through_relu6(as_channels_last(gradients[0]), output).float()
        of_weight = weight_gradient(clamped, of_output, weight.shape[2], ctx.stride, ctx.padding)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x, _, _ = torch.ops.aten.convolution_backward(
                of_output, clamped, weight, None, [ctx.stride] * 2, [ctx.padding] * 2, [1, 1], False, [0, 0],
                len(weight), [True, False, False],
            )  # fmt: skip
            of_x = _through_relu6(as_channels_last(of_x), clamped) if ctx.relu6_first else of_x
            of_x = of_x.to(output.dtype)
        return of_x, of_weight, of_output.sum(dim=(0, 2, 3)), None, None, None


def _through_relu6(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient of what relu6 made ``output`` of."""
    return torch.ops.aten.hardtanh_backward(gradient, output, 0, 6)


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
