"""Pictures and proposals for the gradient procedures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lineage.common.sampling import seeded_generator
from lineage.data.shapes import ensure_shapes
from lineage.data.voc import VOCDataset


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> VOCDataset:
    """Six drawn ones."""
    return VOCDataset(ensure_shapes(tmp_path_factory.mktemp("shapes"), trainval=6, test=1), "trainval")


@pytest.fixture(scope="session")
def proposals(pictures: VOCDataset) -> list[Tensor]:
    """Boxes near each object, and boxes anywhere."""
    found = []
    for index in range(len(pictures)):
        image, target = pictures[index]
        limits = torch.tensor(image.shape[1:]).flip(0).repeat(2).float()
        generator = seeded_generator(7, index)
        near = target["boxes"].repeat(12, 1)
        near = near + torch.randn(near.shape, generator=generator) * 6
        corners = torch.rand(60, 2, generator=generator) * (limits[:2] - 60)
        anywhere = torch.cat([corners, corners + 20 + torch.rand(60, 2, generator=generator) * 40], dim=1)
        found.append(torch.cat([near, anywhere]).clamp(min=0).minimum(limits))
    return found


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Here; a worker has one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)
