import numpy as np
import pytest
import torch

from lineage.common import resume
from lineage.rcnn import svm
from lineage.rcnn.recipe import SVMSettings
from lineage.rcnn.svm import LinearSVMs, PictureFeatures, feature_scale, train_svms

DIM = 8
PLAIN = SVMSettings(C=1.0)


def around(rng, centre, count, spread=0.3):
    return (np.asarray(centre) + spread * rng.standard_normal((count, DIM))).astype(np.float32)


def axis(i, length=5.0):
    return np.eye(DIM)[i] * length


def toy_pictures(num_classes=2, pictures=6, seed=0):
    """Class c lies along axis c, background along the last axis; overlaps say which proposal is what."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(pictures):
        objects = np.concatenate([around(rng, axis(c), 3) for c in range(num_classes)])
        features = np.concatenate([objects + 0.01, around(rng, axis(DIM - 1), 10)])
        overlaps = np.zeros((len(features), num_classes), np.float32)
        for c in range(num_classes):
            overlaps[3 * c : 3 * c + 3, c] = 0.9
        labels = np.repeat(np.arange(1, num_classes + 1), 3)
        result.append(PictureFeatures(features.astype(np.float32), overlaps, objects.astype(np.float32), labels))
    return result


def margins(svms, features):
    return svms(torch.from_numpy(np.asarray(features, np.float32))).numpy()


def test_a_separable_problem_is_solved():
    svms, summary = train_svms(toy_pictures(), 2, PLAIN)
    rng = np.random.default_rng(9)
    scores = np.stack([margins(svms, around(rng, axis(i), 20)) for i in (0, 1, DIM - 1)])  # (3, 20, 2)
    assert (scores[0, :, 0] > 0).all() and (scores[0, :, 1] < 0).all()
    assert (scores[1, :, 1] > 0).all() and (scores[1, :, 0] < 0).all()
    assert (scores[2] < 0).all()
    assert summary["positives"] == [18, 18]


def test_a_class_without_positives_never_scores_above_the_others():
    pictures = [p._replace(overlaps=np.pad(p.overlaps, ((0, 0), (0, 1)))) for p in toy_pictures()]
    svms, summary = train_svms(pictures, 3, PLAIN)
    everything = np.concatenate([p.features for p in pictures])
    scores = margins(svms, everything)
    assert np.isfinite(scores).all()
    assert (scores[:, 2] < scores[:, :2].min(axis=1)).all()
    assert (scores[:, 2] < -1e5).all()  # far below any score threshold
    assert summary["positives"][2] == 0
    assert summary["fits"][2] == 0


def late_hard_negatives():
    """Five pictures of easy negatives, then one whose negatives look much like the positives."""
    rng = np.random.default_rng(3)
    hard_centre = axis(0, 4.0) + axis(1, 3.0)  # shares the positives' direction
    pictures = []
    for _ in range(5):
        positives = around(rng, axis(0), 4)
        easy = around(rng, axis(DIM - 1), 20)
        overlaps = np.zeros((20, 1), np.float32)
        pictures.append(PictureFeatures(easy, overlaps, positives, np.ones(4, np.int64)))
    hard = around(rng, hard_centre, 20)
    pictures.append(
        PictureFeatures(hard, np.zeros((20, 1), np.float32), np.empty((0, DIM), np.float32), np.empty(0, np.int64))
    )
    return pictures, around(rng, hard_centre, 30)


def test_mining_finds_the_negatives_that_the_first_batch_lacked():
    pictures, unseen_hard = late_hard_negatives()
    settings = SVMSettings(C=1.0, refit_after=40)  # the first model is fitted after two easy pictures
    before, _ = train_svms(pictures[:5], 1, settings)
    mined, summary = train_svms(pictures, 1, settings)
    assert (margins(before, unseen_hard) > 0).mean() > 0.9  # fooled
    assert margins(mined, unseen_hard).mean() < -0.9
    assert (margins(mined, unseen_hard) < 0).all()
    assert (margins(mined, pictures[0].positives) > 0).all()
    assert summary["fits"][0] >= 2


def test_easy_negatives_are_neither_added_nor_kept():
    """After the first fit the far negatives lie beyond the margin: mining must pass them by, or it is no mining."""
    pictures, _ = late_hard_negatives()
    _, few = train_svms(pictures[:5], 1, SVMSettings(C=1.0, refit_after=20))
    assert few["hard_negatives"][0] < 100 // 2
    assert few["fits"][0] < 5


@pytest.mark.parametrize(("overlap", "ignored"), [(0.3, True), (0.7, True), (0.29, False)])
def test_proposals_of_iou_from_0_3_on_are_ignored(overlap, ignored):
    pictures = toy_pictures(num_classes=1)
    poisoned = []
    for picture in pictures:  # proposals exactly where the positives are
        features = np.concatenate([picture.features, picture.positives])
        overlaps = np.concatenate([picture.overlaps, np.full((3, 1), overlap, np.float32)])
        poisoned.append(picture._replace(features=features, overlaps=overlaps))
    clean, _ = train_svms(pictures, 1, PLAIN)
    misled, _ = train_svms(poisoned, 1, PLAIN)
    positives = pictures[0].positives
    change = float(np.abs(margins(misled, positives) - margins(clean, positives)).max())
    assert change < 0.01 if ignored else change > 0.1


def test_an_overlap_with_another_class_does_not_excuse_a_proposal():
    """A box on an object of class 2 is a negative of class 1."""
    svms, _ = train_svms(toy_pictures(), 2, PLAIN)
    only_background = [p._replace(overlaps=np.where(p.overlaps.max(1, keepdims=True) > 0.5, 0.9, p.overlaps))
                       for p in toy_pictures()]  # fmt: skip
    lenient, _ = train_svms(only_background, 2, PLAIN)
    other = toy_pictures()[0].positives[3:]  # of class 2
    assert margins(svms, other)[:, 0].max() < -0.9
    assert margins(lenient, other)[:, 0].max() > -0.9


def test_features_are_scaled_to_a_mean_norm_of_20():
    pictures = toy_pictures()
    scale = feature_scale(pictures, 20.0)
    norms = np.linalg.norm(np.concatenate([p.features for p in pictures]), axis=1)
    assert (norms * scale).mean() == pytest.approx(20.0, rel=1e-5)
    svms, _ = train_svms(pictures, 2, SVMSettings())
    assert svms.scale.item() == pytest.approx(scale, rel=1e-6)


def test_feature_scale_reads_no_more_pictures_than_its_limit_and_survives_zeros():
    pictures = toy_pictures()
    first = np.linalg.norm(pictures[0].features, axis=1).mean()
    assert feature_scale(pictures, 20.0, limit=1) == pytest.approx(20.0 / first, rel=1e-5)
    assert feature_scale([p._replace(features=0 * p.features) for p in pictures], 20.0) == 1.0


def test_scaling_all_features_changes_no_margin():
    pictures = toy_pictures()
    larger = [p._replace(features=p.features * 16, positives=p.positives * 16) for p in pictures]
    small, _ = train_svms(pictures, 2, PLAIN)
    large, _ = train_svms(larger, 2, PLAIN)
    np.testing.assert_allclose(
        margins(large, larger[0].features), margins(small, pictures[0].features), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("epochs", [1, 2])
def test_mining_that_is_killed_goes_on_and_ends_bit_for_bit_the_same(tmp_path, monkeypatch, epochs):
    """After each fit, and before each: mining never begins anew, and each fit is done once."""
    pictures = [p._replace(overlaps=np.pad(p.overlaps, ((0, 0), (0, 1)))) for p in toy_pictures()]
    settings = SVMSettings(C=1.0, refit_after=10, epochs=epochs)
    fit, fits = svm._refit, []
    monkeypatch.setattr(svm, "_refit", lambda *arguments: (fits.append(1), fit(*arguments))[1])
    expected, summary = train_svms(pictures, 3, settings)
    whole = len(fits)
    assert whole > 4
    monkeypatch.setattr(resume, "SAVE_EVERY_SECONDS", -1.0)

    def killed(*arguments):
        if len(fits) in at:
            at.remove(len(fits))
            raise KeyboardInterrupt
        fits.append(1)
        return fit(*arguments)

    at = set(range(whole))
    fits.clear()
    monkeypatch.setattr(svm, "_refit", killed)
    for _ in range(whole):
        with pytest.raises(KeyboardInterrupt):
            train_svms(pictures, 3, settings, resume=tmp_path / "svms.safetensors")
    for _ in range(2):  # goes on, and then finds all of it
        found, again = train_svms(pictures, 3, settings, resume=tmp_path / "svms.safetensors")
        assert len(fits) == whole and again == summary
        assert all(torch.equal(tensor, expected.state_dict()[name]) for name, tensor in found.state_dict().items())


def test_the_same_seed_gives_the_same_weights():
    first, _ = train_svms(toy_pictures(), 2, SVMSettings(), seed=5)
    again, _ = train_svms(toy_pictures(), 2, SVMSettings(), seed=5)
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)
    assert first.weight.abs().sum() > 0


def test_without_any_positive_there_is_nothing_to_train():
    pictures = [p._replace(positives=p.positives[:0], labels=p.labels[:0]) for p in toy_pictures()]
    with pytest.raises(ValueError, match="no picture has a ground-truth object"):
        train_svms(pictures, 2, PLAIN)


def test_all_classes_are_one_matrix_product():
    svms = LinearSVMs(DIM, 3)
    svms.weight.normal_(generator=torch.Generator().manual_seed(0))
    svms.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    svms.scale.fill_(0.5)
    x = torch.rand(4, DIM)
    expected = torch.stack(
        [torch.stack([0.5 * x[r] @ svms.weight[c] + svms.bias[c] for c in range(3)]) for r in range(4)]
    )
    torch.testing.assert_close(svms(x), expected)
