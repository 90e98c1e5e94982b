import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.common.boxes import decode_boxes, encode_boxes
from lineage.rcnn.box_regression import BoxRegressors, fit_box_regressors, fit_ridge, solve_ridge


def in_memory(features, offsets, labels, size=7):
    """Pairs as the cache gives them: a class's, in blocks."""

    def pairs(label):
        rows = torch.where(labels == label)[0]
        return [(features[part], offsets[part]) for part in rows.split(size) if len(part)]

    return pairs


def in_blocks(x, y, size):
    return list(zip(x.split(size), y.split(size)))


SETTINGS = {"ridge": 1e-8, "whitening": 1e-12, "feature_norm": 20.0}


@given(
    st.integers(1, 40),
    st.integers(1, 20),
    st.integers(1, 40),
    st.sampled_from([0.1, 1.0, 1000.0]),
    st.integers(0, 2**32 - 1),
)
def test_both_gram_matrices_give_the_normal_equations_solution(rows, columns, block, ridge, seed):
    """More rows than columns goes the primal way, fewer the dual: numpy solves both the one plain way."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((rows, columns)), rng.standard_normal((rows, 4))
    expected = np.linalg.solve(x.T @ x + ridge * np.eye(columns), x.T @ y)
    found = solve_ridge(in_blocks(torch.from_numpy(x), torch.from_numpy(y), block), ridge)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-10)


def test_the_solution_is_the_least_of_the_objective():
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.standard_normal((9, 5))), torch.from_numpy(rng.standard_normal((9, 4)))
    best = solve_ridge([(x, y)], 2.0)

    def objective(w):
        return ((x @ w - y) ** 2).sum() + 2.0 * (w**2).sum()

    for _ in range(20):
        assert objective(best + 1e-2 * torch.from_numpy(rng.standard_normal((5, 4)))) > objective(best)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_exactly_linear_targets_are_recovered_through_the_whitening(seed):
    """Correlated targets of unlike sizes: only if unwhiten inverts whiten do they come back."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.standard_normal((60, 5)))
    truth = torch.from_numpy(rng.standard_normal((5, 4)) * [1.0, 0.1, 3.0, 0.5] @ rng.standard_normal((4, 4)))
    bias = torch.from_numpy(rng.standard_normal(4))
    weight, found_bias = fit_ridge(lambda: in_blocks(x, x @ truth + bias, 11), 1e-10, 1e-9)
    torch.testing.assert_close(weight, truth.float(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found_bias, bias.float(), rtol=1e-3, atol=1e-3)


def test_a_heavy_ridge_leaves_the_mean():
    x, y = torch.rand(30, 5, dtype=torch.float64), torch.rand(30, 4, dtype=torch.float64)
    weight, bias = fit_ridge(lambda: [(x, y)], 1e12, 1e-3)
    torch.testing.assert_close(weight, torch.zeros(5, 4), rtol=0, atol=1e-6)
    torch.testing.assert_close(bias, y.mean(dim=0).float(), rtol=1e-5, atol=1e-5)


def test_whitening_makes_a_coordinates_unit_irrelevant():
    """t_x in hundredths must not be shrunk more or less than t_x in ones under the same lambda."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(40, 6, generator=generator), torch.randn(40, 4, generator=generator)
    uncorrelated = torch.linalg.qr(y - y.mean(dim=0))[0] * torch.tensor([1.0, 2.0, 3.0, 4.0])
    unit = torch.tensor([1.0, 100.0, 1.0, 1.0])
    plain, bias = fit_ridge(lambda: [(x, uncorrelated)], 10.0, 1e-12)
    scaled, scaled_bias = fit_ridge(lambda: [(x, uncorrelated * unit)], 10.0, 1e-12)
    torch.testing.assert_close(scaled, plain * unit, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(scaled_bias, bias * unit, rtol=1e-3, atol=1e-5)


def linear_pairs(count=40, dim=6, seed=0):
    """Features that determine the offsets linearly, for classes 1 and 3 of 3 by different maps."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(count, dim, generator=generator) + 0.1
    maps = 0.1 * torch.randn(2, dim, 4, generator=generator)
    labels = torch.tensor([1, 3]).repeat(count // 2)
    offsets = torch.stack([f @ maps[0 if label == 1 else 1] for f, label in zip(features, labels)])
    return features, offsets, labels


def test_each_class_has_its_own_regressor_and_one_without_pairs_leaves_proposals():
    features, offsets, labels = linear_pairs()
    regressors = fit_box_regressors(in_memory(features, offsets, labels), 6, 3, **SETTINGS)
    proposals = torch.tensor([[10.0, 20, 50, 80]]).repeat(len(features), 1)
    moved = regressors(features, proposals)  # (R, 3, 4)
    expected = decode_boxes(offsets, proposals)
    rows = torch.arange(len(features))
    torch.testing.assert_close(moved[rows, labels - 1], expected, rtol=1e-3, atol=1e-2)
    assert torch.equal(moved[:, 1], proposals)
    assert (moved[rows, 3 - labels] - expected).abs().max() > 0.5  # the other class's map is another


def test_fitting_to_ground_truth_moves_proposals_onto_it():
    generator = torch.Generator().manual_seed(1)
    truth = torch.tensor([[20.0, 20, 60, 70]]).repeat(30, 1)
    proposals = truth + 6 * torch.rand(30, 4, generator=generator) - 3
    offsets = encode_boxes(truth, proposals)
    features = torch.cat([offsets, torch.rand(30, 3, generator=generator)], dim=1)  # the answer is among them
    regressors = fit_box_regressors(in_memory(features, offsets, torch.ones(30)), 7, 1, **SETTINGS)
    torch.testing.assert_close(regressors(features, proposals)[:, 0], truth, rtol=0, atol=0.05)


def test_features_are_scaled_to_the_given_norm():
    features, offsets, labels = linear_pairs()
    regressors = fit_box_regressors(in_memory(features, offsets, labels), 6, 3, **SETTINGS)
    assert (features * regressors.scale).norm(dim=1).mean().item() == pytest.approx(20.0, rel=1e-5)


def test_without_any_pair_every_proposal_stays():
    nothing = (torch.zeros(0, 6), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    regressors = fit_box_regressors(in_memory(*nothing), 6, 2, **SETTINGS)
    proposals = torch.tensor([[1.0, 2, 9, 11]])
    assert torch.equal(regressors(torch.rand(1, 6), proposals), proposals[:, None].expand(-1, 2, -1))


def test_a_class_with_a_single_pair_stays_finite():
    regressors = fit_box_regressors(
        in_memory(torch.rand(1, 6), torch.full((1, 4), 0.1), torch.tensor([1])),
        6,
        1,
        ridge=1000.0,
        whitening=1e-3,
        feature_norm=20.0,
    )
    assert regressors.weight.isfinite().all() and regressors.bias.isfinite().all()
    torch.testing.assert_close(regressors.bias, torch.full((1, 4), 0.1), rtol=1e-4, atol=1e-4)


def test_forward_decodes_scaled_features_times_weight_plus_bias():
    generator = torch.Generator().manual_seed(2)
    regressors = BoxRegressors(8, 3)
    regressors.weight.normal_(std=0.1, generator=generator)
    regressors.bias.normal_(std=0.1, generator=generator)
    regressors.scale.fill_(0.5)
    features = torch.rand(5, 2, 2, 2, generator=generator)  # pool5 as it comes: flattened inside
    proposals = torch.tensor([[0.0, 0, 10, 20]]).repeat(5, 1) + torch.arange(5.0)[:, None]
    found = regressors(features, proposals)
    assert found.shape == (5, 3, 4)
    for c in range(3):
        offsets = 0.5 * features.flatten(1) @ regressors.weight[:, c] + regressors.bias[c]
        torch.testing.assert_close(found[:, c], decode_boxes(offsets, proposals))


def test_no_proposals_give_no_boxes():
    assert BoxRegressors(8, 3)(torch.zeros(0, 8), torch.zeros(0, 4)).shape == (0, 3, 4)
