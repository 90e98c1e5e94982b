"""What a result was measured with."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("lineage", "torch", "torchvision", "numpy", "scikit-learn", "opencv-python-headless", "numba")


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
    """The checkout's commit, "+" behind it when files differ from it; "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        head = _git("rev-parse", "--short", "HEAD", cwd=here)
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no", cwd=here) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()
