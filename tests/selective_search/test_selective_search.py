import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lineage.data.figures import TRAIN_PATTERNS
from lineage.data.shapes import draw_picture
from lineage.selective_search import (
    FAST,
    QUALITY,
    QUICK,
    Strategy,
    best_overlaps,
    count_all_windows,
    group,
    mean_best_overlap,
    recall,
    recall_at,
    segment,
    selective_search,
    sliding_windows,
)
from lineage.selective_search.segmentation import segment_reference
from lineage.selective_search.settings import LONGEST, ProposalSettings
from lineage.selective_search.similarity import (
    fill_similarity,
    histogram_intersection,
    region_features,
    size_similarity,
)


@pytest.fixture(scope="module")
def picture() -> tuple[np.ndarray, list[dict]]:
    return draw_picture(np.random.default_rng(5), TRAIN_PATTERNS)


def exclusive(objects: list[dict]) -> torch.Tensor:
    """VOC's inclusive boxes that count from 1, as the house's (N, 4)."""
    return torch.tensor([item["box"] for item in objects]).float() - torch.tensor([1, 1, 0, 0])


small_pictures = st.builds(
    lambda seed, height, width, spread: (
        np.random.default_rng(seed).integers(0, spread, (height, width, 3)).astype(np.float32)
    ),
    st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.sampled_from([2, 40, 256]),
)  # fmt: skip


@given(small_pictures, st.sampled_from([0.0, 20.0, 100.0, 400.0]), st.integers(1, 12))
def test_segmentation_equals_its_definition(image, k, min_size):
    assert np.array_equal(segment(image, k, sigma=0, min_size=min_size), segment_reference(image, k, min_size))


def test_segments_are_connected_and_large_enough(picture):
    labels = segment(picture[0], 100, min_size=50)
    assert np.bincount(labels.ravel()).min() >= 50
    for label in range(labels.max() + 1):
        parts, _ = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
        assert parts == 2  # the background and one piece


def test_two_flat_halves_are_two_segments():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = 200
    labels = segment(image, 50, sigma=0, min_size=5)
    assert labels.max() == 1
    assert (labels[:, :15] == 0).all() and (labels[:, 15:] == 1).all()


def test_the_hierarchy_merges_neighbours_until_one_region_is_left(picture):
    labels = segment(picture[0], 100, min_size=100)
    hierarchy = group(picture[0], labels, (1, 1, 1, 1))
    n = hierarchy.num_segments
    assert n == labels.max() + 1
    assert len(hierarchy.merges) == n - 1
    assert hierarchy.sizes[-1] == labels.size
    assert hierarchy.boxes[-1].tolist() == [0, 0, labels.shape[1], labels.shape[0]]
    for i, (a, b) in enumerate(hierarchy.merges):
        assert hierarchy.sizes[n + i] == hierarchy.sizes[a] + hierarchy.sizes[b]
    assert len(set(hierarchy.merges.ravel().tolist())) == 2 * (n - 1)  # nobody merges twice


def test_levels_walk_from_the_segments_to_the_whole_picture(picture):
    labels = segment(picture[0], 300, min_size=300)
    hierarchy = group(picture[0], labels, (1, 1, 1, 1))
    levels = list(hierarchy.levels())
    assert np.array_equal(levels[0], labels)
    assert [len(np.unique(level)) for level in levels] == list(range(hierarchy.num_segments, 0, -1))
    middle = len(levels) // 2
    for region in np.unique(levels[middle]):
        rows, columns = np.where(levels[middle] == region)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert hierarchy.boxes[region].tolist() == expected
        assert hierarchy.sizes[region] == len(rows)


def test_every_merge_takes_the_most_similar_neighbours():
    """Three stripes, two of them alike: those merge first, whatever their size."""
    image = np.zeros((30, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = (250, 40, 10), (10, 12, 250), (10, 15, 250)
    labels = np.repeat(np.array([0, 1, 2], np.int32), 20)[None].repeat(30, axis=0)
    hierarchy = group(image, np.ascontiguousarray(labels), (1, 0, 0, 0))
    assert sorted(hierarchy.merges[0]) == [1, 2]
    assert hierarchy.similarities[0] > hierarchy.similarities[1]


def test_similarities_equal_hand_computed_ones():
    a, b = np.array([0.5, 0.5, 0.0], np.float32), np.array([0.2, 0.3, 0.5], np.float32)
    assert histogram_intersection(a, b) == pytest.approx(0.5)
    assert histogram_intersection(a, a) == pytest.approx(1.0)
    assert size_similarity(10, 30, 200) == pytest.approx(0.8)
    left, right = np.array([0, 0, 10, 10]), np.array([10, 0, 20, 10])
    assert fill_similarity(left, right, 100, 100, 400) == pytest.approx(1.0)  # the two fill the box around them
    assert fill_similarity(left, right, 50, 50, 400) == pytest.approx(0.75)


def test_histograms_are_normalised_and_use_the_whole_range_of_colours():
    """The selectivesearch package bins values of 0..1 over 0..255 and so uses 3 of its 75 colour bins."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 60, 3)).astype(np.uint8)
    labels = np.zeros((60, 60), np.int32)
    labels[:, 30:] = 1
    colour, texture, sizes, boxes = region_features(image, labels)
    assert colour.shape == (2, 75) and texture.shape == (2, 240)
    np.testing.assert_allclose(colour.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(texture.sum(axis=1), 1, rtol=1e-4)
    assert (colour[0] > 0).sum() == 75
    assert sizes.tolist() == [1800, 1800]
    assert boxes.tolist() == [[0, 0, 30, 60], [30, 0, 60, 60]]


def test_a_merged_histogram_is_the_one_of_the_merged_region(picture):
    labels = segment(picture[0], 300, min_size=300)
    both = np.where(labels == 1, 0, labels)
    colour, _, sizes, _ = region_features(picture[0], labels)
    merged, *_ = region_features(picture[0], both)
    weighted = (colour[0] * sizes[0] + colour[1] * sizes[1]) / (sizes[0] + sizes[1])
    np.testing.assert_allclose(merged[0], weighted, atol=1e-5)


def test_strategies_are_the_papers():
    assert len(FAST) == 8
    assert {(s.colour_space, s.k, s.similarities) for s in FAST} == {
        (space, k, terms) for space in ("HSV", "Lab") for k in (50, 100) for terms in ("CTSF", "TSF")
    }
    assert len(QUALITY) == 80
    assert Strategy("Lab", 50, "TSF").weights == (0, 1, 1, 1)


@pytest.mark.parametrize("strategies", [QUICK, FAST])
def test_proposals_are_distinct_inside_repeatable_and_find_the_objects(picture, strategies):
    image, objects = picture
    boxes = selective_search(image, strategies, width=None, min_side=12)
    assert boxes.dtype == np.float32
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= image.shape[1]).all() and (boxes[:, 3] <= image.shape[0]).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 12).all()
    assert np.array_equal(boxes, selective_search(image, strategies, width=None, min_side=12))
    assert not np.array_equal(boxes, selective_search(image, strategies, width=None, min_side=12, seed=1))
    truth = torch.tensor([item["box"] for item in objects if not item["difficult"]]).float() - torch.tensor(
        [1, 1, 0, 0]
    )
    overlaps = best_overlaps([torch.from_numpy(boxes)], [truth])
    assert recall(overlaps, 0.5) == 1.0
    assert mean_best_overlap(overlaps) > 0.7


def test_resizing_gives_boxes_in_the_pictures_own_pixels(picture):
    image, _ = picture
    boxes = selective_search(image, QUICK, width=160, min_side=10)
    assert boxes[:, 2].max() == image.shape[1]
    assert boxes[:, 3].max() == image.shape[0]


def test_the_limit_keeps_the_highest_ranked(picture):
    everything = selective_search(picture[0], QUICK, width=None)
    assert np.array_equal(selective_search(picture[0], QUICK, width=None, limit=30), everything[:30])


def test_a_tensor_and_an_array_give_the_same_boxes(picture):
    tensor = torch.from_numpy(picture[0]).permute(2, 0, 1).float() / 255
    assert np.array_equal(selective_search(tensor, QUICK, width=None), selective_search(picture[0], QUICK, width=None))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (40, 1, 3), (50, 60, 3)])
def test_degenerate_pictures_give_the_whole_picture(shape):
    boxes = selective_search(np.full(shape, 128, np.uint8), FAST, width=None)
    assert boxes.tolist() == [[0, 0, shape[1], shape[0]]]


def test_wrong_inputs_are_refused_clearly():
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\), got float64"):
        selective_search(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="engine 'matlab' is none of lineage, opencv"):
        selective_search(np.zeros((4, 4, 3), np.uint8), engine="matlab")


def test_opencvs_engine_is_used_where_it_exists_and_named_where_not(picture):
    try:
        create = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation
    except AttributeError:
        create = None
    if create is None:
        with pytest.raises(RuntimeError, match="opencv-contrib-python-headless"):
            selective_search(picture[0], FAST, engine="opencv")
    else:
        boxes = selective_search(picture[0], FAST, engine="opencv")
        assert boxes.shape[1] == 4 and len(boxes) > 50


def test_ours_proposes_better_boxes_than_the_selectivesearch_package():
    """At an equal number of boxes, over a few pictures of shapes: a cross-check by an independent implementation."""
    peer = pytest.importorskip("selectivesearch")
    ours, theirs, truths = [], [], []
    for seed in range(4):
        image, objects = draw_picture(np.random.default_rng([9, seed]), TRAIN_PATTERNS)
        _, regions = peer.selective_search(image, scale=100, sigma=0.8, min_size=100)
        corners = {(x, y, x + w, y + h) for x, y, w, h in (r["rect"] for r in regions) if w >= 12 and h >= 12}
        theirs.append(torch.tensor(sorted(corners)).float())
        boxes = selective_search(image, FAST, width=None, min_side=12, limit=len(corners))
        ours.append(torch.from_numpy(boxes))
        truths.append(exclusive(objects))
    mine, peers = best_overlaps(ours, truths), best_overlaps(theirs, truths)
    assert mean_best_overlap(mine) > mean_best_overlap(peers) - 0.02
    assert mean_best_overlap(mine) > 0.7


def test_sliding_windows_fit_and_are_many():
    windows = sliding_windows(240, 320)
    assert (windows[:, 0] >= 0).all() and (windows[:, 2] <= 320.001).all() and (windows[:, 3] <= 240.001).all()
    assert len(windows) > 2000
    assert len(sliding_windows(240, 320, step=0.125)) > 3 * len(windows)
    assert len(sliding_windows(10, 10)) == 0
    assert count_all_windows(2, 3) == 18
    assert count_all_windows(375, 500) > 8e9


def test_recall_of_the_first_so_many_boxes():
    truth = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    boxes = torch.tensor([[90.0, 90, 99, 99], [0, 0, 10, 10], [50, 50, 60, 57]])
    assert recall_at([1, 2, 3, 9], [boxes, boxes], [truth, truth]) == [0, 0.5, 1, 1]
    assert recall_at([3], [boxes], [truth], iou=0.8) == [0.5]


def test_recall_of_nothing():
    overlaps = best_overlaps([torch.zeros(0, 4)], [torch.tensor([[0.0, 0, 5, 5]])])
    assert overlaps.tolist() == [0.0]
    assert recall(overlaps, 0.5) == 0.0
    assert np.isnan(recall(best_overlaps([], []), 0.5))


SETTINGS = ProposalSettings(mode="quick", width=None, min_side=12, limit=100)


@pytest.mark.parametrize("shape", [(60, LONGEST), (LONGEST, 60)])
def test_a_picture_up_to_the_longest_side_is_searched_as_it_is(shape):
    image = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8), shape[::-1])
    assert np.array_equal(SETTINGS(image), selective_search(image, QUICK, width=None, min_side=12, limit=100))


@pytest.mark.parametrize(("shape", "width"), [((150, 3000), 1000), ((3000, 150), 50), ((2001, 1), 1)])
def test_a_longer_picture_is_searched_smaller_and_its_boxes_are_in_its_own_pixels(shape, width):
    image = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8), shape[::-1])
    boxes = SETTINGS(image)
    assert np.array_equal(boxes, selective_search(image, QUICK, width=width, min_side=12, limit=100))
    assert boxes[:, 2].max() == shape[1] and boxes[:, 3].max() == shape[0]


def test_a_width_of_the_recipes_own_is_the_one_that_is_taken():
    image = np.random.default_rng(0).integers(0, 255, (60, 1200, 3), dtype=np.uint8)
    boxes = ProposalSettings("quick", width=1200, min_side=12, limit=50)(image)
    assert np.array_equal(boxes, selective_search(image, QUICK, width=1200, min_side=12, limit=50))
