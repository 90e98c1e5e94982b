import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lineage.backbones import build_backbone
from lineage.common.boxes import box_iou, decode_boxes
from lineage.common.checkpoint import CheckpointError
from lineage.common.optimise import TrainingError
from lineage.data.voc import VOCDataset
from lineage.rcnn import features
from lineage.rcnn.box_regression import BoxRegressors, fit_box_regressors
from lineage.rcnn.detector import RCNN
from lineage.rcnn.features import cache_features, fit_on_features, needed_bytes
from lineage.rcnn.recipe import QUICK, RegressionSettings, SVMSettings
from lineage.rcnn.svm import LinearSVMs, train_svms
from lineage.selective_search.settings import ProposalSettings


@pytest.fixture(autouse=True, params=[1, 2, 16])
def shard(request, monkeypatch):
    """Pictures a file: one each, some, and all in one."""
    monkeypatch.setattr(features, "SHARD", request.param)
    return request.param


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

    def target(self, index):
        return self.targets[index]

    def image_path(self, index):
        return Path(f"{index}.jpg")


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


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_features_beyond_half_precision_are_refused_with_the_picture(tmp_path, value):
    def diverged(image, boxes):
        pooled, features = extract(image, boxes)
        return pooled, features * (value if image.mean() > 0.15 else 1)  # from the third picture on

    with pytest.raises(TrainingError, match=r"t: 2\.jpg: features are not finite in half precision.*learning rate"):
        fill(Pictures(), tmp_path / "f", diverged)


def test_an_interrupted_run_computes_only_what_is_missing(tmp_path, shard):
    dataset = Pictures()
    cache = fill(dataset, tmp_path / "f")
    before = [load_file(path) for path in cache.shards()]
    cache.shards()[2 // shard].unlink()
    dataset.reads.clear()
    images = []

    def counted(image, boxes):
        images.append(round(float(image.mean()) * 10))
        return extract(image, boxes)

    again = fill(dataset, tmp_path / "f", counted)
    missing = [index for index in range(4) if index // shard == 2 // shard]
    assert dataset.reads == images == missing
    for arrays, path in zip(before, again.shards()):
        found = load_file(path)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert torch.equal(found[name], array)


def test_a_run_interrupted_in_the_middle_of_a_shard_keeps_the_whole_ones_only(tmp_path, shard):
    def interrupted(image, boxes):
        if float(image.mean()) > 0.25:
            raise KeyboardInterrupt
        return extract(image, boxes)

    with pytest.raises(KeyboardInterrupt):
        fill(Pictures(), tmp_path / "f", interrupted)
    whole = {1: 3, 2: 1, 16: 0}[shard]  # the fourth picture broke off
    expected = [f"{shard * i:06d}.safetensors" for i in range(whole)]
    assert [path.name for path in sorted((tmp_path / "f").glob("*"))] == expected


def test_a_run_killed_in_the_middle_of_a_shard_keeps_its_pictures(tmp_path, shard, monkeypatch):
    expected = [load_file(path) for path in fill(Pictures(), tmp_path / "whole").shards()]
    monkeypatch.setattr("lineage.common.resume.SAVE_EVERY_SECONDS", -1.0)
    seen = []

    def killed(image, boxes):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        return extract(image, boxes)

    with pytest.raises(KeyboardInterrupt):
        fill(Pictures(), tmp_path / "f", killed)
    dataset = Pictures()
    cache = fill(dataset, tmp_path / "f")
    assert dataset.reads == [3]
    for path, arrays in zip(cache.shards(), expected):
        assert all(torch.equal(tensor, arrays[name]) for name, tensor in load_file(path).items())
    assert sorted((tmp_path / "f").iterdir()) == cache.shards(), "and nothing else is left"


@pytest.mark.parametrize("damage", ["flipped", "empty"])
def test_a_damaged_shard_is_computed_again_and_no_other(tmp_path, shard, damage):
    cache = fill(Pictures(), tmp_path / "f")
    path = cache.shards()[2 // shard]
    whole = path.read_bytes()
    path.write_bytes(b"" if damage == "empty" else whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:])
    dataset = Pictures()
    with pytest.warns(UserWarning, match=f"{path.name}: damaged; it is computed again"):
        fill(dataset, tmp_path / "f")
    assert dataset.reads == [index for index in range(4) if index // shard == 2 // shard]
    assert path.read_bytes() == whole


def test_a_shard_that_is_damaged_while_it_waits_is_not_read(tmp_path):
    cache = fill(Pictures(), tmp_path / "f")
    path = cache.shards()[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    for read in (lambda: next(iter(cache)), lambda: list(cache.pairs(1))):
        with pytest.raises(CheckpointError, match=f"{path.name}: damaged since it was written; the same command"):
            read()


def test_its_size_is_that_of_its_files(tmp_path):
    cache = fill(Pictures(), tmp_path / "f")
    assert cache.nbytes == sum(path.stat().st_size for path in (tmp_path / "f").iterdir()) > 0


@pytest.mark.parametrize("min_pair_iou", [0.5, 0.6, 0.9])
def test_regression_pairs_are_the_proposals_near_an_object_and_lead_onto_it(tmp_path, min_pair_iou):
    dataset = Pictures()
    proposals_of = proposals_for(dataset)
    cache = fill(dataset, tmp_path / "f", min_pair_iou=min_pair_iou)
    near, labels, truths = [], [], []
    for index in range(4):
        _, target = dataset[index]
        usable = ~target["difficult"]
        for proposal in proposals_of[index]:
            iou = box_iou(proposal[None], target["boxes"][usable])[0]
            if len(iou) and iou.max() > min_pair_iou:
                near.append(proposal)
                labels.append(int(target["labels"][usable][iou.argmax()]))
                truths.append(target["boxes"][usable][iou.argmax()])
    assert 0 < len(labels) < 60
    for label in (1, 2):  # in the pictures' order
        features, offsets = (torch.cat(column) for column in zip(*cache.pairs(label)))
        rows = torch.tensor(labels) == label
        proposals, goals = torch.stack(near)[rows], torch.stack(truths)[rows]
        torch.testing.assert_close(features[:, :4], proposals / 10, rtol=2e-3, atol=2e-3)
        torch.testing.assert_close(decode_boxes(offsets, proposals), goals, rtol=0, atol=1e-3)


def test_pictures_without_objects_give_negatives_but_no_pairs(tmp_path):
    dataset = Pictures()
    dataset.targets = [dataset.targets[3]] * 4
    cache = fill(dataset, tmp_path / "f")
    assert [list(cache.pairs(label)) for label in (1, 2)] == [[], []]
    picture = next(iter(cache))
    assert picture.features.shape == (21, 3)
    assert picture.positives.shape == (0, 3)
    assert (picture.overlaps == 0).all()


def toy_detector(ridge=0.01):
    recipe = SimpleNamespace(
        svm=SVMSettings(C=1.0), regression=RegressionSettings(ridge=ridge), finetune=SimpleNamespace(amp="bf16")
    )  # fmt: skip
    return SimpleNamespace(recipe=recipe, amp=None, svms=LinearSVMs(3, 2), regressors=BoxRegressors(5, 2))


def test_svms_and_regressors_are_fitted_from_what_is_on_disk(tmp_path, caplog):
    dataset, detector = Pictures(), toy_detector()
    with caplog.at_level("INFO", logger="lineage"):
        size = fit_on_features(
            detector, dataset, proposals_for(dataset), extract, tmp_path / "f", seed=0, label="Toy"
        )  # fmt: skip
    assert size == sum(path.stat().st_size for path in (tmp_path / "f").glob("*.safetensors")) > 0
    assert caplog.messages == ["Toy: the feature cache takes 3.01 kB on disk while it is needed"]
    image, target = dataset[0]
    scores = detector.svms(extract(image, target["boxes"])[1])
    assert (scores.argmax(dim=1) == torch.tensor([0, 1])).all()
    assert scores[0, 0] > 0 > scores[0, 1]
    proposals = proposals_for(dataset)[0][:20]
    moved = detector.regressors(extract(image, proposals)[0], proposals)
    rows, labels = torch.arange(20), torch.tensor([0, 1]).repeat(10)
    truth = target["boxes"].repeat(10, 1)
    before = box_iou(proposals, truth).diagonal().mean()
    after = box_iou(moved[rows, labels], truth).diagonal().mean()
    assert after > before + 0.05


def test_a_run_killed_after_its_fits_fits_nothing_again(tmp_path, monkeypatch):
    dataset, first, second = Pictures(), toy_detector(), toy_detector()
    given = dataset, proposals_for(dataset), extract, tmp_path / "f"
    fit_on_features(first, *given, seed=0, label="Toy")
    monkeypatch.setattr("lineage.rcnn.svm._refit", lambda *_: pytest.fail("an SVM was fitted again"))
    monkeypatch.setattr("lineage.rcnn.box_regression.fit_ridge", lambda *_: pytest.fail("a regressor was, too"))
    fit_on_features(second, *given, seed=0, label="Toy")
    for a, b in ((first.svms, second.svms), (first.regressors, second.regressors)):
        assert all(torch.equal(tensor, b.state_dict()[name]) for name, tensor in a.state_dict().items())


def test_features_are_computed_in_the_precision_of_fine_tuning_which_is_put_back(tmp_path):
    dataset, detector, seen = Pictures(), toy_detector(), []

    def watched(image, boxes):
        seen.append(detector.amp)
        if len(seen) == 3:
            raise RuntimeError("the third picture")
        return extract(image, boxes)

    with pytest.raises(RuntimeError, match="third"):
        fit_on_features(detector, dataset, proposals_for(dataset), watched, tmp_path / "f", seed=0, label="Toy")
    assert seen == ["bf16"] * 3 and detector.amp is None


def test_the_disk_that_it_needs_is_known_before(tmp_path, shard):
    dataset = Pictures()
    needed = needed_bytes(dataset, proposals_for(dataset), 5, 3, 0.6)
    cache = fill(dataset, tmp_path / "f")
    tensors = sum(t.nbytes for path in cache.shards() for t in load_file(path).values())
    assert abs(needed - tensors) <= 16 * len(cache.shards())  # each shard says where its first picture begins
    assert needed <= cache.nbytes + 16 < needed + 1500 * len(cache.shards())  # the rest is headers


def test_a_disk_without_room_is_refused_before_the_first_picture(tmp_path, monkeypatch):
    dataset = Pictures()
    few = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: few)
    with pytest.raises(TrainingError, match=r"Toy: the feature cache needs 3\.01 kB in .*f, and 100 bytes are free"):
        fit_on_features(
            toy_detector(), dataset, proposals_for(dataset), extract, tmp_path / "f", seed=0, label="Toy"
        )  # fmt: skip
    assert dataset.reads == []
    assert list((tmp_path / "f").iterdir()) == []


def streamed_and_in_memory(dataset, proposals, tmp_path):
    """R-CNN's SVMs and regressors from the disk, and from a list of everything."""
    torch.manual_seed(0)
    detector = RCNN(build_backbone("tiny", seed=0), dataset.classes, QUICK)

    @torch.inference_mode()
    def of_rcnn(image, boxes):
        return detector.features(image, boxes)

    cache = cache_features(dataset, proposals, of_rcnn, tmp_path / "f", min_pair_iou=0.6, label="t")
    settings = replace(QUICK.svm, refit_after=300)  # several fits a class
    in_memory = list(cache)
    pairs = {c: list(cache.pairs(c)) for c in range(1, cache.classes + 1)}
    options = {"ridge": 1000.0, "whitening": 1e-3, "feature_norm": 20.0}
    width = detector.regressors.weight.shape[0]
    streamed = (
        train_svms(cache, cache.classes, settings),
        fit_box_regressors(cache.pairs, width, cache.classes, **options),
    )
    at_once = train_svms(in_memory, cache.classes, settings), fit_box_regressors(
        lambda c: [tuple(torch.cat(column) for column in zip(*pairs[c]))] if pairs[c] else [], width, cache.classes,
        **options,
    )  # fmt: skip
    return streamed, at_once


def check_the_same(streamed, at_once):
    (svms, summary), regressors = streamed
    (expected, expected_summary), expected_regressors = at_once
    assert summary == expected_summary and max(summary["fits"]) > 1
    for name, tensor in svms.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name])
    for name, tensor in regressors.state_dict().items():  # sums in another order
        torch.testing.assert_close(tensor, expected_regressors.state_dict()[name], rtol=1e-3, atol=1e-6)
    assert regressors.weight.abs().max() > 0


@pytest.mark.parametrize("shard", [2], indirect=True)
def test_streaming_gives_the_same_as_holding_everything_on_shapes(tmp_path, shapes_few):
    dataset = VOCDataset(shapes_few, "trainval")
    proposals = [torch.from_numpy(QUICK.proposals(pixels_of(dataset, i))) for i in range(len(dataset))]
    check_the_same(*streamed_and_in_memory(dataset, proposals, tmp_path))


@pytest.mark.parametrize("shard", [2], indirect=True)
def test_streaming_gives_the_same_as_holding_everything_on_blood_cells(tmp_path, bccd):
    dataset = VOCDataset(bccd, "trainval")
    dataset.ids = dataset.ids[:6]
    settings = ProposalSettings(mode="fast", width=320, min_side=12, limit=300)
    proposals = [torch.from_numpy(settings(pixels_of(dataset, i))) for i in range(len(dataset))]
    check_the_same(*streamed_and_in_memory(dataset, proposals, tmp_path))


def pixels_of(dataset, index):
    return (dataset[index][0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


@pytest.fixture(scope="module")
def shapes_few(tmp_path_factory):
    from lineage.data.shapes import write_shapes

    root = tmp_path_factory.mktemp("shapes")
    write_shapes(root, trainval=8, test=1, jobs=1)
    return root
