import numpy as np
import pytest
import torch

from lineage.common.boxes import box_iou, decode_boxes
from lineage.rcnn.features import cache_features, fit_from_cache
from lineage.rcnn.recipe import RegressionSettings, SVMSettings


class Pictures:
    """Four pictures; the last has no object, the one before a difficult one besides."""

    classes = ("a", "b")

    def __init__(self):
        self.reads = []
        truth = torch.tensor([[10.0, 10, 40, 50], [50, 20, 90, 60]])
        self.targets = [
            {"boxes": truth + i, "labels": torch.tensor([1, 2]), "difficult": torch.tensor([False, False])}
            for i in range(2)
        ]
        self.targets.append({**self.targets[0], "difficult": torch.tensor([False, True])})
        self.targets.append(
            {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "difficult": torch.zeros(0).bool()}
        )

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.reads.append(index)
        return torch.full((3, 80, 100), index / 10), self.targets[index]


def proposals_for(dataset):
    generator = torch.Generator().manual_seed(0)
    near = torch.tensor([[10.0, 10, 40, 50], [50, 20, 90, 60]]).repeat(10, 1)
    return [
        torch.cat([near + torch.randn(20, 4, generator=generator) * 3, torch.tensor([[0.0, 60, 9, 79]])])
        for _ in range(len(dataset))
    ]


def extract(image, boxes):
    """pool5 = the box itself and 1; fc7 = where its centre lies: easy to check, easy to learn."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    fc7 = torch.cat([centre / 10, image.mean().expand(len(boxes), 1)], dim=1)
    return torch.cat([boxes / 10, torch.ones(len(boxes), 1)], dim=1), fc7


def fill(dataset, directory, extract=extract, min_pair_iou=0.6):
    return cache_features(dataset, proposals_for(dataset), extract, directory, min_pair_iou=min_pair_iou, label="t")


def test_streams_every_pictures_features_overlaps_and_positives(tmp_path):
    dataset = Pictures()
    proposals = proposals_for(dataset)
    pictures = list(fill(dataset, tmp_path / "f"))
    assert len(pictures) == 4
    for index, picture in enumerate(pictures):
        image, target = dataset[index]
        usable = ~target["difficult"]
        expected = extract(image, proposals[index])[1]
        np.testing.assert_allclose(picture.features, expected, rtol=2e-3, atol=1e-3)  # float16 on disk
        assert picture.features.dtype == np.float32
        np.testing.assert_allclose(picture.positives, extract(image, target["boxes"][usable])[1], rtol=2e-3, atol=1e-3)
        assert picture.labels.tolist() == target["labels"][usable].tolist()
        for label in (1, 2):
            same = target["boxes"][usable & (target["labels"] == label)]
            iou = box_iou(proposals[index], same).amax(dim=1) if len(same) else torch.zeros(21)
            np.testing.assert_allclose(picture.overlaps[:, label - 1], iou, atol=1e-6)


def test_an_interrupted_run_computes_only_what_is_missing(tmp_path):
    dataset = Pictures()
    cache = fill(dataset, tmp_path / "f")
    before = [{k: v.copy() for k, v in np.load(cache.path(i)).items()} for i in range(4)]
    cache.path(2).unlink()
    dataset.reads.clear()
    images = []

    def counted(image, boxes):
        images.append(round(float(image.mean()) * 10))
        return extract(image, boxes)

    again = fill(dataset, tmp_path / "f", counted)
    assert dataset.reads == [2]
    assert images == [2]
    for index, arrays in enumerate(before):
        found = np.load(again.path(index))
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


def test_a_run_interrupted_in_the_middle_of_a_picture_keeps_the_whole_ones_only(tmp_path):
    def interrupted(image, boxes):
        if float(image.mean()) > 0.15:
            raise KeyboardInterrupt
        return extract(image, boxes)

    with pytest.raises(KeyboardInterrupt):
        fill(Pictures(), tmp_path / "f", interrupted)
    assert [path.name for path in sorted((tmp_path / "f").iterdir())] == ["000000.npz", "000001.npz"]


def test_its_size_is_that_of_its_files_and_removal_leaves_nothing(tmp_path):
    cache = fill(Pictures(), tmp_path / "f")
    assert cache.nbytes == sum(path.stat().st_size for path in (tmp_path / "f").iterdir()) > 0
    cache.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("min_pair_iou", [0.5, 0.6, 0.9])
def test_regression_pairs_are_the_proposals_near_an_object_and_lead_onto_it(tmp_path, min_pair_iou):
    dataset = Pictures()
    proposals = proposals_for(dataset)
    pairs = fill(dataset, tmp_path / "f", min_pair_iou=min_pair_iou).regression_pairs()
    near, labels, truths = [], [], []
    for index in range(4):
        _, target = dataset[index]
        usable = ~target["difficult"]
        for proposal in proposals[index]:
            iou = box_iou(proposal[None], target["boxes"][usable])[0]
            if len(iou) and iou.max() > min_pair_iou:
                near.append(proposal)
                labels.append(int(target["labels"][usable][iou.argmax()]))
                truths.append(target["boxes"][usable][iou.argmax()])
    assert pairs.labels.tolist() == labels
    assert 0 < len(labels) < 60
    torch.testing.assert_close(pairs.features[:, :4], torch.stack(near) / 10, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(decode_boxes(pairs.offsets, torch.stack(near)), torch.stack(truths), rtol=0, atol=1e-3)


def test_pictures_without_objects_give_negatives_but_no_pairs(tmp_path):
    dataset = Pictures()
    dataset.targets = [dataset.targets[3]] * 4
    cache = fill(dataset, tmp_path / "f")
    pairs = cache.regression_pairs()
    assert len(pairs.features) == len(pairs.offsets) == len(pairs.labels) == 0
    picture = next(iter(cache))
    assert picture.features.shape == (21, 3)
    assert picture.positives.shape == (0, 3)
    assert (picture.overlaps == 0).all()


def test_svms_and_regressors_are_fitted_from_what_is_on_disk(tmp_path):
    dataset = Pictures()
    cache = fill(dataset, tmp_path / "f")
    svms, regressors = fit_from_cache(cache, 2, SVMSettings(C=1.0), RegressionSettings(ridge=0.01), seed=0)
    image, target = dataset[0]
    scores = svms(extract(image, target["boxes"])[1])
    assert (scores.argmax(dim=1) == torch.tensor([0, 1])).all()
    assert scores[0, 0] > 0 > scores[0, 1]
    proposals = proposals_for(dataset)[0][:20]
    moved = regressors(extract(image, proposals)[0], proposals)
    rows, labels = torch.arange(20), torch.tensor([0, 1]).repeat(10)
    truth = target["boxes"].repeat(10, 1)
    before = box_iou(proposals, truth).diagonal().mean()
    after = box_iou(moved[rows, labels], truth).diagonal().mean()
    assert after > before + 0.05
