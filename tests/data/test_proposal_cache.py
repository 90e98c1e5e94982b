"""Proposals are computed once a picture, survive interruption, and are never served stale or damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from voc_folder import annotation

from lineage.data.findings import VOCFormatError
from lineage.data.proposals import ProposalError, cached_proposals
from lineage.data.voc import VOCDataset

COUNT = 6


def propose(
    pixels: np.ndarray, log: Path, factor: float = 1.0, fail: int | None = None, how: str = "error"
) -> np.ndarray:
    """One box, and one more for every unit of the picture's grey level; logs each call; fails on a given level."""
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    level = int(pixels[0, 0, 0])
    with log.open("a") as file:
        file.write(f"{level}\n")
    if level == fail:
        if how == "error":
            raise ZeroDivisionError("too flat")
        if how == "interrupt":
            raise KeyboardInterrupt
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return {"nan": np.full((1, 4), np.nan), "shape": np.zeros((3, 5))}[how]
    height, width = pixels.shape[:2]
    return np.tile(np.float32([0, 0, width, height * factor]), (level + 1, 1))


def calls(log: Path) -> list[int]:
    return sorted(set(map(int, log.read_text().split()))) if log.exists() else []


def draw(root: Path, index: int, level: int) -> None:
    Image.new("RGB", (8 + index, 6), (level, 0, 255)).save(root / "JPEGImages" / f"{index}.png")


@pytest.fixture
def pictures(tmp_path: Path) -> VOCDataset:
    root = tmp_path / "voc"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    for index in range(COUNT):
        draw(root, index, index)
        (root / "Annotations" / f"{index}.xml").write_text(annotation([("dog", (1, 1, 5, 5))], 8 + index, 6))
    (root / "ImageSets" / "Main" / "train.txt").write_text("\n".join(map(str, range(COUNT))))
    return VOCDataset(root, "train")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "calls.txt"


def check(found: list[torch.Tensor]) -> None:
    assert [tuple(boxes.shape) for boxes in found] == [(index + 1, 4) for index in range(COUNT)]
    assert all(boxes.dtype == torch.float32 for boxes in found)
    assert [boxes[0].tolist() for boxes in found] == [[0, 0, 8 + index, 6] for index in range(COUNT)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_in_the_order_of_the_dataset_and_only_once(pictures: VOCDataset, log: Path, tmp_path: Path, jobs: int) -> None:
    check(cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=jobs))
    assert calls(log) == list(range(COUNT))
    log.unlink()
    check(cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=jobs))
    assert calls(log) == []


def test_no_proposal_is_an_answer(pictures: VOCDataset, tmp_path: Path) -> None:
    found = cached_proposals(pictures, lambda pixels: np.zeros((0, 4), np.float32), "none", tmp_path / "c", jobs=1)
    assert [tuple(boxes.shape) for boxes in found] == [(0, 4)] * COUNT


def test_another_key_is_another_cache(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)
    found = cached_proposals(pictures, partial(propose, log=log, factor=0.5), "b", tmp_path / "cache", jobs=1)
    assert found[0][0].tolist() == [0, 0, 8, 3]
    check(cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1))


def test_a_changed_picture_is_computed_anew_and_no_other(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)
    log.unlink()
    path = pictures.image_path(2)
    draw(pictures.root, 2, 40)
    os.utime(path, (1, 1))
    found = cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)
    assert calls(log) == [40] and found[2].shape == (41, 4)


def test_one_name_in_two_datasets_and_a_dataset_that_was_moved(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    check(cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1))
    log.unlink()
    root, other = pictures.root, tmp_path / "other"
    root.rename(other)
    moved = VOCDataset(other, "train")
    check(cached_proposals(moved, partial(propose, log=log), "a", tmp_path / "cache", jobs=1))
    assert calls(log) == []
    draw(other, 0, 50)  # the same name, another picture
    cached_proposals(moved, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)
    assert calls(log) == [50]


def flipped(content: bytes) -> bytes:
    """One bit of a box."""
    return content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "words", "other shape", "gone", "pickle"])
def test_a_damaged_file_is_computed_anew(pictures: VOCDataset, log: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    cached_proposals(pictures, partial(propose, log=log), "a", cache, jobs=1)
    file = next(path for path in sorted(cache.rglob("*.npy")) if path.name.startswith("3-"))
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "other shape":
        np.save(file, np.zeros((4, 3), np.float32))
    elif damage == "pickle":
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    else:
        half = whole[: len(whole) // 2]
        file.write_bytes({"empty": b"", "half": half, "flipped": flipped(whole), "words": b"not an array"}[damage])
    log.unlink()
    check(cached_proposals(pictures, partial(propose, log=log), "a", cache, jobs=1))
    assert calls(log) == [3]
    assert file.read_bytes() == whole, "and mended on disk"


def test_a_file_of_before_there_were_digests_is_read_as_it_is(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    found = cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)
    log.unlink()
    for file, boxes in zip(sorted((tmp_path / "cache").rglob("*.npy")), found):
        np.save(file, boxes.numpy())
    check(cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1))
    assert calls(log) == []


@pytest.mark.parametrize(("how", "error"), [("error", ProposalError), ("interrupt", KeyboardInterrupt)])
def test_what_was_done_before_a_stop_is_kept(
    pictures: VOCDataset, log: Path, tmp_path: Path, how: str, error: type
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(error):
        cached_proposals(pictures, partial(propose, log=log, fail=4, how=how), "a", cache, jobs=1)
    log.unlink()
    check(cached_proposals(pictures, partial(propose, log=log), "a", cache, jobs=1))
    assert calls(log) == [4, 5]
    assert not list(cache.glob("*/.*")), "no half files"


def test_what_was_done_before_a_kill_is_kept(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    program = (
        "import sys; from functools import partial; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_proposal_cache import propose\n"
        "from lineage.data.proposals import cached_proposals; from lineage.data.voc import VOCDataset\n"
        f"work = partial(propose, log=Path({str(log)!r}), fail=3, how='kill')\n"
        f"cached_proposals(VOCDataset({str(pictures.root)!r}, 'train'), work, 'a', Path({str(cache)!r}), jobs=1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    log.unlink()
    check(cached_proposals(pictures, partial(propose, log=log), "a", cache, jobs=1))
    assert calls(log) == [3, 4, 5]


@pytest.mark.parametrize(
    ("fail", "how", "jobs"), [(0, "error", 1), (4, "error", 1), (4, "error", 2), (4, "nan", 1), (4, "shape", 1)]
)
def test_a_failure_names_the_picture(
    pictures: VOCDataset, log: Path, tmp_path: Path, fail: int, how: str, jobs: int
) -> None:
    with pytest.raises(ProposalError, match=rf"{fail}\.png: .*(too flat|finite)"):
        cached_proposals(pictures, partial(propose, log=log, fail=fail, how=how), "a", tmp_path / "cache", jobs=jobs)


def test_a_corrupt_picture_is_named(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    pictures.image_path(1).write_bytes(b"no picture")
    with pytest.raises(VOCFormatError, match=r"1\.png"):
        cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)


def test_each_picture_is_computed_once(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)
    assert sorted(map(int, log.read_text().split())) == list(range(COUNT))


def test_the_caller_keeps_its_threads(pictures: VOCDataset, log: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        cached_proposals(pictures, partial(propose, log=log), "a", tmp_path / "cache", jobs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("seed", range(12))
def test_any_damage_to_the_header_is_mended(pictures: VOCDataset, log: Path, tmp_path: Path, seed: int) -> None:
    cache = tmp_path / "cache"
    cached_proposals(pictures, partial(propose, log=log), "a", cache, jobs=1)
    file = next(path for path in sorted(cache.rglob("*.npy")) if path.name.startswith("3-"))
    damaged = bytearray(file.read_bytes())
    damaged[10:74] = np.random.default_rng(seed).integers(32, 127, 64, dtype=np.uint8).tobytes()
    file.write_bytes(b"PK\x03\x04" + damaged if seed == 0 else damaged)
    check(cached_proposals(pictures, partial(propose, log=log), "a", cache, jobs=1))
