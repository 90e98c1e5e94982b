"""Accumulation and mixed precision in the procedures themselves."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from procedures import PROCEDURES, learn, recipe_of

import lineage.fast_rcnn.detector
import lineage.faster_rcnn.detector
import lineage.faster_rcnn.rpn


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_bf16_is_near_and_boxes_and_losses_stay_float32(procedure, pictures, proposals, tmp_path, monkeypatch):
    expected, _ = learn(procedure, pictures, proposals, tmp_path / "float32")
    seen: set[torch.dtype] = set()

    def watched(function):
        def call(*arguments, **named):
            tensors = [a for a in (*arguments, *named.values()) if isinstance(a, torch.Tensor)]
            seen.update(tensor.dtype for tensor in tensors if tensor.is_floating_point())
            return function(*arguments, **named)

        return call

    places = {
        lineage.fast_rcnn.detector: ("multi_task_loss", "decode_boxes"),
        lineage.faster_rcnn.detector: ("rpn_loss", "rpn_targets", "select_proposals"),
        lineage.faster_rcnn.rpn: ("nms", "decode_boxes"),
    }
    for module, names in places.items():
        for name in names:
            monkeypatch.setattr(module, name, watched(getattr(module, name)))
    multiplied = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *a: multiplied.append(linear(*a)) or multiplied[-1])
    found, state = learn(procedure, pictures, proposals, tmp_path / "bf16", amp="bf16")
    assert seen <= {torch.float32}
    assert torch.bfloat16 in {product.dtype for product in multiplied}
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    if procedure == "alternating":  # its curves are those of steps 3 and 4, after much else
        return
    for name, values in found.items():
        assert values[0] == pytest.approx(expected[name][0], rel=0.05) and values[0] != expected[name][0], name


def test_both_belong_to_the_recipe_and_so_to_the_checkpoint():
    _, recipe = recipe_of("joint", accumulate=3, amp="bf16")
    fields = dataclasses.asdict(recipe)
    assert all(fields[name]["accumulate"] == 3 and fields[name]["amp"] == "bf16"
               for name in ("solver", "rpn_solver", "head_solver"))  # fmt: skip
