import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.evaluation import bootstrap
from lineage.evaluation.bootstrap import interval, resampled_maps
from lineage.evaluation.voc import evaluate_voc


def pictures(seed, count=12, num_classes=3):
    """Objects, some difficult, and detections: some near an object, some anywhere; every score another."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    targets, detections = [], []
    for _ in range(count):
        number = int(rand() * 4)
        corner = rand(number, 2) * 60
        boxes = torch.cat([corner, corner + 10 + rand(number, 2) * 30], dim=1)
        labels = (rand(number) * num_classes).long() + 1
        targets.append({"boxes": boxes, "labels": labels, "difficult": rand(number) < 0.2})
        near = boxes + rand(number, 4) * 6 - 3
        lost = rand(3, 2) * 60
        found = torch.cat([near, torch.cat([lost, lost + 20], dim=1)])
        detections.append(
            {
                "boxes": found, "scores": rand(len(found)),
                "labels": torch.cat([labels, (rand(3) * num_classes).long() + 1]),
            }
        )  # fmt: skip
    return detections, targets


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_weight_is_a_picture_that_stands_there_as_often(seed):
    detections, targets = pictures(seed)
    found = resampled_maps([detections], targets, 3, resamples=5, seed=seed)[0]
    drawn = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12), size=5)
    for value, times in zip(found, drawn):
        rows = [row for row, often in enumerate(times) for _ in range(often)]
        expected = evaluate_voc([detections[row] for row in rows], [targets[row] for row in rows], 3).map
        assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_each_picture_once_is_the_evaluation_itself(monkeypatch):
    class EachOnce:
        def multinomial(self, count, _, size):
            return np.ones((size, count), dtype=np.int64)

    detections, targets = pictures(1)
    monkeypatch.setattr(bootstrap.np.random, "default_rng", lambda seed: EachOnce())
    assert resampled_maps([detections], targets, 3, resamples=2)[0] == pytest.approx(
        evaluate_voc(detections, targets, 3).map
    )


def test_a_few_at_a_time_are_all(monkeypatch):
    detections, targets = pictures(2)
    whole = resampled_maps([detections], targets, 3, resamples=30)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 40)
    assert np.array_equal(whole, resampled_maps([detections], targets, 3, resamples=30), equal_nan=True)


def test_differences_are_of_the_same_pictures():
    """A system that is a little better on every picture: surely so, though each one's own interval is wide."""
    detections, targets = pictures(3, count=60)
    worse = [{**one, "scores": one["scores"].clone()} for one in detections]
    for one, target in zip(worse, targets):
        one["scores"][: len(target["boxes"])] *= 0.7  # what is right comes later in the list
    better, poorer = resampled_maps([detections, worse], targets, 3, resamples=300)
    apart = interval(better - poorer)
    assert apart.low > 0
    assert apart.high - apart.low < interval(better).high - interval(better).low
    same = resampled_maps([detections, detections], targets, 3, resamples=20)
    assert np.array_equal(same[0], same[1])


def test_the_interval_is_the_middle_of_the_values():
    assert interval(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975))


def test_no_picture_is_refused():
    with pytest.raises(ValueError, match="no picture"):
        resampled_maps([[]], [], 3)
