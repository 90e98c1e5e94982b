"""A process is let alone within its limits, and reported beyond each of them, with all that it has started."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from lineage.course import watch
from lineage.course.watch import BeyondLimits

GB = 2**30


@pytest.fixture
def start():
    started = []

    def run(code):
        started.append(subprocess.Popen([sys.executable, "-c", code]))
        return started[-1]

    yield run
    for process in started:
        watch.kill(process)


def test_killing_takes_the_whole_family(start, tmp_path):
    """Also one with a session of its own, as Jupyter gives its kernels."""
    tell = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))"
    process = start(
        "import subprocess, time\nchild = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"{tell}\ntime.sleep(60)"
    )
    while not ((tmp_path / "pid").is_file() and (text := (tmp_path / "pid").read_text())):
        assert process.poll() is None
        time.sleep(0.05)
    watch.kill(process)
    assert process.returncode < 0
    for _ in range(100):
        if not psutil.pid_exists(int(text)):
            return
        time.sleep(0.1)
    raise AssertionError(psutil.Process(int(text)))


def test_it_waits_for_the_end(start):
    process = start("import time; time.sleep(0.6)")
    watch.watch(process, 60, GB)
    assert process.returncode == 0


def test_time(start):
    with pytest.raises(BeyondLimits, match=r"took longer than 0\.5 s"):
        watch.watch(start("import time; time.sleep(60)"), 0.5, GB)


def test_number_of_processes(start, monkeypatch):
    monkeypatch.setattr(watch, "MOST_PROCESSES", 3)
    code = "import subprocess, sys\nfor _ in range({}): subprocess.Popen(['sleep', '{}'])\nimport time; time.sleep({})"
    watch.watch(start(code.format(2, 1, 1)), 60, GB)
    with pytest.raises(BeyondLimits, match="started more than 3 processes"):
        watch.watch(start(code.format(3, 60, 60)), 60, GB)


def test_memory_of_all_together(start):
    """Two processes, of which neither has too much by itself."""
    hoard = "hoard = bytes(range(256)) * 600_000; import time; time.sleep({})"  # 150 MB
    both = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {hoard!r}])\n{hoard}"
    watch.watch(start(hoard.format(1)), 60, GB // 4)
    with pytest.raises(BeyondLimits, match=r"its processes together took more than 0\.25 GB"):
        watch.watch(start(both.replace("{}", "60")), 60, GB // 4)
