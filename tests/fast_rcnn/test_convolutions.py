"""What does not learn is computed once a picture, and teaches the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lineage.backbones import build_backbone
from lineage.common.augment import Augmentation
from lineage.common.kept_maps import ROOM, KeptMaps
from lineage.common.sampling import seeded_generator
from lineage.fast_rcnn.convolutions import Convolutions
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.minibatch import load_batch
from lineage.fast_rcnn.recipe import QUICK


class Pictures:
    """Lying and upright ones of several sizes."""

    sizes = ((192, 256), (256, 192), (160, 288), (208, 208))

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        height, width = self.sizes[index]
        image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(index))
        boxes = torch.tensor([[4.0, 4, 30, 40]])
        return image, {"boxes": boxes, "labels": torch.tensor([1]), "difficult": torch.tensor([False])}


def detector_of(name="tiny", **changes):
    torch.manual_seed(0)
    detector = FastRCNN(build_backbone(name, seed=0), ("a", "b"), replace(QUICK, **changes)).train()
    detector.backbone.freeze_leading_layers(detector.recipe.frozen)
    return detector


def batch_of(detector, indices, seed=0):
    net = detector.backbone
    return load_batch(Pictures(), indices, seeded_generator(seed), detector.recipe, net.mean, net.std)


@pytest.mark.parametrize("name", ["tiny", "efficientnet_lite0"])
def test_every_picture_s_maps_are_those_that_the_network_computes(name):
    detector = detector_of(name)
    convolve = Convolutions(detector)
    assert convolve.fixed > 0
    for seed in range(4):  # mirrored now and then
        batch = batch_of(detector, [0, 1, 2, 3], seed)
        features, frames = convolve(batch)
        for number, (image, frame) in enumerate(zip(batch.images, frames)):
            alone, (expected,) = detector.convolve_batch([image])
            assert frame[1:] == expected[1:]
            rows, columns = alone.shape[2] // 2, alone.shape[3] // 2  # cells that see nothing of what pads the smaller
            found, wanted = (maps[..., :rows, :columns].detach() for maps in (features[number], alone[0]))
            torch.testing.assert_close(found, wanted, rtol=0.01, atol=0.005 * float(wanted.abs().max()))


def test_they_are_computed_once_and_no_number_depends_on_the_room(monkeypatch):
    found = []
    for room in (0, 300_000, 2**30):
        monkeypatch.setattr("lineage.common.kept_maps.ROOM", room)
        detector = detector_of()
        runs = []
        detector.backbone.conv[0].register_forward_hook(lambda *_, seen=runs: seen.append(1))
        convolve = Convolutions(detector)
        before = len(runs)
        outputs = [convolve(batch_of(detector, [step % 4, (step + 1) % 4], step))[0] for step in range(12)]
        sum(output.sum() for output in outputs).backward()
        gradient = detector.backbone.conv[3].weight.grad
        found.append((len(runs) - before, outputs, gradient))
    assert found[0][0] == 24 > found[1][0] > found[2][0]
    assert found[2][0] <= 8  # four pictures and their mirror images
    for _, outputs, gradient in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outputs, found[0][1]))
        assert torch.equal(gradient, found[0][2])


def test_where_it_would_be_no_gain_or_pictures_never_come_again_all_is_computed():
    assert Convolutions(detector_of(frozen=0)).fixed == 0
    assert Convolutions(detector_of("vgg16")).fixed == 0, "128 channels at stride 4 are more than the picture"
    changing = detector_of(augmentation=Augmentation(colour=0.2))
    assert batch_of(changing, [0]).names is None
    assert batch_of(detector_of(), [0]).names is not None


def test_maps_come_out_rounded_kept_or_not():
    computed = []

    def compute():
        computed.append(1)
        return [torch.full((1, 1, 1, 2), 1 / 3)], []

    kept, none = KeptMaps(), KeptMaps(room=0)
    for maps in (kept, none):
        assert torch.equal(maps.get("a", compute)[0][0], torch.full((1, 1, 1, 2), 1 / 3).half().float())
        assert torch.equal(maps.get("a", compute)[0][0], torch.full((1, 1, 1, 2), 1 / 3).half().float())
    assert len(computed) == 1 + 2


def test_maps_lie_apart_in_their_blocks_and_keep_their_layout(monkeypatch):
    monkeypatch.setattr("lineage.common.kept_maps.BLOCK", 1000)  # bytes: some maps fill one, one is larger
    shapes = [(1, 3, 4, 5), (1, 8, 7, 9), (1, 2, 3, 3), (1, 5, 6, 7), (1, 1, 1, 1)]
    maps = [torch.rand(shape, generator=torch.Generator().manual_seed(n)) for n, shape in enumerate(shapes)]
    kept = KeptMaps()
    for n, part in enumerate(maps):
        kept.get(n, lambda part=part: ([part], []))
    for n, part in enumerate(maps):
        (found,), _ = kept.get(n, pytest.fail)
        assert torch.equal(found, part.half().float())
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_small_machine_keeps_a_share_of_its_memory(monkeypatch):
    monkeypatch.setattr("lineage.common.kept_maps._memory", lambda: 2**32)
    assert KeptMaps().room == 2**30
    monkeypatch.setattr("lineage.common.kept_maps._memory", lambda: 2**40)
    assert KeptMaps().room == ROOM
