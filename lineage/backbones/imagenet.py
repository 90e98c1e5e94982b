"""AlexNet, VGG16, ResNet-18 and ResNet-50, cut from torchvision's models so that torchvision's weights fit by name."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn

from lineage.backbones.backbone import Backbone, fold_batch_norm

State = dict[str, Tensor]


def alexnet(state: State | None = None) -> Backbone:
    """Krizhevsky 2012 as in torchvision; stride 16, pool5 6 x 6, fc7 4096. R-CNN's and SPP-net's first network."""
    model = torchvision.models.alexnet(weights=None)
    if state is not None:
        model.load_state_dict(state)
    fc = nn.Sequential(nn.Flatten(), *model.classifier[:6])
    return Backbone(
        "alexnet", model.features[:12], fc, stride=16, offset=15.5, channels=256, pool_size=6, features=4096,
        crop_size=227,
    )  # fmt: skip


def vgg16(state: State | None = None) -> Backbone:
    """Simonyan 2014; stride 16, pool5 7 x 7, fc7 4096; conv1_1..conv2_2 stay frozen (Fast R-CNN section 4.5)."""
    model = torchvision.models.vgg16(weights=None, init_weights=state is None)
    if state is not None:
        model.load_state_dict(state)
    fc = nn.Sequential(nn.Flatten(), *model.classifier[:6])
    return Backbone(
        "vgg16", model.features[:30], fc, stride=16, offset=8.0, channels=512, pool_size=7, features=4096,
        crop_size=224, frozen=10,
    )  # fmt: skip


def resnet18(state: State | None = None) -> Backbone:
    """He 2015; conv part up to layer3 (stride 16), "fc" part layer4 and the average: ResNet paper, appendix A."""
    return _resnet("resnet18", state, channels=256, features=512)


def resnet50(state: State | None = None) -> Backbone:
    """The same with bottlenecks; torchvision's strides in their 3 x 3 convolutions ("v1.5")."""
    return _resnet("resnet50", state, channels=1024, features=2048)


def _resnet(name: str, state: State | None, *, channels: int, features: int) -> Backbone:
    model: torchvision.models.ResNet = torchvision.models.get_model(name, weights=None)
    if state is not None:
        model.load_state_dict(state)
    fold_batch_norm(model)
    conv = nn.Sequential(
        model.conv1, model.relu, model.maxpool, model.layer1, model.layer2, model.layer3
    )  # (B, channels, H/16, W/16)
    fc = nn.Sequential(model.layer4, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Backbone(
        name, conv, fc, stride=16, offset=0.5, channels=channels, pool_size=14, features=features, crop_size=224,
        frozen=4,
    )  # fmt: skip
