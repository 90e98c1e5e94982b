from dataclasses import replace

import pytest
import torch

from lineage.backbones import build_backbone
from lineage.common.boxes import box_iou
from lineage.sppnet.detector import SPPNet
from lineage.sppnet.head import PyramidHead
from lineage.sppnet.recipe import PAPER, QUICK
from lineage.sppnet.train import finetune_fc, train


def pyramid(backbone, levels, count=3, coarse_scale=10.0):
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(count, backbone.channels, n, n, generator=generator) for n in levels]
    return [maps[0], *(coarse_scale * m for m in maps[1:])]


@pytest.mark.parametrize("name", ["tiny", "resnet18", "efficientnet_lite0"])
def test_the_head_starts_as_the_pre_trained_fc_part_whatever_the_coarse_levels(name):
    """tiny's first layer is widened; the convolutional two get the coarser levels beside them."""
    backbone = build_backbone(name).eval()
    levels = (backbone.pool_size, 2, 1)
    head = PyramidHead(backbone, levels).eval()
    assert head.widened is (name == "tiny")
    pooled = pyramid(backbone, levels)
    with torch.inference_mode():
        expected = backbone.fc(pooled[0])
        torch.testing.assert_close(head(pooled), expected, rtol=1e-4, atol=1e-5)
        assert head(pooled).shape == (3, backbone.features)


@pytest.mark.parametrize("name", ["tiny", "efficientnet_lite0"])
def test_the_coarse_levels_take_part_in_training(name):
    backbone = build_backbone(name).eval()
    head = PyramidHead(backbone, (backbone.pool_size, 2, 1)).eval()
    pooled = pyramid(backbone, (backbone.pool_size, 2, 1))
    head(pooled).sum().backward()
    if head.widened:
        fine = backbone.channels * backbone.pool_size**2
        assert head.fc[0].weight.grad[:, fine:].abs().sum() > 0
    else:
        assert head.coarse.weight.grad.abs().sum() > 0


def test_widening_leaves_the_backbones_own_layer_alone():
    backbone = build_backbone("tiny")
    before = backbone.fc[1].weight.clone()
    head = PyramidHead(backbone, (4, 2, 1))
    with torch.no_grad():
        head.fc[0].weight.add_(1)
    assert torch.equal(backbone.fc[1].weight, before)


@pytest.mark.parametrize(
    ("name", "recipe", "levels"),
    [("tiny", QUICK, (4, 2, 1)), ("efficientnet_lite0", QUICK, (7, 4, 2, 1)), ("zf", PAPER, (6, 3, 2, 1)),
     ("vgg16", PAPER, (7, 3, 2, 1))],
)  # fmt: skip
def test_the_pyramid_begins_with_the_backbones_own_pooling(name, recipe, levels):
    with torch.device("meta"):
        assert SPPNet(build_backbone(name), ("a",), recipe).levels == levels


def test_a_finest_level_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"pyramid \(3, 2, 1\).*tiny's pool size, 4"):
        PyramidHead(build_backbone("tiny"), (3, 2, 1))


class Pictures:
    classes = ("a", "b")

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.items = []
        for i in range(3):
            image = 0.3 * torch.rand(3, 96, 128, generator=generator)
            boxes = torch.tensor([[10.0, 20, 50, 70], [70, 20, 120, 60]]) + i
            for channel, (x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
                image[channel, y1:y2, x1:x2] = 1
            target = {"boxes": boxes, "labels": torch.tensor([1, 2]), "difficult": torch.tensor([False, False])}
            self.items.append((image, target))
        self.proposals = []
        for _, target in self.items:
            near = target["boxes"].repeat(8, 1) + 4 * torch.randn(16, 4, generator=generator)
            corners = torch.rand(30, 2, generator=generator) * torch.tensor([90.0, 60.0])
            self.proposals.append(torch.cat([near, torch.cat([corners, corners + 25], dim=1)]))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]

    def target(self, index):
        return self.items[index][1]


def small_recipe(**changes):
    solver = replace(QUICK.finetune, steps=12, images_per_step=2)
    return replace(QUICK, finetune=solver, regions_per_image=32, **changes)


def test_training_leaves_the_convolutions_bit_identical_and_changes_the_head(tmp_path):
    dataset = Pictures()
    detector = SPPNet(build_backbone("tiny"), dataset.classes, small_recipe())
    conv = {n: t.clone() for n, t in detector.backbone.conv.state_dict().items()}
    head = {n: t.clone() for n, t in detector.head.state_dict().items()}
    report = train(detector, dataset, dataset.proposals, seed=0, work_dir=tmp_path)
    assert all(torch.equal(t, conv[n]) for n, t in detector.backbone.conv.state_dict().items())
    assert not any(torch.equal(t, head[n]) for n, t in detector.head.state_dict().items())
    assert report.curves["softmax"][-1] < 1.1
    assert report.cache_bytes > 0
    assert report.pictures == 24
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["features", "finetuned.safetensors"], "until the detector is safe; the state of the steps is not"
    found = detector([dataset[0][0]], [dataset.proposals[0]])[0]
    for label in (1, 2):  # each class's best detection lies on its object
        best = found["boxes"][found["labels"] == label][:1]
        assert box_iou(best, dataset[0][1]["boxes"])[0, label - 1] > 0.5


def test_the_gradient_stops_at_the_pyramid(tmp_path):
    dataset = Pictures()
    detector = SPPNet(build_backbone("tiny"), dataset.classes, small_recipe())
    assert not any(p.requires_grad for p in detector.backbone.parameters())
    finetune_fc(detector, dataset, dataset.proposals, 0, tmp_path / "s.safetensors")
    assert all(p.grad is None for p in detector.backbone.conv.parameters())
    assert all(p.grad is not None for p in detector.head.parameters())


def test_maps_kept_in_memory_or_not_teach_the_same(tmp_path, monkeypatch):
    dataset, calls = Pictures(), []
    one_map = 96 * 12 * 16 * 2  # bytes of tiny's
    for room in (0, 2 * one_map, 2**28):
        monkeypatch.setattr("lineage.common.kept_maps.ROOM", room)
        torch.manual_seed(0)
        detector = SPPNet(build_backbone("tiny", seed=0), dataset.classes, small_recipe())
        convolutions = []
        detector.backbone.conv.register_forward_hook(lambda *_, seen=convolutions: seen.append(1))
        curves = finetune_fc(detector, dataset, dataset.proposals, 0, tmp_path / "s.safetensors").curves
        calls.append((len(convolutions), curves, detector.head.fc[0].weight))
    counts = [count for count, _, _ in calls]
    assert counts == [24, 2 + 8, 3]  # 24 pictures seen, eight times each of the three
    for _, curves, weight in calls[1:]:
        assert curves == calls[0][1]
        assert torch.equal(weight, calls[0][2])


def test_each_window_is_pooled_from_the_scale_that_suits_it():
    """Two scales: a window's features must be those of a detector that has its scale only."""
    image = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(1))
    windows = torch.tensor([[10.0, 10, 26, 26], [0, 0, 90, 90]])  # of 16 and 90 px, view 64

    def pooled(scales):
        detector = SPPNet(build_backbone("tiny"), ("a",), replace(QUICK, scales=scales, view=64)).eval()
        with torch.inference_mode():
            return detector.pool(*detector.convolve(image), windows)

    both, small, large = pooled((96, 192)), pooled((96,)), pooled((192,))
    for level, one, two in zip(both, small, large):
        assert torch.equal(level[0], two[0]) and torch.equal(level[1], one[1])
        assert not torch.equal(one, two)


def test_no_proposals_give_no_detections():
    detector = SPPNet(build_backbone("tiny"), ("a", "b"), QUICK).eval()
    found = detector([torch.rand(3, 64, 64)], [torch.zeros(0, 4)])[0]
    assert found["boxes"].shape == (0, 4)
    assert len(found["scores"]) == len(found["labels"]) == 0
