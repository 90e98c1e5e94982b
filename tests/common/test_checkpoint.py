import json
import os
import stat

import pytest
import torch
from safetensors.torch import save_file

from lineage.common.checkpoint import CheckpointError, is_intact, load_checkpoint, save_checkpoint, write_atomically

STATE = {
    "conv.weight": torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 5),
    "half": torch.ones(3, dtype=torch.float16),
}
FACTS = {"classes": ["cat", "dog"], "generation": "rcnn", "recipe": {"context": 16, "scales": [None, 600]}}


@pytest.fixture
def saved(tmp_path):
    save_checkpoint(tmp_path / "d.safetensors", STATE, FACTS)
    return tmp_path / "d.safetensors"


def test_tensors_and_facts_come_back_as_they_were(saved):
    state, facts = load_checkpoint(saved)
    assert facts == FACTS
    assert state.keys() == STATE.keys()
    for name, tensor in STATE.items():
        assert state[name].dtype == tensor.dtype
        assert torch.equal(state[name], tensor)


def test_channels_last_and_transposed_tensors_come_back_as_they_were(tmp_path):
    state = {"c": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last), "t": torch.rand(3, 4).T}
    save_checkpoint(tmp_path / "x.safetensors", state, {})
    found, _ = load_checkpoint(str(tmp_path / "x.safetensors"))
    assert torch.equal(found["c"], state["c"]) and torch.equal(found["t"], state["t"])


def test_facts_that_hold_pass_and_tuples_count_as_lists(saved):
    load_checkpoint(saved, {"classes": ("cat", "dog"), "recipe": {"scales": (None, 600), "context": 16}})


@pytest.mark.parametrize(
    ("expect", "parts"),
    [
        ({"classes": ["cat", "horse"]}, ["classes", "['cat', 'dog']", "['cat', 'horse']"]),
        ({"generation": "sppnet"}, ["generation", "'rcnn'", "'sppnet'"]),
        ({"backbone": "tiny"}, ["backbone", "None", "'tiny'"]),
        ({"classes": ["dog", "cat"]}, ["classes", "['dog', 'cat']"]),  # the order is the meaning of the labels
    ],
)
def test_another_fact_is_named_with_the_file_and_both_values(saved, expect, parts):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(saved, {"recipe": FACTS["recipe"], **expect})
    assert str(saved) in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: no such checkpoint"):
        load_checkpoint(tmp_path / "nowhere.safetensors")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path)  # a folder


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_named(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"d\.safetensors: damaged or not a lineage checkpoint"):
        load_checkpoint(saved)


def test_no_byte_of_a_file_can_change_unseen(saved):
    whole = saved.read_bytes()
    for place in range(len(whole)):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=r"d\.safetensors: damaged or not a lineage checkpoint"):
            load_checkpoint(saved)
        assert not is_intact(saved)
    saved.write_bytes(whole)
    assert is_intact(saved) and load_checkpoint(saved)[1] == FACTS


def test_a_file_of_before_there_were_digests_is_read_as_it_is(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file(STATE, path, {"lineage": json.dumps(FACTS)})
    state, facts = load_checkpoint(path)
    assert facts == FACTS and torch.equal(state["conv.weight"], STATE["conv.weight"])
    assert not is_intact(path)


def test_facts_may_say_what_they_like_of_digests(tmp_path):
    words = '{"__metadata__":{"lineage sha256":"' + "a" * 64 + " "
    save_checkpoint(tmp_path / "d.safetensors", {words: torch.zeros(2)}, {words: words})
    assert load_checkpoint(tmp_path / "d.safetensors")[1] == {words: words}


def test_the_same_contents_make_the_same_bytes(saved, tmp_path):
    save_checkpoint(tmp_path / "again.safetensors", STATE, FACTS)
    assert saved.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_anothers_safetensors_and_any_other_file_are_named(tmp_path):
    plain, marked, text = (tmp_path / name for name in ("plain.safetensors", "marked.safetensors", "text.safetensors"))
    save_file({"x": torch.zeros(2)}, plain)
    save_file({"x": torch.zeros(2)}, marked, {"format": "pt"})
    text.write_text(json.dumps(FACTS))
    for path in (plain, marked, text):
        with pytest.raises(CheckpointError, match=f"{path.name}: damaged or not a lineage checkpoint"):
            load_checkpoint(path)


def test_a_pickle_and_anothers_header_are_told_for_what_they_are(tmp_path):
    new, old, plain = tmp_path / "new.pth", tmp_path / "old.pth", tmp_path / "plain.safetensors"
    torch.save(STATE, new)
    torch.save(STATE, old, _use_new_zipfile_serialization=False)
    for path in (new, old):
        with pytest.raises(CheckpointError, match=f"{path.name}: not a lineage checkpoint but a pickle"):
            load_checkpoint(path)
    save_file({"x": torch.zeros(2)}, plain)
    with pytest.raises(CheckpointError, match="its header has no facts of a detector"):
        load_checkpoint(plain)


def test_a_header_that_begins_as_a_pickle_does_is_no_pickle(tmp_path):
    path = tmp_path / "d.safetensors"
    for filling in range(300):
        save_checkpoint(path, {"x": torch.zeros(2)}, {"filling": "x" * filling})
        if path.read_bytes()[0] == 0x80:  # the header's length, in bytes
            break
    assert path.read_bytes()[0] == 0x80
    assert load_checkpoint(path)[1] == {"filling": "x" * filling}


# ---- write_atomically ---------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "f.bin"
    path.write_bytes(b"old")

    def fail(temporary):
        temporary.write_bytes(b"half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    def interrupt(temporary):
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "f.bin", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "f.bin"
    path.write_bytes(b"old")
    seen = []

    def write(temporary):
        temporary.write_bytes(b"new")
        seen.append((path.read_bytes(), temporary.parent, temporary.suffix))

    write_atomically(path, write)
    assert seen == [(b"old", tmp_path, ".bin")]  # the same folder, so that the move is a rename
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_contents_are_on_the_disk_before_their_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    done, sync, move = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(stat.S_ISDIR(os.fstat(handle).st_mode)), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("named"), move(*paths)))
    write_atomically(tmp_path / "f.bin", lambda temporary: temporary.write_bytes(b"x"))
    assert done == [False, "named", True]


def test_folders_are_made_and_others_may_read_what_the_umask_lets_them(tmp_path):
    path = tmp_path / "a" / "b" / "f.bin"
    previous = os.umask(0o022)
    try:
        write_atomically(path, lambda temporary: temporary.write_bytes(b"x"))
    finally:
        assert os.umask(previous) == 0o022  # left as it was
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
