import torch

from lineage.common.batches import in_batches


class Layer:
    def __init__(self):
        self.sizes = []

    def __call__(self, inputs):
        self.sizes.append(len(inputs))
        return 2 * inputs


def test_a_cpu_gets_its_own_number_of_rows_at_a_time():
    layer, inputs = Layer(), torch.rand(5, 3)
    with torch.no_grad():
        assert torch.equal(in_batches(layer, inputs, cpu=2, gpu=3), 2 * inputs)
    assert layer.sizes == [2, 2, 1]


def test_a_gpu_gets_another():
    inputs = torch.rand(7, 3, device="meta")
    for gpu, sizes in ((3, [3, 3, 1]), (None, [7])):
        layer = Layer()
        with torch.no_grad():
            in_batches(layer, inputs, cpu=2, gpu=gpu)
        assert layer.sizes == sizes


def test_training_is_not_cut_up():
    layer = Layer()
    in_batches(layer, torch.rand(5, 3), cpu=2)
    assert layer.sizes == [5]
