"""Every gradient procedure takes the same steps whoever loads its pictures, and they are those that it always took."""

from __future__ import annotations

import signal

import pytest
import torch
from procedures import PROCEDURES, STEPS, learn

from lineage.common.augment import Augmentation
from lineage.common.running import Running
from lineage.fast_rcnn.convolutions import Convolutions

EVERYTHING = Augmentation(colour=0.3, scale=1.3, vertical=True)  # with resizing and means, which threads would change


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_any_number_of_workers_gives_the_same_numbers(procedure, pictures, proposals, tmp_path, two_threads):
    curves, state = learn(procedure, pictures, proposals, tmp_path / "0", Running(), EVERYTHING)
    for workers in (1, 2):
        found = learn(procedure, pictures, proposals, tmp_path / str(workers), Running(workers), EVERYTHING)
        assert found[0] == curves
        assert all(torch.equal(found[1][name], state[name]) for name in state)


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_so_does_a_training_that_was_interrupted(procedure, pictures, proposals, tmp_path, two_threads):
    curves, state = learn(procedure, pictures, proposals, tmp_path / "straight", Running())
    after = STEPS * (4 if procedure == "alternating" else 1) - 1  # the last step but one of the last procedure
    taken = []

    def press_ctrl_c(label: str, step: int, values: dict[str, float]) -> None:
        taken.append(step)
        if len(taken) == after:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        learn(procedure, pictures, proposals, tmp_path / "work", Running(2, listen=press_ctrl_c))
    again = []
    running = Running(1, listen=lambda label, step, values: again.append(step))
    found = learn(procedure, pictures, proposals, tmp_path / "work", running)
    assert again == [STEPS]
    assert found[0] == curves
    assert all(torch.equal(found[1][name], state[name]) for name in state)


# Of the code that did not yet load pictures apart from the losses. On one machine both give the same bits; with another
# processor's instructions the numbers differ by up to a ten-thousandth. After steps 1 and 2 of the 4-step training the
# RPN's boxes differ by more, so of steps 3 and 4 the RPN's losses are compared alone, and less strictly. No maps were
# kept in half precision then, which moves these losses by up to 1.2 %: they are not kept here either.
BEFORE = {
    "rcnn": {"softmax": [1.885371, 1.446365, 1.076433]},
    "sppnet": {"softmax": [1.854273, 1.516783, 1.220413]},
    "fast_rcnn": {
        "classification": [1.889427, 1.220851, 1.137598], "regression": [0.182075, 0.314252, 0.221089],
    },
    "joint": {
        "objectness": [0.69371, 0.655421, 0.639543], "rpn_regression": [0.205938, 0.152775, 0.197113],
        "classification": [1.885286, 1.154825, 1.501296], "regression": [0.571757, 0.566579, 0.919502],
    },
    "alternating": {"objectness": [0.614342, 0.605594, 0.600149], "rpn_regression": [0.159431, 0.191242, 0.183841]},
}  # fmt: skip


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_the_losses_are_those_of_old(procedure, pictures, proposals, tmp_path, monkeypatch):
    monkeypatch.setattr(Convolutions, "_fixed_layers", lambda self: 0)
    curves, _ = learn(procedure, pictures, proposals, tmp_path, Running())
    for name, values in BEFORE[procedure].items():
        assert curves[name] == pytest.approx(values, rel=1e-2 if procedure == "alternating" else 1e-3), name
