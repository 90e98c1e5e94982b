import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import boxes

from lineage.common.boxes import box_iou, decode_boxes, encode_boxes
from lineage.common.matching import BACKGROUND, FOREGROUND, IGNORED
from lineage.common.sampling import seeded_generator
from lineage.faster_rcnn.anchors import base_anchors, grid_anchors, sized_anchors, to_exclusive
from lineage.faster_rcnn.loss import rpn_loss, rpn_targets
from lineage.faster_rcnn.recipe import RPNSettings
from lineage.faster_rcnn.rpn import RPN, select_proposals

THE_NINE = [
    (-84, -40, 99, 55), (-176, -88, 191, 103), (-360, -184, 375, 199), (-56, -56, 71, 71), (-120, -120, 135, 135),
    (-248, -248, 263, 263), (-36, -80, 51, 95), (-80, -168, 95, 183), (-168, -344, 183, 359),
]  # fmt: skip


def test_the_nine_anchors_are_the_originals():
    assert [tuple(anchor) for anchor in base_anchors().tolist()] == THE_NINE


def test_a_grid_has_all_anchors_of_a_cell_then_its_right_neighbour():
    base = to_exclusive(base_anchors())
    grid = grid_anchors(base, (2, 3), 16)
    expected = [anchor + torch.tensor([x, y, x, y]) * 16 for y in range(2) for x in range(3) for anchor in base]
    assert torch.equal(grid, torch.stack(expected))


@pytest.mark.parametrize("keep_border", [True, False])
@given(anchors=boxes(low=1, high=25), truth=boxes(high=4))
@settings(max_examples=40)
def test_targets_equal_a_brute_force_definition(keep_border, anchors, truth):
    anchors, size = anchors - 10, (50, 60)
    settings_ = RPNSettings(keep_border_anchors=keep_border)
    kind, offsets = rpn_targets(anchors, truth, size, settings_)
    overlaps = box_iou(anchors, truth)
    if keep_border:
        inside = [(a[0] + a[2]) / 2 < 60 and (a[1] + a[3]) / 2 < 50 for a in anchors]
    else:
        inside = [a[0] >= 0 and a[1] >= 0 and a[2] <= 60 and a[3] <= 50 for a in anchors]
    for i, anchor in enumerate(anchors):
        if not inside[i]:
            assert kind[i] == IGNORED
            continue
        best_of = [
            g for g in range(len(truth))
            if overlaps[i, g] > 0 and all(overlaps[i, g] >= overlaps[j, g] for j in range(len(anchors)) if inside[j])
        ]  # fmt: skip
        best = max(overlaps[i].tolist(), default=0.0)
        expected = FOREGROUND if best >= 0.7 or best_of else BACKGROUND if best < 0.3 else IGNORED
        assert kind[i] == expected
        if expected == FOREGROUND:
            match = truth[overlaps[i].argmax()]
            torch.testing.assert_close(offsets[i], encode_boxes(match[None], anchor[None])[0])
        else:
            assert (offsets[i] == 0).all()


def test_the_loss_by_hand():
    scores = torch.tensor([[0.0, 2.0], [1.0, 0.0], [5.0, 5.0]])
    offsets = torch.tensor([[0.5, 0.0, 0.0, 3.0], [9.0] * 4, [9.0] * 4])
    kind = torch.tensor([FOREGROUND, BACKGROUND, IGNORED], dtype=torch.int8)
    losses = rpn_loss(scores, offsets, kind, torch.zeros(3, 4), 240, RPNSettings(), seeded_generator(0))
    log_loss = -(torch.tensor(2.0).sigmoid().log() + torch.tensor(1.0).sigmoid().log())
    assert losses["objectness"].item() == pytest.approx(log_loss.item() / 256)
    assert losses["rpn_regression"].item() == pytest.approx(10 * (0.125 + 2.5) / 240)


def test_the_loss_has_the_right_gradient():
    kind = torch.tensor([FOREGROUND, BACKGROUND, IGNORED, FOREGROUND], dtype=torch.int8)
    targets = torch.randn(4, 4, dtype=torch.double)
    scores = torch.randn(4, 2, dtype=torch.double, requires_grad=True)
    offsets = torch.randn(4, 4, dtype=torch.double, requires_grad=True)

    def losses(s, o):
        return tuple(rpn_loss(s, o, kind, targets, 10, RPNSettings(), seeded_generator(0)).values())

    assert torch.autograd.gradcheck(losses, (scores, offsets))


def test_a_picture_without_objects_has_only_negatives():
    anchors = torch.tensor([[0.0, 0, 10, 10], [5, 5, 20, 20]])
    kind, _ = rpn_targets(anchors, torch.zeros(0, 4), (50, 50), RPNSettings())
    assert (kind == BACKGROUND).all()


def test_the_second_score_of_an_anchor_is_the_objects():
    rpn = RPN(4, 16, RPNSettings(channels=8))
    torch.nn.init.zeros_(rpn.cls_score.weight)
    rpn.cls_score.bias.data = torch.arange(18.0)
    scores, offsets = rpn(torch.rand(2, 4, 3, 5))
    assert scores.shape == (2, 3 * 5 * 9, 2) and offsets.shape == (2, 3 * 5 * 9, 4)
    assert scores[1, 9 + 4].tolist() == [8.0, 9.0]  # the second cell's fifth anchor


def test_proposals_are_clipped_large_enough_few_and_best_first():
    torch.manual_seed(0)
    settings_ = RPNSettings(before_nms_test=200, after_nms_test=20)
    anchors = grid_anchors(to_exclusive(base_anchors()), (6, 8), 16)
    proposals, objectness = select_proposals(
        torch.randn(len(anchors), 2), torch.randn(len(anchors), 4) * 0.2, anchors, (96, 128), settings_
    )
    assert 0 < len(proposals) <= 20
    assert (objectness.diff() <= 0).all()
    assert (proposals[:, :2] >= 0).all() and (proposals[:, 2] <= 128).all() and (proposals[:, 3] <= 96).all()
    assert ((proposals[:, 2:] - proposals[:, :2]) >= 16).all()
    assert (box_iou(proposals, proposals).fill_diagonal_(0) <= 0.7).all()


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0.0, 12.0, 40.0]))
@settings(max_examples=40)
def test_proposals_equal_a_plain_loop(seed, training, min_size):
    settings_ = RPNSettings(
        min_size=min_size, before_nms_train=70, after_nms_train=30, before_nms_test=40, after_nms_test=6
    )
    g = torch.Generator().manual_seed(seed)
    anchors = grid_anchors(to_exclusive(base_anchors(8, scales=(2, 4, 8))), (3, 4), 16)  # 108 anchors
    scores = torch.randn(len(anchors), 2, generator=g)
    offsets = torch.randn(len(anchors), 4, generator=g) * 0.5
    before, after = (70, 30) if training else (40, 6)
    waiting = []
    for i in sorted(range(len(anchors)), key=lambda i: float(scores[i, 0] - scores[i, 1]))[:before]:
        (box,) = decode_boxes(offsets[i : i + 1], anchors[i : i + 1])
        box = torch.stack([box[0].clamp(0, 64), box[1].clamp(0, 48), box[2].clamp(0, 64), box[3].clamp(0, 48)])
        if box[2] - box[0] >= min_size and box[3] - box[1] >= min_size:
            waiting.append((box, float(scores[i].softmax(dim=0)[1])))
    expected = []
    for box, probability in waiting:
        if all(box_iou(box[None], better[None]) <= settings_.nms_iou for better, _ in expected):
            expected.append((box, probability))
    expected = expected[:after]
    proposals, objectness = select_proposals(scores, offsets, anchors, (48, 64), settings_, training=training)
    assert len(proposals) == len(expected)
    if expected:
        torch.testing.assert_close(proposals, torch.stack([box for box, _ in expected]), rtol=0, atol=1e-4)
        assert objectness.tolist() == pytest.approx([probability for _, probability in expected], abs=1e-5)


def test_an_offset_that_overflows_gives_a_proposal_of_the_whole_picture():
    anchors, offsets = torch.tensor([[10.0, 10, 30, 30]]), torch.tensor([[0.0, 0, 1e4, 1e4]])
    proposals, _ = select_proposals(torch.zeros(1, 2), offsets, anchors, (48, 64), RPNSettings())
    assert proposals.tolist() == [[0, 0, 64, 48]]


def test_a_picture_smaller_than_every_anchor_has_nothing_to_learn_from():
    anchors = grid_anchors(to_exclusive(base_anchors()), (2, 3), 16)
    kind, targets = rpn_targets(anchors, torch.tensor([[2.0, 2, 20, 20]]), (32, 48), RPNSettings())
    assert (kind == IGNORED).all() and (targets == 0).all()
    scores, offsets = torch.randn(len(anchors), 2, requires_grad=True), torch.randn(len(anchors), 4, requires_grad=True)
    losses = rpn_loss(scores, offsets, kind, targets, 6, RPNSettings(), seeded_generator(0))
    total = sum(losses.values())
    total.backward()
    assert total.item() == 0
    assert (scores.grad == 0).all() and (offsets.grad == 0).all()


def test_an_object_that_no_anchor_fits_gets_all_its_equally_best_ones():
    anchors = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [0, 20, 10, 30]])
    kind, offsets = rpn_targets(anchors, torch.tensor([[8.0, 0, 12, 10]]), (40, 40), RPNSettings())  # IoU 1 / 6, twice
    assert kind.tolist() == [FOREGROUND, FOREGROUND, BACKGROUND]
    torch.testing.assert_close(offsets[:, 0], torch.tensor([0.5, -0.5, 0.0]))


def test_the_loss_samples_as_many_anchors_as_the_paper_and_up_to_half_positive():
    kind = torch.full((1000,), BACKGROUND, dtype=torch.int8)
    kind[:300] = FOREGROUND
    scores = torch.zeros(1000, 2, requires_grad=True)
    offsets = torch.ones(1000, 4, requires_grad=True)
    losses = rpn_loss(scores, offsets, kind, torch.zeros(1000, 4), 2400, RPNSettings(), seeded_generator(0))
    sum(losses.values()).backward()
    sampled = scores.grad.abs().sum(dim=1) > 0
    assert sampled[:300].sum() == 128 and sampled[300:].sum() == 128
    assert torch.equal(offsets.grad.abs().sum(dim=1) > 0, sampled & (kind == FOREGROUND))
    assert losses["objectness"].item() == pytest.approx(math.log(2))  # N_cls = 256
    assert losses["rpn_regression"].item() == pytest.approx(10 * 128 * 4 * 0.5 / 2400)


def test_the_networks_offsets_are_in_the_anchors_order():
    rpn = RPN(4, 16, RPNSettings(channels=8))
    torch.nn.init.zeros_(rpn.bbox_pred.weight)
    rpn.bbox_pred.bias.data = torch.arange(36.0)
    features = torch.rand(1, 4, 3, 5)
    _, offsets = rpn(features)
    assert offsets[0, 9 * 7 + 4].tolist() == [16.0, 17.0, 18.0, 19.0]  # the eighth cell's fifth anchor
    # The eighth cell is the third of the second row.
    assert torch.equal(rpn.anchors(features)[9 * 7 + 4], rpn.base[4] + torch.tensor([32, 16, 32, 16]))


def test_anchors_by_size_share_the_cells_centre_and_take_the_place_of_scales_and_ratios():
    base = sized_anchors(((32, 16), (5, 7)), base_size=16)
    assert base.tolist() == [[-8, 0, 24, 16], [5.5, 4.5, 10.5, 11.5]]
    settings = RPNSettings(sizes=((32, 16), (5, 7)))
    assert torch.equal(RPN(8, 16, settings).base, base)
    assert RPN(8, 16, settings)(torch.zeros(1, 8, 3, 4))[1].shape == (1, 3 * 4 * 2, 4)
