"""torchvision's detector made of our detector's weights: the peer that ours is measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import roi_pool

from lineage.faster_rcnn.detector import FasterRCNN
from lineage.faster_rcnn.rpn import RPN


def torchvision_faster_rcnn(ours: FasterRCNN) -> TorchvisionFasterRCNN:
    """torchvision's Faster R-CNN with the weights, anchors, thresholds and numbers of ours, in eval mode.

    The weights are shared, not copied, but for the RPN's objectness: torchvision's has one score an anchor, ours two,
    whose difference it is.
    """
    recipe, net = ours.recipe, ours.backbone
    rpn = recipe.rpn
    conv: Any = nn.Sequential(*net.conv)
    conv.out_channels = net.channels
    count = len(ours.rpn.base)
    head: Any = RPNHead(net.channels, count).to(ours.rpn.base)
    head.conv[0][0] = ours.rpn.conv
    weight, bias = ours.rpn.cls_score.weight.detach(), ours.rpn.cls_score.bias.detach()  # type: ignore[union-attr]
    head.cls_logits.weight.data = weight[1::2] - weight[0::2]
    head.cls_logits.bias.data = bias[1::2] - bias[0::2]
    head.bbox_pred = ours.rpn.bbox_pred
    theirs = TorchvisionFasterRCNN(
        conv, rpn_anchor_generator=_Anchors(ours.rpn), rpn_head=head,
        box_head=_plain(ours.head.fc), box_predictor=_Predictor(ours.head),
        min_size=recipe.shorter or 1, max_size=recipe.longer, image_mean=net.mean, image_std=net.std,
        rpn_pre_nms_top_n_train=rpn.before_nms_train, rpn_pre_nms_top_n_test=rpn.before_nms_test,
        rpn_post_nms_top_n_train=rpn.after_nms_train, rpn_post_nms_top_n_test=rpn.after_nms_test,
        rpn_nms_thresh=rpn.nms_iou, rpn_fg_iou_thresh=rpn.foreground_iou, rpn_bg_iou_thresh=rpn.background_iou[1],
        rpn_batch_size_per_image=rpn.anchors_per_image, rpn_positive_fraction=rpn.foreground_fraction,
        box_score_thresh=recipe.score_threshold, box_nms_thresh=recipe.nms_iou,
        box_detections_per_img=recipe.max_detections, box_fg_iou_thresh=recipe.foreground_iou,
        box_bg_iou_thresh=recipe.foreground_iou, box_batch_size_per_image=recipe.rois_per_image,
        box_positive_fraction=recipe.foreground_fraction, bbox_reg_weights=[1 / std for std in recipe.target_stds],
    )  # fmt: skip
    theirs.roi_heads.box_roi_pool = _Pool(net.pool_size, 1 / net.stride)  # the constructor takes RoIAlign only
    theirs.rpn.min_size = rpn.min_size
    if recipe.shorter is None:
        theirs.transform.min_size = ()
        theirs.transform.resize = lambda image, target=None: (image, target)
    theirs.transform.size_divisible = 1
    return theirs.eval()


class _Anchors(AnchorGenerator):
    """Ours. torchvision's own are as far apart as picture // map cells, 15 pixels where 600 become 38."""

    def __init__(self, rpn: RPN) -> None:
        super().__init__(sizes=((1,) * len(rpn.base),), aspect_ratios=((1.0,),))
        self.rpn = rpn

    def forward(self, image_list: Any, feature_maps: list[Tensor]) -> list[Tensor]:
        return [self.rpn.anchors(feature_maps[0])] * len(feature_maps[0])


class _Pool(nn.Module):
    def __init__(self, size: int, scale: float) -> None:
        super().__init__()
        self.size, self.scale = size, scale

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor], sizes: object) -> Tensor:
        maps = features["0"]
        if maps.dtype == torch.bfloat16:
            maps = maps.float()  # torchvision's kernel on a CPU knows no bfloat16
        boxes = [box.to(maps.dtype) for box in boxes]
        return roi_pool(maps, boxes, self.size, self.scale)


class _Predictor(nn.Module):
    """Ours has no regression row for the background; theirs has, and drops it."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.average, self.cells = head.average, head.cells
        self.cls_score, self.bbox_pred = _plain(head.cls_score), _plain(head.bbox_pred)

    def forward(self, fc7: Tensor) -> tuple[Tensor, Tensor]:
        offsets = self.bbox_pred(fc7.flatten(1) / self.cells)
        return self.cls_score(self.average(fc7)), nn.functional.pad(offsets, (4, 0))


def _plain(module: nn.Module) -> nn.Module:
    """The same layers with torch's own Linear, as a user of torchvision has them. Parameters are shared."""
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*(_plain(child) for child in module))
    if not isinstance(module, nn.Linear):
        return module
    layer = nn.Linear(module.in_features, module.out_features, module.bias is not None, device="meta")
    layer.weight, layer.bias = module.weight, module.bias
    return layer


@torch.no_grad()
def spread_out(ours: FasterRCNN, image: Tensor) -> None:
    """Random weights say nearly the same of every region: centre and scale the last layers on ``image`` (3, H, W)."""

    def spread(layer: Any, std: float, outputs: Callable[[], Tensor]) -> None:
        layer.weight *= std / outputs().std(dim=0).mean()
        layer.bias -= outputs().mean(dim=0)

    nn.init.normal_(ours.rpn.conv.weight, std=0.02)
    features, frame = ours.convolve(image)
    anchors = len(ours.rpn.base)
    spread(ours.rpn.cls_score, 1.0, lambda: ours.rpn(features)[0].reshape(-1, 2 * anchors))
    spread(ours.rpn.bbox_pred, 0.2, lambda: ours.rpn(features)[1].reshape(-1, 4 * anchors))
    fc7 = ours.fc(ours.pool(features, [frame.boxes_in(ours.propose(image))]))
    spread(ours.head.cls_score, 2.0, lambda: ours.head.scores(fc7))
    spread(ours.head.bbox_pred, 1.0, lambda: ours.head.offsets(fc7).flatten(1))
