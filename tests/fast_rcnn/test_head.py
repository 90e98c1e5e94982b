"""Classes and offsets of a region: what the two siblings read."""

import pytest
import torch

from lineage.backbones import build_backbone
from lineage.fast_rcnn.head import Head


def head_of(name):
    backbone = build_backbone(name, seed=0).eval()
    shape = (6, backbone.channels, backbone.pool_size, backbone.pool_size)
    pooled = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return Head(backbone, 3, class_std=0.1, offset_std=0.1).eval(), backbone, pooled


@pytest.mark.parametrize("name", ["tiny", "alexnet", "resnet18", "efficientnet_lite0"])
@torch.inference_mode()
def test_classes_are_read_from_what_the_network_was_pretrained_to_give(name):
    head, backbone, pooled = head_of(name)
    fc7 = head.fc(pooled)
    torch.testing.assert_close(head.scores(fc7), head.cls_score(backbone.fc(pooled)))
    assert head.scores(fc7).shape == (6, 4) and head.offsets(fc7).shape == (6, 3, 4)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
@torch.inference_mode()
def test_offsets_tell_left_from_right_where_the_network_ends_in_an_average(name):
    """Who only has the average cannot: that of a map and of its mirror image are the same."""
    head, _, pooled = head_of(name)
    fc7 = head.fc(pooled)
    torch.testing.assert_close(head.scores(fc7), head.scores(fc7.flip(3)))
    offsets, mirrored = head.offsets(fc7), head.offsets(fc7.flip(3))
    assert (offsets - mirrored).abs().max() > 0.05 * offsets.abs().max()
