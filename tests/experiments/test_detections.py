"""Detections of a split: what an interrupted evaluation has found stays found, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_detectors import detector_of

from lineage.common import resume
from lineage.experiments.detections import detect_all, detections_key, evaluate_detector
from lineage.faster_rcnn.train import propose_all


@pytest.fixture
def detector(monkeypatch):
    monkeypatch.setattr(resume, "SAVE_EVERY_SECONDS", -1.0)  # a file a picture
    made = detector_of("faster_rcnn")
    made.recipe = replace(made.recipe, score_threshold=0.3)
    return made


def same(first, second):
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) for a, b in zip(first, second)
    )


def counted(monkeypatch, detector, dies_at=None):
    """Pictures that the detector is shown from now on."""
    seen = []
    detect = type(detector).detect

    def watched(self, image, proposals=None):
        if len(seen) == dies_at:
            raise KeyboardInterrupt
        seen.append(image)
        return detect(self, image, proposals)

    monkeypatch.setattr(type(detector), "detect", watched)
    return seen


def test_an_interrupted_evaluation_goes_on_where_it_was(detector, pictures, tmp_path, monkeypatch):
    expected = detect_all(detector, pictures, None, "plain")
    assert sum(len(found["scores"]) for found in expected) > 0
    with monkeypatch.context() as patch:
        counted(patch, detector, dies_at=5)
        with pytest.raises(KeyboardInterrupt):
            detect_all(detector, pictures, None, "cut off", tmp_path)
    seen = counted(monkeypatch, detector)
    found = detect_all(detector, pictures, None, "again", tmp_path)
    assert same(found, expected)
    assert len(seen) == 1  # five were known
    _, again = evaluate_detector(detector, pictures, None, "and again", tmp_path)
    assert same(again, expected) and len(seen) == 1


def test_a_damaged_file_is_made_anew(detector, pictures, tmp_path, monkeypatch):
    expected = detect_all(detector, pictures, None, "whole", tmp_path)
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == len(pictures) == 6
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-9])
    seen = counted(monkeypatch, detector)
    with pytest.warns(UserWarning, match="made again"):
        assert same(detect_all(detector, pictures, None, "again", tmp_path), expected)
    assert len(seen) == 2


def test_proposals_of_an_alternating_step_survive_a_kill(detector, pictures, tmp_path, monkeypatch):
    expected = propose_all(detector, pictures)
    seen, convolve = [], type(detector).convolve

    def killed(self, image):
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(1)
        return convolve(self, image)

    with monkeypatch.context() as patch:
        patch.setattr(type(detector), "convolve", killed)
        with pytest.raises(KeyboardInterrupt):
            propose_all(detector, pictures, tmp_path)
    seen.clear()
    monkeypatch.setattr(type(detector), "convolve", lambda *arguments: (seen.append(1), convolve(*arguments))[1])
    for _ in range(2):
        assert all(map(torch.equal, propose_all(detector, pictures, tmp_path), expected))
        assert len(seen) == 2


def test_pictures_without_detections_are_kept_too(detector, pictures, tmp_path):
    detector.recipe = replace(detector.recipe, score_threshold=1.0)
    for _ in range(2):
        found = detect_all(detector, pictures, None, "nothing", tmp_path)
        assert [len(one["scores"]) for one in found] == [0] * len(pictures)
        assert {tuple(one["boxes"].shape) for one in found} == {(0, 4)}


def test_the_key_is_made_of_all_that_matters(detector, pictures, proposals):
    keys = {"as it is": detections_key(detector, pictures, None)}
    assert detections_key(detector, pictures, None) == keys["as it is"]
    keys["given proposals"] = detections_key(detector, pictures, proposals)
    keys["other proposals"] = detections_key(detector, pictures, [boxes[1:] for boxes in proposals])
    detector.amp = "bf16"
    keys["bfloat16"] = detections_key(detector, pictures, None)
    detector.amp = None
    recipe = detector.recipe
    detector.recipe = replace(recipe, nms_iou=0.4)
    keys["other recipe"] = detections_key(detector, pictures, None)
    detector.recipe = recipe
    with torch.no_grad():
        detector.rpn.cls_score.bias[0] += 1e-6
    keys["other weights"] = detections_key(detector, pictures, None)
    assert len(set(keys.values())) == len(keys)
