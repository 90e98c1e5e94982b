import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from lineage.common.max_pool import max_pool_pyramid, max_pool_windows


def random_windows(generator, count, pictures, size):
    corners = torch.rand(count, 2, generator=generator) * size
    boxes = torch.cat([corners, corners + torch.rand(count, 2, generator=generator) * size / 2], dim=1)
    return torch.cat([torch.randint(0, pictures, (count, 1), generator=generator).float(), boxes], dim=1)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([1.0, 0.37, 1 / 16]))
def test_the_value_and_the_gradient_are_torchvisions(seed, channels_last, scale):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 5, 13, 17, generator=generator)
    windows = random_windows(generator, 20, 3, 15 / scale)
    windows[:, 1:] = windows[:, 1:].round(decimals=1)
    ours = features.clone(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    ).requires_grad_()
    theirs = features.clone().requires_grad_()
    pooled, expected = (
        max_pool_windows(ours, windows, (7, 3), scale),
        torchvision.ops.roi_pool(theirs, windows, (7, 3), scale),
    )
    assert torch.equal(pooled, expected)
    weight = torch.randn(pooled.shape, generator=generator)
    (pooled * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_with_and_without_a_gradient_to_follow_the_values_are_the_same():
    generator = torch.Generator().manual_seed(0)
    features, windows = torch.randn(2, 4, 9, 9, generator=generator), random_windows(generator, 30, 2, 9)
    with torch.inference_mode():
        plain = max_pool_windows(features, windows, (3, 3))
    assert torch.equal(max_pool_windows(features.requires_grad_(), windows, (3, 3)), plain)
    assert plain.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_type_and_its_gradient(dtype):
    features = torch.randn(1, 3, 8, 8, dtype=dtype, requires_grad=True)
    windows = torch.tensor([[0.0, 1, 1, 6, 5]])
    pooled = max_pool_windows(features, windows, (2, 2))
    assert pooled.dtype == dtype
    assert torch.equal(pooled.float(), torchvision.ops.roi_pool(features.detach().float(), windows, (2, 2)))
    pooled.sum().backward()
    assert features.grad.dtype == dtype
    assert features.grad.sum() == 12


def test_no_windows_give_an_empty_result_and_no_gradient():
    features = torch.randn(1, 3, 8, 8, requires_grad=True)
    pooled = max_pool_windows(features, torch.zeros(0, 5), (2, 2))
    assert pooled.shape == (0, 3, 2, 2)
    pooled.sum().backward()
    assert features.grad.abs().sum() == 0


def test_the_second_picture_gets_its_own_gradient():
    features = torch.zeros(2, 1, 4, 4, requires_grad=True)
    max_pool_windows(features, torch.tensor([[1.0, 2, 3, 2, 3]]), (1, 1)).sum().backward()
    expected = torch.zeros(2, 1, 4, 4)
    expected[1, 0, 3, 2] = 1
    assert torch.equal(features.grad, expected)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(4, 2, 1), (6, 3, 2, 1), (7, 3, 2, 1), (1, 2, 4)]))
def test_a_pyramid_is_its_levels_pooled_one_by_one_whether_it_learns_or_not(seed, levels):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 5, 13, 17, generator=generator)
    windows = random_windows(generator, 37, 2, 8).round()  # on the map
    expected = [max_pool_windows(features, windows, (level, level)) for level in levels]
    for maps in (features, features.clone().requires_grad_()):
        pooled = max_pool_pyramid(maps, windows, levels)
        assert [one.shape for one in pooled] == [one.shape for one in expected]
        assert all(torch.equal(one, other) for one, other in zip(pooled, expected))
    sum(one.sum() for one in pooled).backward()
    assert maps.grad.sum() == 37 * 5 * sum(level**2 for level in levels)
