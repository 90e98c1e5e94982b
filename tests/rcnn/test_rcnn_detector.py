from dataclasses import replace

import torch

from lineage.backbones import build_backbone
from lineage.rcnn.detector import RCNN
from lineage.rcnn.recipe import QUICK

IMAGE = torch.rand(3, 90, 110, generator=torch.Generator().manual_seed(0))
PROPOSALS = torch.tensor([[5.0, 5, 60, 70], [30, 20, 100, 80], [0, 0, 20, 20]])


def detector(**changes):
    found = RCNN(build_backbone("tiny"), ("a", "b"), replace(QUICK, **changes)).eval()
    found.svms.weight.normal_(std=0.01, generator=torch.Generator().manual_seed(1))
    return found


def test_the_memory_budget_changes_the_rounds_but_not_the_features():
    whole, rounds = detector(), detector(warp_budget=2 * 12 * 64**2)  # two crops a round
    calls = []
    rounds.cnn, plain = lambda crops: calls.append(len(crops)) or plain(crops), rounds.cnn
    with torch.inference_mode():
        for one, other in zip(whole.features(IMAGE, PROPOSALS), rounds.features(IMAGE, PROPOSALS)):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert calls == [2, 1]


def test_a_proposals_features_are_those_of_its_crop_alone():
    net = detector()
    with torch.inference_mode():
        together, alone = net.features(IMAGE, PROPOSALS)[1], net.features(IMAGE, PROPOSALS[1:2])[1]
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_detections_are_inside_the_picture_and_above_the_threshold():
    found = detector(score_threshold=-0.5)([IMAGE], [PROPOSALS * 1.2])[0]
    assert len(found["boxes"]) > 0
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"][:, 2] <= 110).all() and (found["boxes"][:, 3] <= 90).all()
    assert (found["scores"] > -0.5).all()
    assert (found["scores"].diff() <= 0).all()


def test_no_proposals_give_no_detections():
    found = detector()([IMAGE], [torch.zeros(0, 4)])[0]
    assert found["boxes"].shape == (0, 4)
    assert len(found["scores"]) == len(found["labels"]) == 0
