"""What has solutions in it is nobody else's, and does not outlive by much the process that made it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from lineage.course.temporary import PREFIX, temporary_folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def old(folder):
    os.utime(folder, (0, 0))
    return folder


def test_it_is_nobody_elses_and_gone_afterwards(place):
    with temporary_folder() as folder:
        assert folder.parent == place and folder.stat().st_mode & 0o077 == 0
        (folder / "solution").touch()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(place):
    code = (
        "import os\nfrom lineage.course.temporary import temporary_folder\n"
        "with temporary_folder() as folder:\n    (folder / 'solution').touch()\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(place)})
    (left,) = place.iterdir()
    others = place / "others"
    others.mkdir()
    link = place / f"{PREFIX}link"
    link.symlink_to(others)
    with temporary_folder() as mine, temporary_folder() as second:  # it may be about to be held
        assert set(place.iterdir()) == {left, others, link, mine, second}
        old(mine), old(left)
        with temporary_folder():
            assert mine.is_dir() and not left.exists() and others.is_dir()
