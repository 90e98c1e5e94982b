"""What a device can do at best, measured in the same run as what is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lineage.common.linear import linear
from lineage.common.stages import Clock, Work

ROUNDS = 5


@dataclass(frozen=True)
class Ceiling:
    """The best of several rounds of each: what other work on the machine takes away is not the device's limit."""

    matmul: float  # FLOP/s of a large square matrix product, by the quicker of torch's libraries
    convolution: float  # FLOP/s of a 3 x 3 convolution like VGG16's third block, in channels_last
    copy: float  # bytes/s read and written by a large copy
    launch: float  # seconds that an operator on one number takes

    def shares(self, work: Work, seconds: float) -> dict[str, float]:
        """What part of ``seconds`` each limit alone would explain: 1.0 is "as fast as the device can".

        Memory counts every operator's inputs and outputs, so what stays in a cache can take it beyond 1.
        """
        other = work.flops - work.convolution_flops
        return {
            "arithmetic": (work.convolution_flops / self.convolution + other / self.matmul) / seconds,
            "memory": work.bytes_moved / self.copy / seconds,
            "launch": work.operators * self.launch / seconds,
        }


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call; on a GPU between two events, so that the host's wait is not in it."""
    clock = Clock(device)
    function()
    clock.stop()
    return clock.read()


@torch.inference_mode()
def measure_ceiling(device: torch.device, dtype: torch.dtype = torch.float32) -> Ceiling:
    """Measure ``device`` with matrices and maps of ``dtype``. Some seconds on a CPU."""
    large = device.type == "cuda"
    side, pictures, copied = (8192, 64, 2**28) if large else (2048, 4, 2**25)  # elements copied: 1 GiB, 128 MiB
    launches = 1000

    def best(function: Callable[[], object]) -> float:
        function()
        return min(seconds_of(function, device) for _ in range(ROUNDS))

    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    matmul = 2 * side**3 / min(best(lambda: a @ b), best(lambda: linear(a, b)))
    maps = torch.randn(pictures, 256, 56, 56, device=device).to(dtype).to(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 3, 3, device=device).to(dtype).to(memory_format=torch.channels_last)
    convolution = 2 * 9 * 256**2 * 56**2 * pictures / best(lambda: F.conv2d(maps, kernel, padding=1))
    source = torch.randn(copied, device=device)
    target = torch.empty_like(source)
    copy = 2 * source.nbytes / best(lambda: target.copy_(source))
    one = torch.zeros((), device=device)
    launch = best(lambda: [one.add_(1) for _ in range(launches)]) / launches
    return Ceiling(matmul, convolution, copy, launch)
