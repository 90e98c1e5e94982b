"""A run that is killed after each file that it makes: nothing is made twice, the end is the same, nothing is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"


@pytest.mark.parametrize("phase", ["R-CNN", "Faster R-CNN, 4 steps"])
def test_killed_after_each_file(phase):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--everywhere", "--phases", phase], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "each made once" in done.stdout
