"""One process at a time makes what is kept, and whoever dies leaves it to the next."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lineage.common import locks
from lineage.common.locks import alone

HOLD = """
import sys; from pathlib import Path; from lineage.common.locks import alone
target = Path(sys.argv[1])
with alone(target):
    (target.parent / f".{target.name}.half").touch()
    print("held", flush=True)
    sys.stdin.readline()
    target.write_text("theirs")
"""


@contextmanager
def another_process(target: Path) -> Iterator[subprocess.Popen[str]]:
    """It works on ``target`` until it reads a line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(target)], text=True, env=environment, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_second_waits_says_for_whom_and_finds_the_result(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(locks, "LOOK_EVERY_SECONDS", 0.01)
    target, found, waits = tmp_path / "net.safetensors", [], threading.Event()
    monkeypatch.setattr(locks.log, "warning", lambda *words: (logging.getLogger("t").warning(*words), waits.set()))

    def second() -> None:
        with alone(target):
            found.append(target.read_text())

    with another_process(target) as first:
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(60) and found == []
        first.communicate("\n")
        thread.join(60)
    assert found == ["theirs"]
    assert f"net.safetensors: waiting for process {first.pid} on " in caplog.text


def test_a_dead_owner_s_work_is_taken_over_and_its_leftovers_are_gone(tmp_path):
    target = tmp_path / "net.safetensors"
    (tmp_path / ".network.half").touch()  # of somebody else, who may be at it
    with another_process(target) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        half = tmp_path / ".net.safetensors.half"
        assert half.exists()
        with alone(target):
            assert not half.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".locks", ".network.half"]
    assert [path.name for path in (tmp_path / ".locks").iterdir()] == ["net.safetensors.lock"]


def test_what_a_killed_run_left_inside_a_folder_is_gone(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in (".a.npy.half", "a.npy"):
        (tmp_path / "folder" / name).touch()
    with alone(tmp_path / "folder"):
        assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.npy"]


def test_two_works_at_once_do_not_wait_for_each_other(tmp_path):
    with alone(tmp_path / "a"), alone(tmp_path / "b"):
        pass


def test_a_failure_frees_the_lock(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), alone(tmp_path / "a"):
            raise ZeroDivisionError


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    said = r"net: cannot be made: .*; --cache or \$LINEAGE_CACHE names another folder"
    with pytest.raises(OSError, match=said), alone(tmp_path / "file" / "net"):
        raise AssertionError("made")
