import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.common import depthwise
from lineage.common.depthwise import depthwise_conv2d, weight_gradient


def gradients(function, shape, kernel, stride, padding, *, channels_last=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    weight = torch.randn(shape[1], 1, kernel, kernel, generator=generator)
    bias = torch.randn(shape[1], generator=generator)
    leaves = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    output = function(*leaves, stride, padding)
    given_back = torch.randn(output.shape, generator=generator)
    return output.detach(), torch.autograd.grad(output, leaves, given_back)


def torchs(x, weight, bias, stride, padding):
    return F.conv2d(x, weight, bias, stride, padding, 1, len(weight))


@settings(max_examples=60, deadline=None)
@given(
    pictures=st.integers(1, 3), channels=st.sampled_from([1, 2, 31, 128, 129, 300]), height=st.integers(1, 9),
    width=st.integers(1, 11), kernel=st.sampled_from([1, 3, 5]), stride=st.integers(1, 3), padding=st.integers(0, 3),
    channels_last=st.booleans(),
)  # fmt: skip
def test_it_is_torchs_convolution(pictures, channels, height, width, kernel, stride, padding, channels_last):
    if min(height, width) + 2 * padding < kernel:
        return  # no output
    shape = (pictures, channels, height, width)
    ours = gradients(depthwise_conv2d, shape, kernel, stride, padding, channels_last=channels_last)
    theirs = gradients(torchs, shape, kernel, stride, padding, channels_last=channels_last)
    assert torch.equal(ours[0], theirs[0])
    for our, their in zip(ours[1], theirs[1]):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-4)


def test_the_gradient_is_the_slope():
    x = torch.randn(1, 3, 6, 5)
    weight = torch.randn(3, 1, 3, 3, requires_grad=True)
    back = torch.randn(1, 3, 3, 3)
    (slope,) = torch.autograd.grad((depthwise_conv2d(x, weight, None, 2, 1) * back).sum(), weight)
    with torch.no_grad():
        moved = weight.clone()
        moved[1, 0, 2, 0] += 1.0  # the sum is linear in the weights: a whole step is exact
        step = (depthwise_conv2d(x, moved, None, 2, 1) - depthwise_conv2d(x, weight, None, 2, 1)) * back
    assert slope[1, 0, 2, 0].item() == pytest.approx(step.sum().item(), abs=1e-4)


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(depthwise, "WORTH_THREADS", 0)
    x = torch.randn(2, 300, 9, 7).to(memory_format=torch.channels_last)
    back = torch.randn(2, 300, 9, 7).to(memory_format=torch.channels_last)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(weight_gradient(x, back, 5, 1, 2))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype):
    x = torch.randn(1, 4, 5, 5, dtype=dtype)
    weight = torch.randn(4, 1, 3, 3, dtype=dtype, requires_grad=True)
    output = depthwise_conv2d(x, weight, None, 1, 1)
    assert torch.equal(output, torchs(x, weight, None, 1, 1))
    assert "Depthwise" not in output.grad_fn.name()


def test_frozen_weights_are_left_to_torch():
    x = torch.randn(1, 4, 5, 5, requires_grad=True)
    assert "Depthwise" not in depthwise_conv2d(x, torch.randn(4, 1, 3, 3), None, 1, 1).grad_fn.name()
