"""Processes that work for another one: the same results, and an end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lineage.common.workers import in_processes


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_or_as_they_are_done(jobs):
    tasks = [(-number,) for number in range(30)]
    assert list(in_processes(abs, tasks, jobs)) == list(range(30))
    assert sorted(in_processes(abs, tasks, jobs, ordered=False)) == list(range(30))
    assert list(in_processes(divmod, [(7, 2)], jobs)) == [(3, 1)]


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(ValueError, match="invalid literal"):
        list(in_processes(int, [("1",), ("x",)], 2))


PARENT = """
import os, sys, time
sys.path.insert(0, {here!r})
from lineage.common.workers import in_processes
from test_workers import said_and_slow
for _ in in_processes(said_and_slow, [({folder!r},)] * 2, 2):
    pass
"""


def said_and_slow(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(120)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_whoever_is_killed_leaves_no_process_and_no_shared_memory(tmp_path):
    shared = set(Path("/dev/shm").iterdir())
    code = PARENT.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(workers := [int(path.name) for path in tmp_path.iterdir()]) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(workers) == 2 and all(map(alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while (any(map(alive, workers)) or set(Path("/dev/shm").iterdir()) - shared) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers)) and not set(Path("/dev/shm").iterdir()) - shared


def test_relative_paths_are_meant_from_where_the_caller_is(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert {*in_processes(os.getcwd, [()] * 4, jobs=2)} == {str(tmp_path / name)}


def test_the_callers_own_folder_is_left_alone(tmp_path, monkeypatch):
    found = in_processes(os.getcwd, [()], jobs=1)
    monkeypatch.chdir(tmp_path)
    assert [*found] == [str(tmp_path)] and os.getcwd() == str(tmp_path)
