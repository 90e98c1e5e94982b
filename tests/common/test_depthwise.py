import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.common import depthwise
from lineage.common.depthwise import depthwise_relu6, weight_gradient


def gradients(function, shape, kernel, stride, padding, relu6_first, *, channels_last=True, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = (2 * torch.randn(shape, generator=generator)).to(dtype)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    weight = torch.randn(shape[1], 1, kernel, kernel, generator=generator)
    bias = torch.randn(shape[1], generator=generator)
    leaves = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    output = function(*leaves, stride, padding, relu6_first=relu6_first)
    given_back = torch.randn(output.shape, generator=generator).to(output.dtype)
    return output.detach(), torch.autograd.grad(output, leaves, given_back)


def torchs(x, weight, bias, stride, padding, relu6_first):
    x = F.relu6(x.to(weight.dtype)) if relu6_first else x.to(weight.dtype)
    return F.relu6(F.conv2d(x, weight, bias, stride, padding, 1, len(weight)))


@settings(max_examples=60, deadline=None)
@given(
    pictures=st.integers(1, 3), channels=st.sampled_from([1, 2, 31, 128, 129, 300]), height=st.integers(1, 9),
    width=st.integers(1, 11), kernel=st.sampled_from([1, 3, 5]), stride=st.integers(1, 3),
    padding=st.integers(0, 3), relu6_first=st.booleans(), channels_last=st.booleans(),
)  # fmt: skip
def test_it_is_torchs_convolution(
    pictures, channels, height, width, kernel, stride, padding, relu6_first, channels_last
):  # fmt: skip
    if min(height, width) + 2 * padding < kernel:
        return  # no output
    settled = (pictures, channels, height, width), kernel, stride, padding, relu6_first
    ours = gradients(depthwise_relu6, *settled, channels_last=channels_last)
    theirs = gradients(torchs, *settled, channels_last=channels_last)
    for our, their in zip((ours[0], *ours[1]), (theirs[0], *theirs[1])):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-4)


def test_in_mixed_precision_only_what_enters_and_leaves_is_bfloat16():
    settled = (2, 40, 9, 7), 5, 1, 2, True
    output, (of_x, of_weight, of_bias) = gradients(depthwise_relu6, *settled, dtype=torch.bfloat16)
    assert output.dtype == of_x.dtype == torch.bfloat16
    assert of_weight.dtype == of_bias.dtype == torch.float32
    wanted, gradients_wanted = gradients(torchs, *settled, dtype=torch.bfloat16)
    torch.testing.assert_close(output, wanted.bfloat16())
    for our, their in zip((of_x, of_weight, of_bias), gradients_wanted):
        assert (our - their).norm() < 0.02 * their.norm()  # where the output rounds to 6, nothing comes back


def test_gradients_lie_in_memory_as_their_maps_do():
    x = torch.randn(2, 8, 6, 5).to(memory_format=torch.channels_last).requires_grad_()
    output = depthwise_relu6(x, torch.randn(8, 1, 3, 3), torch.zeros(8), 1, 1)
    (of_x,) = torch.autograd.grad(output, x, torch.randn(2, 8, 6, 5))  # that comes back in the default layout
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert of_x.is_contiguous(memory_format=torch.channels_last)


def test_the_gradient_is_the_slope():
    x, back = torch.rand(1, 3, 6, 5), torch.randn(1, 3, 3, 3)
    weight, bias = (0.1 * torch.rand(3, 1, 3, 3)).requires_grad_(), torch.ones(3)  # nothing reaches 0 or 6
    (slope,) = torch.autograd.grad((depthwise_relu6(x, weight, bias, 2, 1) * back).sum(), weight)
    with torch.no_grad():
        moved = weight.clone()
        moved[1, 0, 2, 0] += 1.0  # the sum is linear in the weights: a whole step is exact
        step = (torchs(x, moved, bias, 2, 1, True) - torchs(x, weight, bias, 2, 1, True)) * back
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
