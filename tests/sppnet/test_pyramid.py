import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lineage.sppnet.pyramid import spatial_pyramid_pool, spatial_pyramid_pool_reference


@st.composite
def windows(draw):
    """A feature map of distinct values, negative ones too, and inclusive windows on it."""
    rows, columns = draw(st.integers(1, 15)), draw(st.integers(1, 15))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    features = torch.randn(1, 3, rows, columns, generator=generator)
    count = draw(st.integers(0, 6))
    x = torch.randint(columns, (count, 2), generator=generator).sort(dim=1).values
    y = torch.randint(rows, (count, 2), generator=generator).sort(dim=1).values
    return features, torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)


@given(windows(), st.sampled_from([(1,), (4, 2, 1), (6, 3, 2, 1), (7, 3, 2, 1)]))
def test_the_pyramid_equals_its_definition_exactly(case, levels):
    features, cells = case
    ours, expected = (pool(features, cells, levels) for pool in (spatial_pyramid_pool, spatial_pyramid_pool_reference))
    assert len(ours) == len(expected) == len(levels)
    for one, other in zip(ours, expected):
        assert torch.equal(one, other)


@given(windows())
def test_a_channels_last_map_is_pooled_as_any_other(case):
    features, cells = case
    last = features.contiguous(memory_format=torch.channels_last)
    for one, other in zip(spatial_pyramid_pool(last, cells, (3, 1)), spatial_pyramid_pool(features, cells, (3, 1))):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("levels", "bins"), [((4, 2, 1), 21), ((6, 3, 2, 1), 50)])
def test_the_vector_is_of_one_length_whatever_the_window(levels, bins):
    features = torch.rand(1, 5, 9, 13)
    for cells in ([[0, 0, 12, 8]], [[4, 4, 4, 4]], [[2, 1, 3, 7]]):
        pooled = spatial_pyramid_pool(features, torch.tensor(cells), levels)
        assert torch.cat([level.flatten(1) for level in pooled], dim=1).shape == (1, 5 * bins)


def test_the_coarsest_level_is_the_windows_maximum_and_the_finest_its_cells():
    features = torch.randn(1, 2, 8, 8)
    fine, coarse = spatial_pyramid_pool(features, torch.tensor([[1, 2, 4, 5]]), (4, 1))
    assert torch.equal(fine[0], features[0, :, 2:6, 1:5])
    assert torch.equal(coarse[0, :, 0, 0], features[0, :, 2:6, 1:5].amax(dim=(1, 2)))
