"""python benchmarks/capstone.py: what assignment A7's solution reaches, and typical mistakes in it.

The bars of A7 come from here. One thread, as grading has it. Writes benchmarks/results/capstone.json after every run.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import torch

from lineage.bench.circumstances import circumstances
from lineage.common.checkpoint import write_atomically

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "notebooks" / "assignments" / "source"
NAME = "A7_faster_rcnn"
OUT = ROOT / "benchmarks" / "results" / "capstone.json"
SEEDS = (0, 1, 2)
# The solution cells of the other assignments that A7 asks for; A5's RoI pooling, bin by bin, is too slow to train with.
PIECES = {
    "A1": ("iou", "nms"), "A3": ("encode", "decode"), "A5": ("smooth", "loss"),
    "A6": ("base", "grid", "targets", "sample", "loss", "proposals"),
}  # fmt: skip
NOT_RUN = ("compare", "whole", "look")
MISTAKES = {  # cell, what stands there, what stands there wrongly
    "no suppression": ("detect", "stay = nms(boxes, values, settings.nms_iou)", "stay = torch.arange(len(values))"),
    "x and y swapped in clipping": ("detect", ".clamp(0, width)", ".clamp(0, height)"),
    "RoIs of the first picture for all": ("losses", "F.pad(boxes, (1, 0), value=b)", "F.pad(boxes, (1, 0))"),
    "boxes not mirrored with their pictures": (
        "train", "torch.stack([width - x2, y1, width - x1, y2], dim=1)", 'target["boxes"]',
    ),
    "no warm-up": ("train", "warm = min(1, (step + 1) / (SOLVER.warmup + 1))", "warm = 1.0"),
}  # fmt: skip


def cells(path: Path) -> dict[str, str]:
    """The code of a source notebook's cells, by id."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {c["metadata"]["nbgrader"]["grade_id"]: "".join(c["source"]) for c in found if c["cell_type"] == "code"}


def own_pieces() -> str:
    """The pieces from the solutions of the assignments before, loops and all."""
    parts = [
        "import math\nimport torch\nimport torch.nn.functional as F\nfrom lineage.fast_rcnn.roi_pool import roi_pool"
    ]
    for stem, names in PIECES.items():
        (path,) = SOURCE.glob(f"{stem}_*/{stem}_*.ipynb")
        parts += [re.sub(r" *### (?:BEGIN|END) SOLUTION\n?", "", cells(path)[name]) for name in names]
    return "\n\n".join(parts)


def run(code: dict[str, str], seed: int) -> float:
    """Run the notebook's cells; mAP on the test pictures."""
    code["data"] = code["data"].replace("pretrained()", f"pretrained(seed={seed})")
    code["training"] = (
        code["training"].replace("manual_seed(0)", f"manual_seed({seed})").replace("seed=0", f"seed={seed}")
    )
    names: dict[str, Any] = {"__name__": "__main__"}
    for name, text in code.items():
        if name not in NOT_RUN:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):  # of tests
                exec(text, names)
    if names["why"] is not None:
        raise RuntimeError(names["why"])
    return names["quality"].map


def main() -> int:
    torch.set_num_threads(1)
    solution = cells(SOURCE / NAME / f"{NAME}.ipynb")
    own = {**solution, "pieces": own_pieces()}
    variants = {"the solution": (solution, SEEDS), "with the pieces of A1 to A6, RoI pooling excepted": (own, (0,))}
    for mistake, (cell, right, wrong) in MISTAKES.items():
        assert right in solution[cell], mistake
        variants[mistake] = ({**solution, cell: solution[cell].replace(right, wrong)}, (0,))
    results = {**circumstances("python benchmarks/capstone.py", torch.device("cpu")), "capstone": {}}
    for name, (code, seeds) in variants.items():
        start = time.perf_counter()
        runs = [run(dict(code), seed) for seed in seeds]
        results["capstone"][name] = {"map_values": runs}
        print(name, results["capstone"][name], f"{time.perf_counter() - start:.0f} s", flush=True)
        write_atomically(OUT, lambda path: path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
