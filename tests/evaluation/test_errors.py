import pytest
import torch

from lineage.evaluation.errors import KINDS, ClassErrors, analyse_errors, largest_misses, surest_mistakes

CLASSES = ("cat", "dog", "car")
OBJECT = [0.0, 0, 100, 100]
AWAY = [300.0, 300, 400, 400]


def objects(*rows, difficult=()):
    return {
        "boxes": torch.tensor([box for box, _ in rows]).reshape(-1, 4),
        "labels": torch.tensor([label for _, label in rows], dtype=torch.int64),
        "difficult": torch.tensor([i in difficult for i in range(len(rows))], dtype=torch.bool),
    }


def found(*rows):
    return {
        "boxes": torch.tensor([box for box, _, _ in rows]).reshape(-1, 4),
        "labels": torch.tensor([label for _, label, _ in rows], dtype=torch.int64),
        "scores": torch.tensor([score for _, _, score in rows]),
    }


def cats(detections, target, **options):
    return analyse_errors([detections], [target], CLASSES, **options)["cat"]


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        ([0.0, 0, 100, 100], 1, "correct"),
        ([0.0, 0, 100, 50], 1, "correct"),  # IoU 0.5 is enough
        ([0.0, 0, 100, 49], 1, "localisation"),
        ([0.0, 0, 100, 10], 1, "localisation"),  # IoU 0.1 touches
        ([0.0, 0, 100, 9], 1, "background"),
        ([0.0, 0, 100, 100], 2, "similar"),  # a cat where a dog is
        ([0.0, 0, 100, 10], 2, "similar"),
        ([0.0, 0, 100, 100], 3, "other"),  # a cat where a car is
        ([0.0, 0, 100, 9], 3, "background"),
        (AWAY, 1, "background"),
    ],
)
def test_a_detection_of_a_cat_is_named_by_what_it_is_on(box, label, kind):
    """The object has the given class; a cat far away makes room for one detection."""
    target = objects((OBJECT, label), ([500.0, 500, 600, 600], 1))
    one = cats(found((box, 1, 0.9)), target)
    assert {name: getattr(one, name) for name in KINDS if getattr(one, name)} == {kind: 1}
    assert one.objects == (2 if label == 1 else 1)
    assert one.missed == one.objects - (kind == "correct")


def test_what_touches_two_classes_counts_as_the_nearer_kind():
    """Own class before similar before other, whichever overlaps more."""
    half = [0.0, 0, 100, 30]
    assert cats(found((half, 1, 0.9)), objects((OBJECT, 1), (half, 2))).localisation == 1
    assert cats(found((half, 1, 0.9)), objects((AWAY, 1), (OBJECT, 2), (half, 3))).similar == 1


def test_the_second_detection_of_one_object_is_badly_placed():
    one = cats(found((OBJECT, 1, 0.8), (OBJECT, 1, 0.9)), objects((OBJECT, 1), (AWAY, 1)))
    assert one == ClassErrors(objects=2, correct=1, localisation=1, similar=0, other=0, background=0, missed=1)


def test_only_the_best_are_looked_at_as_many_as_there_are_objects():
    many = [(AWAY, 1, 0.1 + i / 100) for i in range(10)]
    one = cats(found((OBJECT, 1, 0.05), *many), objects((OBJECT, 1), ([500.0, 500, 600, 600], 1)))
    assert (one.background, one.correct) == (2, 0)
    assert one.missed == 1  # the object is found, though far down the list


def test_difficult_objects_count_for_nothing():
    target = objects((OBJECT, 1), (AWAY, 1), difficult=(0,))
    one = cats(found((OBJECT, 1, 0.9), (AWAY, 1, 0.8)), target)
    assert one == ClassErrors(objects=1, correct=1, localisation=0, similar=0, other=0, background=0, missed=0)


def test_without_detections_or_objects_nothing_is_wrong():
    assert cats(found(), objects((OBJECT, 1))) == ClassErrors(1, 0, 0, 0, 0, 0, 1)
    assert cats(found((OBJECT, 1, 0.9)), objects()) == ClassErrors(0, 0, 0, 0, 0, 0, 0)


def test_what_is_alike_can_be_said():
    target = objects((OBJECT, 3), (AWAY, 1))
    assert cats(found((OBJECT, 1, 0.9)), target, similar=[{"cat", "car", "ship"}]).similar == 1
    assert cats(found((OBJECT, 1, 0.9)), target, similar=[]).other == 1


def test_the_surest_mistakes_come_first_and_a_twice_found_object_is_none():
    first = found((OBJECT, 1, 0.9), (OBJECT, 2, 0.8), (AWAY, 1, 0.95), (OBJECT, 1, 0.5))
    second = found((AWAY, 2, 0.85))
    targets = [objects((OBJECT, 1)), objects((OBJECT, 1))]
    assert surest_mistakes([first, second], targets, 9) == [(0, 2), (1, 0), (0, 1)]
    assert surest_mistakes([first, second], targets, 1) == [(0, 2)]


def test_the_largest_misses_come_first_and_difficult_ones_are_none():
    small = [200.0, 200, 210, 210]
    targets = [objects((OBJECT, 1), (small, 2)), objects((AWAY, 1), (OBJECT, 2), difficult=(1,))]
    nothing = found()
    assert largest_misses([nothing, nothing], targets, 9) == [(0, 0), (1, 0), (0, 1)]
    assert largest_misses([found((OBJECT, 1, 0.1)), nothing], targets, 9) == [(1, 0), (0, 1)]
    assert largest_misses([found((OBJECT, 2, 0.1)), nothing], targets, 1) == [(0, 0)]
