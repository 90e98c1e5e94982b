"""Our Faster R-CNN and torchvision's, given the same weights, find the same."""

from dataclasses import replace

import pytest
import torch

from lineage.backbones import build_backbone
from lineage.bench.torchvision_peer import spread_out, torchvision_faster_rcnn
from lineage.faster_rcnn.detector import FasterRCNN
from lineage.faster_rcnn.recipe import PAPER

CLASSES = ("cat", "dog", "cow")


@pytest.mark.parametrize(
    ("backbone", "size"), [("vgg16", (150, 200)), ("vgg16", (200, 150)), ("tiny", (220, 300)), ("resnet18", (150, 210))]
)
def test_the_same_weights_give_the_same_detections(backbone, size):
    # The smallest sizes that torchvision drops are a matter of rounding; with 1e-3 both keep every proposal.
    recipe = replace(PAPER, shorter=160, longer=400, rpn=replace(PAPER.rpn, min_size=1e-3))
    torch.manual_seed(0)
    # In float64, so that what differs is not rounding but a rule.
    ours = FasterRCNN(build_backbone(backbone), CLASSES, recipe).double().eval()
    image = torch.rand(3, *size, dtype=torch.float64)
    spread_out(ours, image)
    (mine,) = ours([image])
    with torch.inference_mode():
        (peers,) = torchvision_faster_rcnn(ours)([image])
    assert len(mine["boxes"]) > 10
    assert set(mine["labels"].tolist()) == {1, 2, 3}
    assert mine["labels"].tolist() == peers["labels"].tolist()
    torch.testing.assert_close(mine["scores"], peers["scores"], rtol=0, atol=1e-4)
    torch.testing.assert_close(mine["boxes"], peers["boxes"], rtol=0, atol=1e-4)
