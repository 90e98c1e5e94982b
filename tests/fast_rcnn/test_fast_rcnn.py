import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes
from torch import nn

from lineage.common.boxes import box_iou, decode_boxes
from lineage.common.sampling import seeded_generator
from lineage.fast_rcnn.loss import multi_task_loss, smooth_l1
from lineage.fast_rcnn.recipe import HeadSettings
from lineage.fast_rcnn.roi_pool import roi_pool, roi_pool_reference, with_picture_index
from lineage.fast_rcnn.sampling import sample_rois
from lineage.fast_rcnn.truncated_svd import compress_fc, truncate


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_pooling_few_cells_to_many_bins_equals_copying_each_cell_first(rows, columns, bins):
    """The theory post's description: copy every cell ``bins`` times each way, then pool blocks of the region's size."""
    cells = torch.randn(1, 1, rows, columns, generator=torch.Generator().manual_seed(rows * 10 + columns))
    copied = cells.repeat_interleave(bins, 2).repeat_interleave(bins, 3)  # (1, 1, rows * bins, columns * bins)
    whole = torch.tensor([[0.0, 0, columns - 1, rows - 1]])
    assert torch.equal(roi_pool(cells, [whole], bins), nn.functional.max_pool2d(copied, (rows, columns)))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1.0, 0.5, 1 / 16]),
    st.sampled_from([(1, 1), (2, 3), (7, 7)]),
    st.booleans(),
)
def test_pooling_equals_its_definition_and_torchvisions(seed, scale, size, halves):
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, 9, 11, generator=g)
    corners = torch.rand(10, 2, generator=g) * 24 - 8  # some leave the map, some lie outside it
    rois = torch.cat([corners, corners + torch.rand(10, 2, generator=g) * 10 - 2], dim=1)  # some are inside out
    if halves:
        rois = (rois * 2).round() / 2  # every other coordinate lies between two cells
    rois = torch.cat([torch.randint(0, 2, (10, 1), generator=g).float(), rois / scale], dim=1)
    ours = roi_pool(features, rois, size, scale)
    assert torch.equal(ours, roi_pool_reference(features, rois, size, scale))
    assert torch.equal(ours, torchvision.ops.roi_pool(features, rois, size, scale))


def test_a_roi_of_one_cell_fills_all_its_bins_and_one_outside_the_map_is_0():
    features = torch.arange(1.0, 21).reshape(1, 1, 4, 5)
    rois = torch.tensor([[0.0, 2, 1, 2, 1], [0, 3, 2, 1, 0], [0, 90, 90, 99, 99]])  # one cell; inside out; outside
    pooled = roi_pool(features, rois, 3)
    assert (pooled[0] == 8).all()
    assert (pooled[1] == 14).all()  # forced to its first corner's cell
    assert (pooled[2] == 0).all()


def test_a_list_of_boxes_is_the_same_as_indexed_ones():
    features = torch.randn(2, 3, 9, 11)
    rois = [torch.tensor([[0.0, 0, 5, 5]]), torch.tensor([[1.0, 1, 9, 7], [2, 2, 3, 3]])]
    indexed = torch.tensor([[0.0, 0, 0, 5, 5], [1, 1, 1, 9, 7], [1, 2, 2, 3, 3]])
    assert torch.equal(with_picture_index(rois), indexed)
    assert torch.equal(roi_pool(features, rois, 2), roi_pool(features, indexed, 2))
    assert len(with_picture_index([torch.zeros(0, 4), torch.ones(1, 4)])) == 1


def test_poolings_gradient():
    features = torch.randn(1, 2, 6, 7, dtype=torch.double, requires_grad=True)
    rois = torch.tensor([[0.0, 0, 0, 6, 5], [0, 1, 2, 3, 3]], dtype=torch.double)
    assert torch.autograd.gradcheck(lambda x: roi_pool(x, rois, (3, 3), 1.0), (features,))


def test_poolings_gradient_adds_up_where_rois_overlap():
    features = torch.arange(12.0).reshape(1, 1, 3, 4).requires_grad_()
    roi_pool(features, torch.tensor([[0.0, 0, 0, 3, 2], [0, 1, 1, 3, 2]]), 1).sum().backward()
    expected = torch.zeros(1, 1, 3, 4)
    expected[0, 0, 2, 3] = 2  # the largest cell of both
    assert torch.equal(features.grad, expected)


def test_the_multi_task_loss_by_hand():
    scores = torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    offsets = torch.zeros(2, 2, 4)
    offsets[0, 0] = torch.tensor([0.5, -2.0, 0.0, 1.0])
    targets = torch.stack([torch.zeros(4), torch.full((4,), torch.nan)])  # the background's is never read
    losses = multi_task_loss(scores, offsets, torch.tensor([1, 0]), targets, regression_weight=2.0)
    expected = -(scores.log_softmax(1)[0, 1] + scores.log_softmax(1)[1, 0]) / 2
    assert losses["classification"].item() == pytest.approx(expected.item())
    assert losses["regression"].item() == pytest.approx(2 * (0.125 + 1.5 + 0.5) / 2)


def test_the_losses_gradients():
    scores = torch.randn(5, 4, dtype=torch.double, requires_grad=True)
    offsets = torch.randn(5, 3, 4, dtype=torch.double, requires_grad=True)
    labels, targets = torch.tensor([0, 1, 3, 2, 0]), torch.randn(5, 4, dtype=torch.double)
    assert torch.autograd.gradcheck(
        lambda s, o: tuple(multi_task_loss(s, o, labels, targets).values()), (scores, offsets)
    )


def test_no_rois_give_a_loss_of_zero():
    losses = multi_task_loss(
        torch.zeros(0, 3), torch.zeros(0, 2, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4)
    )
    assert sum(losses.values()).item() == 0


def test_a_background_roi_teaches_the_offsets_nothing_whatever_its_target():
    offsets = torch.randn(3, 2, 4, requires_grad=True)
    targets = torch.randn(3, 4)
    targets[[0, 2]] = torch.nan
    losses = multi_task_loss(torch.randn(3, 3), offsets, torch.tensor([0, 2, 0]), targets)
    losses["regression"].backward()
    taught = offsets.grad.abs().sum(dim=2) > 0
    assert taught.tolist() == [[False, False], [False, True], [False, False]]  # the true class's row only


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=8), st.sampled_from([1.0, 1 / 9, 3.0]))
def test_smooth_l1_equals_the_formula(values, beta):
    expected = [0.5 * x * x / beta if abs(x) < beta else abs(x) - 0.5 * beta for x in values]
    assert smooth_l1(torch.tensor(values), beta).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("beta", [1.0, 1 / 9])
def test_smooth_l1s_gradient(beta):
    x = torch.tensor([-3.0, -0.05, 0.04, 2.0], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: smooth_l1(x, beta), (x,))


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_truncated_svds_error_is_the_singular_values_left_out(u, v, data):
    rank = data.draw(st.integers(1, min(u, v)))
    layer = nn.Linear(v, u)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(u * 10 + v))
    small = truncate(layer, rank)
    dropped = torch.linalg.svdvals(layer.weight)[rank:]
    product = small[1].weight @ small[0].weight
    assert (product - layer.weight).norm().item() == pytest.approx(dropped.norm().item(), rel=1e-4, abs=1e-5)
    assert sum(p.numel() for p in small.parameters()) == rank * (u + v) + u
    assert torch.equal(small[1].bias, layer.bias)


@pytest.mark.parametrize("rank", [0, -1, 8])
def test_an_impossible_rank_is_refused(rank):
    with pytest.raises(ValueError, match=rf"rank {rank} is not in 1\.\.7"):
        truncate(nn.Linear(12, 7), rank)


def test_truncated_svd_is_the_best_approximation_of_its_rank():
    torch.manual_seed(0)
    layer = nn.Linear(12, 7)
    x = torch.randn(5, 12)
    torch.testing.assert_close(truncate(layer, 7)(x), layer(x), rtol=1e-4, atol=1e-5)
    small = truncate(layer, 3)
    product = small[1].weight @ small[0].weight
    dropped = torch.linalg.svdvals(layer.weight)[3:]
    assert (product - layer.weight).norm().item() == pytest.approx(dropped.norm().item(), rel=1e-4)
    assert sum(p.numel() for p in small.parameters()) == 3 * (12 + 7) + 7
    with pytest.raises(ValueError, match=r"rank 8 is not in 1\.\.7"):
        truncate(layer, 8)


def test_compressing_an_fc_part_keeps_its_other_layers():
    fc = nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU())
    x = torch.randn(3, 2, 2, 2)
    torch.testing.assert_close(compress_fc(fc, (6, 4))(x), fc(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="1 ranks for 2 fully connected layers"):
        compress_fc(fc, (6,))


def test_a_compressed_head_needs_fewer_operations_and_leaves_the_original_alone():
    fc = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(inplace=True), nn.Linear(32, 32), nn.Dropout())
    before = [p.clone() for p in fc.parameters()]
    small = compress_fc(fc, (4, 2))
    assert sum(p.numel() for p in small.parameters()) == 4 * (64 + 32) + 32 + 2 * (32 + 32) + 32
    assert [type(layer) for layer in small] == [nn.Flatten, nn.Sequential, nn.ReLU, nn.Sequential, nn.Dropout]
    assert all(torch.equal(old, new) for old, new in zip(before, fc.parameters()))


@given(boxes(high=60), boxes(high=6), st.integers(0, 1000), st.sampled_from([(0.0, 0.5), (0.1, 0.5)]))
def test_a_minibatch_holds_what_the_paper_says(proposals, truth, seed, background):
    rng = seeded_generator(seed)
    labels = torch.randint(1, 4, (len(truth),), generator=rng)
    target = {"boxes": truth, "labels": labels, "difficult": torch.rand(len(truth), generator=rng) < 0.3}
    recipe = HeadSettings(rois_per_image=16, background_iou=background)
    rois, classes, offsets = sample_rois(proposals, target, recipe, seeded_generator(seed))
    assert len(rois) <= 16 and (classes > 0).sum() <= 4
    usable = ~target["difficult"]
    overlaps = box_iou(rois, truth[usable])
    for roi, label, offset, overlap in zip(rois, classes.tolist(), offsets, overlaps):
        best = max(overlap.tolist(), default=0.0)
        if label == 0:
            assert background[0] <= best < 0.5
            continue
        assert best >= 0.5
        match = int(overlap.argmax())
        assert label == labels[usable][match]
        decoded = decode_boxes(offset[None] * torch.tensor(recipe.target_stds), roi[None])[0]
        torch.testing.assert_close(decoded, truth[usable][match], rtol=1e-4, atol=1e-3)


def test_a_minibatch_is_a_quarter_foreground_and_its_offsets_lead_to_the_objects():
    truth = torch.tensor([[10.0, 10, 60, 50], [80, 30, 120, 90]])
    target = {"boxes": truth, "labels": torch.tensor([2, 1]), "difficult": torch.tensor([False, False])}
    near = truth.repeat(40, 1) + torch.randn(80, 4, generator=seeded_generator(1)) * 3
    far = torch.rand(200, 2, generator=seeded_generator(2)) * 100
    proposals = torch.cat([near, torch.cat([far, far + 20], dim=1)])
    recipe = HeadSettings(background_iou=(0.0, 0.5))
    rois, labels, offsets = sample_rois(proposals, target, recipe, seeded_generator(3))
    assert len(rois) == 64 and (labels > 0).sum() == 16
    foreground = labels > 0
    found = decode_boxes(offsets[foreground] * torch.tensor(recipe.target_stds), rois[foreground])
    expected = truth[(labels[foreground] == 1).long()]  # label 2 is the first object
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("index", [-1.0, 2.0])
def test_a_roi_of_a_picture_that_is_not_there_is_refused(index):
    rois = torch.tensor([[0.0, 0, 0, 9, 9], [index, 0, 0, 9, 9]])
    with pytest.raises(ValueError, match=rf"picture index {index:g}, but the pictures are 0 to 1"):
        roi_pool(torch.zeros(2, 3, 8, 8), rois, 2)
    assert roi_pool(torch.zeros(2, 3, 8, 8), rois[:0], 2).shape == (0, 3, 2, 2)
