import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lineage.common.boxes import decode_boxes
from lineage.common.sampling import seeded_generator
from lineage.fast_rcnn.loss import multi_task_loss, smooth_l1
from lineage.fast_rcnn.recipe import HeadSettings
from lineage.fast_rcnn.roi_pool import roi_pool, roi_pool_reference, with_picture_index
from lineage.fast_rcnn.sampling import sample_rois
from lineage.fast_rcnn.truncated_svd import compress_fc, truncate


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.5, 1 / 16]), st.sampled_from([(1, 1), (2, 3), (7, 7)]))
def test_pooling_equals_its_definition_and_torchvisions(seed, scale, size):
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, 9, 11, generator=g)
    corners = torch.rand(8, 2, generator=g) * 14 - 2
    rois = torch.cat([corners, corners + torch.rand(8, 2, generator=g) * 10 - 1], dim=1) / scale
    rois = torch.cat([torch.randint(0, 2, (8, 1), generator=g).float(), rois], dim=1)
    ours = roi_pool(features, rois, size, scale)
    assert torch.equal(ours, roi_pool_reference(features, rois, size, scale))
    assert torch.equal(ours, torchvision.ops.roi_pool(features, rois, size, scale))


def test_a_list_of_boxes_is_the_same_as_indexed_ones():
    features = torch.randn(2, 3, 9, 11)
    boxes = [torch.tensor([[0.0, 0, 5, 5]]), torch.tensor([[1.0, 1, 9, 7], [2, 2, 3, 3]])]
    assert torch.equal(roi_pool(features, boxes, 2), roi_pool(features, with_picture_index(boxes), 2))


def test_poolings_gradient():
    features = torch.randn(1, 2, 6, 7, dtype=torch.double, requires_grad=True)
    rois = torch.tensor([[0.0, 0, 0, 6, 5], [0, 1, 2, 3, 3]], dtype=torch.double)
    assert torch.autograd.gradcheck(lambda x: roi_pool(x, rois, (3, 3), 1.0), (features,))


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


@pytest.mark.parametrize("beta", [1.0, 1 / 9])
def test_smooth_l1_is_quadratic_inside_and_linear_outside(beta):
    x = torch.tensor([-3.0, -0.05, 0.0, 0.05, 2.0])
    expected = [3 - beta / 2, 0.05**2 / (2 * beta), 0.0, 0.05**2 / (2 * beta), 2 - beta / 2]
    torch.testing.assert_close(smooth_l1(x, beta), torch.tensor(expected))


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


def test_a_minibatch_is_a_quarter_foreground_and_its_offsets_lead_to_the_objects():
    truth = torch.tensor([[10.0, 10, 60, 50], [80, 30, 120, 90]])
    target = {"boxes": truth, "labels": torch.tensor([2, 1]), "difficult": torch.tensor([False, False])}
    near = truth.repeat(40, 1) + torch.randn(80, 4, generator=seeded_generator(1)) * 3
    far = torch.rand(200, 2, generator=seeded_generator(2)) * 100
    proposals = torch.cat([near, torch.cat([far, far + 20], dim=1)])
    recipe = HeadSettings(background_iou=(0.0, 0.5))
    boxes, labels, offsets = sample_rois(proposals, target, recipe, seeded_generator(3))
    assert len(boxes) == 64 and (labels > 0).sum() == 16
    foreground = labels > 0
    found = decode_boxes(offsets[foreground] * torch.tensor(recipe.target_stds), boxes[foreground])
    expected = truth[(labels[foreground] == 1).long()]  # label 2 is the first object
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
