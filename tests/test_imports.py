"""Imports run one way: a generation may use what it inherited, nothing from a later one."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lineage"
BASE = {"common", "data", "backbones", "selective_search"}
TRUNK = {"rcnn", "sppnet", "fast_rcnn", "faster_rcnn"}
TRAINS = BASE | TRUNK | {"evaluation", "experiments", "cli", "viz"}  # what a command that trains or detects stands on
MAY_IMPORT = {
    "common": {"common"},
    "evaluation": {"common", "evaluation"},
    "data": {"common", "data"},
    "backbones": {"common", "backbones"},
    "selective_search": {"common", "selective_search"},
    "rcnn": BASE | {"rcnn"},
    "sppnet": BASE | {"rcnn", "sppnet"},
    "fast_rcnn": BASE | {"fast_rcnn"},
    "faster_rcnn": BASE | {"fast_rcnn", "faster_rcnn"},
    "experiments": BASE | TRUNK | {"evaluation", "experiments"},
    "viz": BASE | TRUNK | {"evaluation", "viz"},
    "detection": {"common", "data", "detection", "evaluation", "viz"},  # a detector comes to it as an argument
    "cli": BASE | {"experiments"},
    "check": TRAINS,
    "train": TRAINS,
    "detect": TRAINS | {"detection"},
    "evaluate": TRAINS,
    "convert": {"cli", "data", "experiments"},
    "notebook": TRAINS,
    "bench": TRAINS | {"bench"},
    "course": TRAINS | {"bench", "course"},  # course bench times a detector on a reader's own functions
    "__init__": set(),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The package directly under lineage, or a top module's own name."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(tree: ast.Module, path: Path) -> set[str]:
    """Everything of lineage that a module imports, at its top or inside a function, plainly or relatively."""
    package = ["lineage", *path.relative_to(PACKAGE).parent.parts]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("lineage.")}


def test_every_room_has_its_rule():
    assert {room(path) for path in MODULES} == {*MAY_IMPORT}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    found = imported_rooms(ast.parse(path.read_text(encoding="utf-8")), path)
    allowed = MAY_IMPORT[room(path)]
    assert found <= allowed, f"{path.relative_to(PACKAGE.parent)} imports {sorted(found - allowed)}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import lineage.rcnn.svm as s", {"rcnn"}),
        ("from lineage import sppnet", {"sppnet"}),
        ("from lineage.rcnn.svm import LinearSVMs", {"rcnn"}),
        ("def f():\n    from ..sppnet.head import PyramidHead", {"sppnet"}),
        ("from . import boxes", {"common"}),
        ("import torch", set()),
    ],
)
def test_the_rule_sees_every_way_to_import(line, expected):
    assert imported_rooms(ast.parse(line), PACKAGE / "common" / "nms.py") == expected


def test_importing_lineage_loads_no_heavy_library():
    heavy = {"torch", "torchvision", "numba", "matplotlib", "cv2", "sklearn", "numpy", "skimage", "pycocotools"}
    code = "import lineage, sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert "lineage" in done.stdout.split()
    assert set(done.stdout.split()) & heavy == set()


@pytest.mark.parametrize("generation", ["rcnn", "sppnet", "fast_rcnn", "faster_rcnn"])
def test_a_detector_is_read_in_one_sitting(generation):
    lines = (PACKAGE / generation / "detector.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120
