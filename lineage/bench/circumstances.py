"""What a result was measured with."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("lineage", "torch", "torchvision", "numpy", "scikit-learn", "opencv-python-headless", "numba")


def circumstances(program: str, device: torch.device) -> dict[str, str | dict[str, str]]:
    """The head of every results file: device, versions, commit, and how ``program`` was called."""
    return {
        "device": device_name(device),
        "versions": versions(),
        "commit": commit(),
        "command": " ".join([program, *sys.argv[1:]]),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def circumstances_line(results: Mapping[str, Any]) -> str:
    """The same as a table's last line says it."""
    return (
        f"{results['device']}, torch {results['versions']['torch']}, commit {results['commit']}: `{results['command']}`"
    )


def device_name(device: torch.device) -> str:
    """The device as a reader would name it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_model()}, {torch.get_num_threads()} threads"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Python's and the packages' versions; "absent" for one that is not installed by that name."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def commit() -> str:
    """The checkout's commit, "+" behind it when sources differ from it; "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        head = _git("rev-parse", "--short", "HEAD", cwd=here)
        changed = _git("status", "--porcelain", "--untracked-files=no", ":/", ":!/benchmarks/results", cwd=here)
        return head + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()
