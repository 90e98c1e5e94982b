import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lineage.common.linear import Linear, linear, onednn_is_quicker, use_our_linear


@pytest.fixture(autouse=True)
def _small_ones_too_on_any_machine(monkeypatch):
    monkeypatch.setattr("lineage.common.linear.WORTH_IT", 0)
    monkeypatch.setattr("lineage.common.linear.onednn_is_quicker", lambda: True)


@pytest.mark.parametrize(("torchs", "onednns", "expected"), [(2.0, 1.0, True), (1.3, 1.0, False), (1.0, 2.0, False)])
def test_the_quicker_library_is_chosen_and_noise_chooses_none(monkeypatch, torchs, onednns, expected):
    clock = itertools.accumulate(itertools.cycle((0.0, torchs, 0.0, onednns)))
    monkeypatch.setattr("lineage.common.linear.time.perf_counter", lambda: next(clock))
    assert onednn_is_quicker.__wrapped__() is expected


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 300])
@pytest.mark.parametrize("with_bias", [False, True])
def test_it_is_torchs_product(rows, with_bias):
    x, weight = torch.randn(rows, 130), torch.randn(17, 130)
    bias = torch.randn(17) if with_bias else None
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), rtol=1e-5, atol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), rtol=1e-5, atol=1e-4)


def test_gradients_are_torchs():
    results = []
    for function in (F.linear, linear):
        generator = torch.Generator().manual_seed(0)
        x, weight, bias = (torch.randn(shape, generator=generator).requires_grad_() for shape in ((9, 33), (5, 33), 5))
        (function(x, weight, bias) ** 2).sum().backward()
        results.append((x.grad, weight.grad, bias.grad))
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype):
    x, weight = torch.randn(3, 8, dtype=dtype), torch.randn(4, 8, dtype=dtype)
    assert torch.equal(linear(x, weight), F.linear(x, weight))


def test_layers_are_replaced_with_their_parameters_and_names():
    fc = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False)))
    before = fc.state_dict()
    weights = [fc[1].weight, fc[2][1].weight]
    x = torch.randn(5, 6)
    expected = fc(x)
    use_our_linear(fc)
    assert [type(fc[1]), type(fc[2][1])] == [Linear, Linear]
    assert fc[1].weight is weights[0]
    assert fc[2][1].weight is weights[1]
    assert list(fc.state_dict()) == list(before)
    torch.testing.assert_close(fc(x), expected)


def test_its_flops_are_counted():
    layer, x = Linear(8, 4), torch.randn(3, 8, requires_grad=True)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        layer(x.detach())
    assert counter.get_total_flops() == 2 * 3 * 8 * 4
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 3 * 8 * 4


def test_what_does_not_learn_gets_no_gradient():
    x, layer = torch.randn(3, 8, requires_grad=True), Linear(8, 4)
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert x.grad is not None and layer.bias.grad is not None and layer.weight.grad is None
    layer.weight.requires_grad_(True)
    with FlopCounterMode(display=False) as counter:
        layer(x.detach()).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * 3 * 8 * 4


def test_the_operators_keep_torchs_rules():
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=generator).requires_grad_() for shape in ((9, 33), (5, 33), 5))
    torch.library.opcheck(torch.ops.lineage.linear, (x, weight, bias))
    torch.library.opcheck(torch.ops.lineage.linear, (x, weight, None))


def test_it_compiles_into_one_graph():
    layer = Linear(8, 4)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    x = torch.randn(3, 8)
    torch.testing.assert_close(compiled(x), layer(x))


def test_a_small_product_is_left_to_torch(monkeypatch):
    monkeypatch.setattr("lineage.common.linear.WORTH_IT", 3 * 8 * 4 + 1)
    monkeypatch.setattr(torch.ops.lineage, "linear", None)
    x, weight = torch.randn(3, 8), torch.randn(4, 8)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
