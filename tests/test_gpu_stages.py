"""The stages on a simulated GPU: tensors that have a device and a shape, but no numbers.

What needs a number - ``item()``, ``nonzero``, a copy between host and device - makes a real GPU's host wait for all
that it has asked for so far. Only the stages whose number of boxes depends on the scores may do that.
"""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lineage.backbones import build_backbone
from lineage.common.constants import _kept
from lineage.common.image import normalise
from lineage.experiments.generations import GENERATIONS, build_detector, named_recipe


class NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        devices = {t.device.type for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)}
        assert len(devices) < 2, f"{func} moves between host and device"
        return result


def to_simulated_gpu(module):
    def moved(tensor):
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")

    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(moved(parameter))
        for name, buffer in part._buffers.items():
            part._buffers[name] = moved(buffer)


@pytest.fixture
def gpu():
    _kept.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        try:
            torch.empty(1, device="cuda").new_tensor([1.0])
        except RuntimeError:
            pytest.skip("this torch simulates a GPU only where there is one")
        yield mode
    _kept.cache_clear()


def stages(detector, image, proposals):
    """All but the last, NMS; returns what that gets."""
    if detector.generation == "rcnn":
        crops = detector.warp(normalise(image, detector.backbone.mean, detector.backbone.std), proposals)
        pool5, fc7 = detector.cnn(crops)
        return detector.refine(pool5, proposals, image), detector.classify(fc7)
    features, frame = detector.convolve(image)
    if detector.generation == "sppnet":
        pooled = detector.pool(features, frame, proposals)
        return detector.refine(pooled, proposals, image), detector.classify(detector.fc(pooled))
    fc7 = detector.fc(detector.pool(features, [frame.boxes_in(proposals)]))
    return detector.refine(fc7, proposals, image), detector.classify(fc7)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_no_stage_before_nms_makes_the_host_wait(generation, gpu):
    with gpu, torch.inference_mode():
        image, proposals = torch.rand(3, 96, 128, device="cuda"), torch.rand(300, 4, device="cuda")
    with torch.inference_mode():
        detector = build_real(generation, gpu)
        stages(detector, image, proposals)  # constants are sent once
        with NoWaiting():
            boxes, scores = stages(detector, image, proposals)
        assert (boxes.device.type, scores.device.type) == ("cuda", "cuda")
        assert (boxes.shape, scores.shape) == ((300, 2, 4), (300, 2))
        with pytest.raises(DynamicOutputShapeException):
            detector.suppress(boxes, scores)


def build_real(generation, gpu):
    """A detector of real weights, whose places a simulated GPU's take."""
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        detector = build_detector(generation, build_backbone("tiny"), ("a", "b"), named_recipe(generation, "quick"))
    with gpu:
        to_simulated_gpu(detector)
    return detector


def test_the_rpn_scores_every_anchor_without_waiting(gpu):
    with torch.inference_mode():
        detector = build_real("faster_rcnn", gpu)
        features, _ = detector.convolve(torch.rand(3, 96, 128, device="cuda"))
        with NoWaiting():
            scores, offsets = detector.rpn(features)
            anchors = detector.rpn.anchors(features)
        assert scores.shape[1] == offsets.shape[1] == len(anchors) == 12 * 16 * 9
        assert anchors.device.type == "cuda"


def test_a_wait_would_be_noticed(gpu):
    x = torch.rand(3, device="cuda")
    with NoWaiting(), pytest.raises(AssertionError, match="moves between host and device"):
        x.new_tensor([1.0, 2.0])
    with NoWaiting(), pytest.raises(DynamicOutputShapeException):
        torch.where(x > 0)
