from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.backbones import build_backbone
from lineage.common.image import normalise
from lineage.common.sampling import seeded_generator
from lineage.rcnn.finetune import finetune, sample_crops
from lineage.rcnn.recipe import QUICK

TINY = build_backbone("tiny")
PLAIN = replace(QUICK, context=0)


class Marked:
    """Objects of class 1 are red, of class 2 green, on black; the last picture has none."""

    classes = ("red", "green")

    def __init__(self):
        self.items = []
        for i in range(3):
            image = torch.zeros(3, 100, 151)
            boxes = torch.tensor([[10.0, 20, 40, 70], [70, 10, 140, 50]]) + i
            for channel, (x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
                image[channel, y1:y2, x1:x2] = 1
            self.items.append((image, {"boxes": boxes, "labels": torch.tensor([1, 2])}))
        self.items.append(
            (torch.zeros(3, 100, 151), {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)})
        )

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.items[index]


DATASET = Marked()


def proposals_near(shift=3.0, near=20, far=60):
    generator = torch.Generator().manual_seed(0)
    result = []
    for _ in DATASET.items:
        truth = torch.tensor([[10.0, 20, 40, 70], [70, 10, 140, 50]]).repeat(near // 2, 1)
        corners = torch.rand(far, 2, generator=generator) * torch.tensor([40.0, 18.0]) + torch.tensor([2.0, 75.0])
        distant = torch.cat([corners, corners + 5], dim=1)
        result.append(torch.cat([truth + shift * torch.randn(truth.shape, generator=generator), distant]))
    return result


PROPOSALS = proposals_near()


def sample(indices, recipe=QUICK, seed=0, proposals=PROPOSALS):
    return sample_crops(DATASET, proposals, indices, TINY, recipe, seeded_generator(seed))


@settings(max_examples=15)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.sampled_from([1, 4, 7, 16]), st.integers(0, 99))
def test_a_minibatch_is_full_and_at_most_a_quarter_foreground(indices, crops_per_image, seed):
    crops, labels = sample(indices, replace(QUICK, crops_per_image=crops_per_image), seed)
    size = len(indices) * crops_per_image
    assert crops.shape == (size, 3, 64, 64)
    assert labels.shape == (size,) and labels.dtype == torch.int64
    assert ((labels >= 0) & (labels <= 2)).all()
    assert (labels > 0).sum() <= round(size / 4)
    if any(index < 3 for index in indices):
        assert (labels > 0).sum() == round(size / 4)  # there is foreground enough
    else:
        assert (labels == 0).all()


def test_the_same_generator_seed_draws_the_same_minibatch_and_another_another():
    first, again, other = (sample([0, 1, 3], seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(8))
def test_a_marked_object_stays_inside_its_box_mirrored_or_not(seed):
    """Only ground truth and pure background are proposed: each crop is one colour all over, as its label says."""
    distant = [p[-60:] for p in PROPOSALS]
    crops, labels = sample([0, 1, 2], PLAIN, seed, distant)
    black, red, green = (normalise(torch.tensor(c)[:, None, None], TINY.mean, TINY.std) for c in
                         ([0.0, 0, 0], [1.0, 0, 0], [0.0, 1, 0]))  # fmt: skip
    assert (labels > 0).sum() == 6  # all of the objects
    for crop, label in zip(crops, labels.tolist()):
        inside = crop[:, 2:-2, 2:-2]  # the outermost samples blend into the surroundings
        torch.testing.assert_close(inside, (black, red, green)[label].expand_as(inside), rtol=0, atol=1e-4)


def test_pictures_are_mirrored_about_half_of_the_time_and_never_without_the_setting():
    """A picture whose left is dark and right is bright; the sole proposal is the whole picture."""
    ramp = torch.linspace(0, 1, 151).expand(3, 100, 151)
    whole = torch.tensor([[0.0, 0, 151, 100]])

    class Ramp:
        classes = ("x",)

        def __getitem__(self, index):
            return ramp, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}

    def mirrored(recipe, seed):
        crops, _ = sample_crops(Ramp(), [whole], [0], TINY, recipe, seeded_generator(seed))
        return bool(crops[0, 0, :, 0].mean() > crops[0, 0, :, -1].mean())

    one = replace(PLAIN, crops_per_image=1)
    assert 12 <= sum(mirrored(one, seed) for seed in range(40)) <= 28
    assert not any(mirrored(replace(one, flip=False), seed) for seed in range(40))


def test_context_surrounds_the_object_in_the_crop():
    distant = [p[-60:] for p in PROPOSALS]
    crops, labels = sample([0], replace(QUICK, context=8, flip=False), 0, distant)
    crop = crops[labels == 1][0]
    white, black = (1 - 0.5) / 0.25, -0.5 / 0.25
    assert crop[0, 32, 9:55].eq(white).all()
    assert crop[0, 32, :7].eq(black).all() and crop[0, 32, 57:].eq(black).all()


def test_the_pool_over_pictures_lets_a_full_picture_make_up_for_an_empty_one():
    _, labels = sample([0, 3], replace(QUICK, crops_per_image=16))
    assert (labels > 0).sum() == 8


def test_finetuning_learns_and_leaves_frozen_layers_alone(tmp_path):
    backbone = build_backbone("tiny")
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    recipe = replace(QUICK, finetune=replace(QUICK.finetune, steps=30, images_per_step=2), crops_per_image=4)
    curves = finetune(backbone, DATASET, PROPOSALS, recipe, seed=0, resume=tmp_path / "s.safetensors").curves
    assert 0 <= curves["softmax"][-1] < 0.6  # ln 3 = 1.1 is a guess
    assert not backbone.training
    for name, tensor in backbone.state_dict().items():
        frozen = name.startswith("conv.0.")
        assert torch.equal(tensor, before[name]) is frozen, name
