"""Checkpoints in the cache: made once, whoever asks at the same time, whatever was damaged, whoever was killed."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import pytest
import torch

from lineage.common import locks
from lineage.common.checkpoint import load_checkpoint, save_checkpoint
from lineage.experiments.making import find_or_make


def maker(path: Path, made: list[Path], wait: threading.Event | None = None):
    def make(work_dir: Path) -> None:
        work_dir.mkdir(parents=True, exist_ok=True)
        (work_dir / "state").touch()
        made.append(work_dir)
        if wait:
            assert wait.wait(60)
        save_checkpoint(path, {"x": torch.arange(5.0)}, {})

    return make


def test_two_at_once_make_it_once(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "LOOK_EVERY_SECONDS", 0.01)
    path, made, waits = tmp_path / "models" / "net.safetensors", [], threading.Event()
    monkeypatch.setattr(locks.log, "warning", lambda *_: waits.set())  # the second waits: now the first may finish
    threads = [threading.Thread(target=find_or_make, args=(path, maker(path, made, waits))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert made == [path.with_suffix(".work")]
    assert sorted(one.name for one in path.parent.iterdir()) == [".locks", "net.safetensors"]


@pytest.mark.parametrize("damage", ["flipped", "empty"])
def test_a_damaged_one_is_made_again(tmp_path, damage):
    path, made = tmp_path / "net.safetensors", []
    find_or_make(path, maker(path, made))
    whole = path.read_bytes()
    path.write_bytes(b"" if damage == "empty" else whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.warns(UserWarning, match=r"net\.safetensors: damaged .*made again"):
        find_or_make(path, maker(path, made))
    assert len(made) == 2 and path.read_bytes() == whole
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_or_make(path, maker(path, made))
    assert len(made) == 2


def test_what_a_run_that_was_killed_at_its_end_left_is_cleaned(tmp_path):
    path = tmp_path / "net.safetensors"
    maker(path, [])(path.with_suffix(".work"))
    find_or_make(path, lambda work_dir: pytest.fail("made again"))
    assert [one.name for one in tmp_path.iterdir()] == ["net.safetensors"]
    assert torch.equal(load_checkpoint(path)[0]["x"], torch.arange(5.0))
