"""python benchmarks/startup.py: how long the package takes to start, against torch and torchvision alone."""

from __future__ import annotations

import subprocess
import sys

import torch
from side_by_side import compare, write

from lineage.experiments.generations import GENERATIONS, TABLE

FOUR = "import " + ", ".join(f"{TABLE[name].package}.train" for name in GENERATIONS)


def python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    alone = ("-c", "import torch, torchvision")
    rows = [
        compare(
            "import of all four generations", lambda: python("-c", FOUR),
            "import torch, torchvision", lambda: python(*alone), goal=1.2, remark="each in a process of its own",
        ),
        compare(
            "python -m lineage.bench --help", lambda: python("-m", "lineage.bench", "--help"),
            "import torch, torchvision", lambda: python(*alone), remark="torch is not loaded for it",
        ),
    ]  # fmt: skip
    write("startup", "Start-up", rows, torch.device("cpu"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
