from dataclasses import replace

import torch
from torch import nn

from lineage.backbones import build_backbone
from lineage.backbones.pretrain import SOLVER, pretrain


def striped_crops(count=80):
    """Class 0: horizontal stripes, class 1: vertical ones; a mirror image keeps either."""
    generator = torch.Generator().manual_seed(0)
    stripes = torch.arange(64).div(8, rounding_mode="floor") % 2 * 200
    labels = torch.randint(2, (count,), generator=generator)
    crops = torch.stack([stripes.expand(64, 64).T if label == 0 else stripes.expand(64, 64) for label in labels])
    noise = torch.randint(50, (count, 3, 64, 64), generator=generator)
    return (crops[:, None] + noise).to(torch.uint8), labels


def test_pretraining_learns_and_leaves_plain_convolutions():
    crops, labels = striped_crops()
    backbone = build_backbone("tiny")
    kinds = [type(layer) for layer in backbone.conv]
    before, pixels = [p.clone() for p in backbone.parameters()], crops.clone()
    accuracy = pretrain(backbone, crops, labels, seed=0, solver=replace(SOLVER, steps=10, images_per_step=8, warmup=2))
    assert accuracy >= 0.9
    assert [type(layer) for layer in backbone.conv] == kinds  # batch normalisation is folded away
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.Identity) for layer in backbone.modules())
    assert [p.shape for p in backbone.parameters()] == [p.shape for p in before]
    assert not any(torch.equal(p, b) for p, b in zip(backbone.parameters(), before))
    assert not backbone.training
    assert torch.equal(crops, pixels)  # mirrored copies, not the crops themselves
