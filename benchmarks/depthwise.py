"""python benchmarks/depthwise.py: gradients of depthwise convolutions' weights, ours and torch's, layer by layer.

The layers are EfficientNet-Lite0's that learn in the evening recipe: of the conv part for four pictures of VOC at a
shorter side of 300, of the fc part for their 64 RoIs.
"""

from __future__ import annotations

import sys

import torch
from side_by_side import compare, write
from torch import Tensor

from lineage.cli import keep_freed_memory
from lineage.common.depthwise import weight_gradient
from lineage.common.image import as_channels_last

LAYERS = (  # maps, channels, rows, columns, kernel, stride
    (4, 240, 38, 50, 3, 2), (4, 480, 19, 25, 3, 1), (4, 480, 19, 25, 5, 1), (4, 672, 19, 25, 5, 1),
    (64, 672, 7, 7, 5, 2), (64, 1152, 4, 4, 5, 1), (64, 1152, 4, 4, 3, 1),
)  # fmt: skip


def torchs(x: Tensor, gradient: Tensor, kernel: int, stride: int) -> Tensor:
    """The same by torch's own operator, which is asked for nothing else."""
    channels = x.shape[1]
    return torch.ops.aten.convolution_backward(
        gradient, x, x.new_empty(channels, 1, kernel, kernel), None, [stride] * 2, [kernel // 2] * 2, [1, 1], False,
        [0, 0], channels, [False, True, False],
    )[1]  # fmt: skip


def main() -> int:
    keep_freed_memory()
    generator, rows = torch.Generator().manual_seed(0), []
    for maps, channels, height, width, kernel, stride in LAYERS:
        size = (maps, channels, -(-height // stride), -(-width // stride))
        x = as_channels_last(torch.randn(maps, channels, height, width, generator=generator))
        back = as_channels_last(torch.randn(size, generator=generator))
        ours, theirs = weight_gradient(x, back, kernel, stride, kernel // 2), torchs(x, back, kernel, stride)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
        rows.append(
            compare(
                f"{maps} maps of {channels} x {height} x {width}, {kernel} x {kernel}, stride {stride}",
                lambda x=x, b=back, k=kernel, s=stride: weight_gradient(x, b, k, s, k // 2),
                "torch's", lambda x=x, b=back, k=kernel, s=stride: torchs(x, b, k, s), rounds=15,
            )
        )  # fmt: skip
    write("depthwise-cpu", "Depthwise", rows, torch.device("cpu"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
