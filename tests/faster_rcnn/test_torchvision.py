"""Our Faster R-CNN and torchvision's, given the same weights, find the same."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import roi_pool

from lineage.backbones import build_backbone
from lineage.faster_rcnn.detector import FasterRCNN
from lineage.faster_rcnn.recipe import PAPER

CLASSES = ("cat", "dog", "cow")


class Pool(nn.Module):
    def __init__(self, size, scale):
        super().__init__()
        self.size, self.scale = size, scale

    def forward(self, features, boxes, sizes):
        return roi_pool(features["0"], boxes, self.size, self.scale)


class Predictor(nn.Module):
    """Ours has no regression row for the background; theirs has, and drops it."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, fc7):
        return self.head.cls_score(fc7), nn.functional.pad(self.head.bbox_pred(fc7), (4, 0))


def torchvisions(ours: FasterRCNN) -> TorchvisionFasterRCNN:
    """torchvision's detector made of our detector's weights."""
    recipe, net = ours.recipe, ours.backbone
    conv = nn.Sequential(*net.conv)
    conv.out_channels = net.channels
    generator = AnchorGenerator(sizes=((128, 256, 512),), aspect_ratios=((0.5, 1.0, 2.0),))
    generator.cell_anchors = [ours.rpn.base]
    head = RPNHead(net.channels, 9)
    head.conv[0][0] = ours.rpn.conv
    weight, bias = ours.rpn.cls_score.weight, ours.rpn.cls_score.bias
    head.cls_logits.weight.data = (weight[1::2] - weight[0::2]).detach()
    head.cls_logits.bias.data = (bias[1::2] - bias[0::2]).detach()
    head.bbox_pred = ours.rpn.bbox_pred
    theirs = TorchvisionFasterRCNN(
        conv, rpn_anchor_generator=generator, rpn_head=head,
        box_head=ours.head.fc, box_predictor=Predictor(ours.head),
        min_size=recipe.shorter, max_size=recipe.longer,
        image_mean=net.mean, image_std=net.std, rpn_pre_nms_top_n_test=recipe.rpn.before_nms_test,
        rpn_post_nms_top_n_test=recipe.rpn.after_nms_test, rpn_nms_thresh=recipe.rpn.nms_iou,
        box_score_thresh=recipe.score_threshold, box_nms_thresh=recipe.nms_iou,
        box_detections_per_img=recipe.max_detections, bbox_reg_weights=[1 / std for std in recipe.target_stds],
    )  # fmt: skip
    theirs.roi_heads.box_roi_pool = Pool(net.pool_size, 1 / net.stride)  # the constructor takes RoIAlign only
    theirs.rpn.min_size = recipe.rpn.min_size
    theirs.transform.size_divisible = 1
    return theirs.eval()


@torch.no_grad()
def spread_out(ours: FasterRCNN, image: torch.Tensor) -> None:
    """Random weights say nearly the same of every region: centre and scale the last layers on ``image``."""

    def spread(layer: nn.Module, std: float, outputs: Callable[[], torch.Tensor]) -> None:
        layer.weight *= std / outputs().std(dim=0).mean()
        layer.bias -= outputs().mean(dim=0)

    nn.init.normal_(ours.rpn.conv.weight, std=0.02)
    features, frame = ours.convolve(image)
    spread(ours.rpn.cls_score, 1.0, lambda: ours.rpn(features)[0].reshape(-1, 18))
    spread(ours.rpn.bbox_pred, 0.2, lambda: ours.rpn(features)[1].reshape(-1, 36))
    fc7 = ours.fc(ours.pool(features, [frame.boxes_in(ours.propose(image))]))
    spread(ours.head.cls_score, 2.0, lambda: ours.head.cls_score(fc7))
    spread(ours.head.bbox_pred, 1.0, lambda: ours.head.bbox_pred(fc7))


@pytest.mark.parametrize(("backbone", "size"), [("vgg16", (150, 200)), ("vgg16", (200, 150)), ("tiny", (220, 300))])
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
        (peers,) = torchvisions(ours)([image])
    assert len(mine["boxes"]) > 10
    assert set(mine["labels"].tolist()) == {1, 2, 3}
    assert mine["labels"].tolist() == peers["labels"].tolist()
    torch.testing.assert_close(mine["scores"], peers["scores"], rtol=0, atol=1e-4)
    torch.testing.assert_close(mine["boxes"], peers["boxes"], rtol=0, atol=1e-4)
