"""What a training keeps: gone on from, never believed when it is damaged, and gone when it is of no use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lineage.common import resume
from lineage.common.checkpoint import save_checkpoint
from lineage.common.history import History
from lineage.common.resume import Pieces, kept, run_once

DAMAGES = {
    "flipped": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
    "empty": lambda content: b"",
    "cut": lambda content: content[:-1],
}
damaged = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


def spoil(path: Path, damage) -> None:
    path.write_bytes(damage(path.read_bytes()))


@pytest.fixture
def always(monkeypatch):
    """Everything is saved at once."""
    monkeypatch.setattr(resume, "SAVE_EVERY_SECONDS", -1.0)


@damaged
def test_a_damaged_file_is_as_good_as_none_and_named(tmp_path, damage):
    path = tmp_path / "x.safetensors"
    assert kept(path) is None
    save_checkpoint(path, {"x": torch.arange(9.0)}, {"a": 1})
    found = kept(path)
    assert found is not None and found[1] == {"a": 1}
    spoil(path, damage)
    with pytest.warns(UserWarning, match=r"x\.safetensors: .*; what it held is made again"):
        assert kept(path) is None


@damaged
def test_a_damaged_result_is_made_again_and_its_state_is_kept_until_it_is(tmp_path, damage, monkeypatch):
    done, state, module, runs = tmp_path / "done.safetensors", tmp_path / "s.safetensors", nn.Linear(2, 1), []

    def run() -> History:
        runs.append(1)
        state.touch()
        return History("t", [])

    run_once(done, module, run, state)
    assert not state.exists()
    weight = module.weight.detach().clone()
    spoil(done, damage)
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="made again"):
        patch.setattr(resume, "save_checkpoint", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_once(done, module, run, state)
    assert state.exists(), "of use until the result is safe"
    with pytest.warns(UserWarning, match="made again"):
        run_once(done, module, run, state)
    assert len(runs) == 3 and not state.exists()
    run_once(done, module, run, state)
    assert len(runs) == 3 and torch.equal(module.weight, weight)


def item(number: int) -> resume.Item:
    return {"boxes": torch.full((number, 4), float(number)), "scores": torch.arange(number)}


def fill(folder: Path, count: int = 6) -> list[int]:
    """Make what is missing; which it was."""
    pieces, made = Pieces(folder), []
    for number in range(count):
        if number not in pieces.made:
            pieces.add(number, item(number))
            made.append(number)
    pieces.save()
    for found, number in zip(pieces.in_order(), range(count), strict=True):
        assert all(torch.equal(found[name], tensor) for name, tensor in item(number).items())
    return made


@damaged
def test_of_pieces_only_the_damaged_one_is_made_again(tmp_path, damage, always):
    assert fill(tmp_path) == list(range(6)) and fill(tmp_path) == []
    for number in (1, 2, 4):
        spoil(tmp_path / f"{number:06d}.safetensors", damage)
    (tmp_path / ".000004.safetensors.half.safetensors").touch()  # a killed run was writing it
    with pytest.warns(UserWarning, match="made again"):
        assert fill(tmp_path) == [1, 2, 4]
    assert fill(tmp_path) == [], "and mended on disk"


def test_each_gap_is_mended_by_a_file_of_its_own(tmp_path, always, monkeypatch):
    """Or a damaged file would stay, and be warned of at every start."""
    fill(tmp_path)
    for number in (1, 4):
        spoil(tmp_path / f"{number:06d}.safetensors", DAMAGES["empty"])
    monkeypatch.setattr(resume, "SAVE_EVERY_SECONDS", 60.0)
    with pytest.warns(UserWarning, match="made again"):
        assert fill(tmp_path) == [1, 4]
    assert fill(tmp_path) == []


def test_pieces_are_written_once_a_minute(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    pieces = Pieces(tmp_path)
    for number, at in enumerate((30, 59, 61, 90, 122)):
        now[0] = at
        pieces.add(number, item(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.safetensors", "000003.safetensors"]
