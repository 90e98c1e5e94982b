"""Devices by name."""

from __future__ import annotations

import pytest
import torch

from lineage.experiments.options import pick_device


@pytest.fixture
def machine(monkeypatch):
    """A machine with so many GPUs of NVIDIA's, and perhaps one of Apple's."""

    def has(gpus: int, apple: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)

    return has


@pytest.mark.parametrize(
    ("gpus", "apple", "name", "expected"),
    [
        (0, False, "auto", "cpu"), (0, True, "auto", "cpu"), (2, False, "auto", "cuda"), (2, False, "cpu", "cpu"),
        (1, False, "cuda", "cuda"), (2, False, "cuda:1", "cuda:1"), (1, False, "cuda:0", "cuda:0"),
        (0, True, "mps", "mps"),
    ],
)  # fmt: skip
def test_a_device_that_is_there(machine, gpus, apple, name, expected):
    machine(gpus, apple)
    assert pick_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("gpus", "name", "message"),
    [
        (0, "cuda", "--device: cuda was asked for, but torch finds no GPU"),
        (0, "cuda:0", "--device: cuda:0 was asked for, but torch finds no GPU"),
        (2, "cuda:2", "--device: cuda:2 was asked for, but of 2 GPUs the last is cuda:1"),
        (0, "mps", "--device: mps was asked for, but torch finds no Apple GPU"),
        *((1, wrong, f"--device: '{wrong}' is none of auto, cpu, cuda, cuda:0, cuda:1") for wrong in
          ("gpu", "", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "mps:0", "CUDA")),
    ],
)  # fmt: skip
def test_a_device_that_is_not_there_is_one_sentence(machine, gpus, name, message):
    machine(gpus)
    with pytest.raises(ValueError, match=message):
        pick_device(name)
