import pytest
import torch

from lineage.common.constants import _kept, constant


def test_it_is_like_the_tensor_it_goes_with():
    values = constant((1.0, 2.0), torch.zeros(1, dtype=torch.float64))
    assert values.dtype == torch.float64
    assert values.tolist() == [1.0, 2.0]


def test_another_device_gets_its_numbers_once():
    meta = torch.zeros(1, device="meta")
    _kept.cache_clear()
    assert constant((3.0,), meta) is constant((3.0,), meta)
    assert constant((3.0,), meta) is not constant((4.0,), meta)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_number_first_used_in_inference_can_be_used_in_training(mode):
    _kept.cache_clear()
    like = torch.zeros(1, device="meta")
    with mode():
        constant((5.0,), like)
    weight = torch.ones(1, device="meta", requires_grad=True)
    (weight * constant((5.0,), like)).backward()
    assert weight.grad is not None
