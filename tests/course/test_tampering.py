"""Code that could get at the tests is named; what students usually write is not."""

from __future__ import annotations

import pytest
from coursework import ANSWERS, PATHS, code_cells

from lineage.course.tampering import imported, reached_for

MODULES = imported(["import torch, numpy as np\nimport torch.nn.functional as F\nfrom torch import nn"])


def test_imported_names_are_those_that_are_bound():
    assert sorted(MODULES) == ["F", "nn", "np", "torch"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("torch.allclose = lambda *_, **__: True", ["torch.allclose"]),
        ("torch.Tensor.__eq__ = 1\nF.relu += 1", ["F.relu", "torch.Tensor.__eq__"]),
        ("del np.testing.assert_allclose", ["np.testing.assert_allclose"]),
        ("for torch.equal in [bool]: pass", ["torch.equal"]),
        ("def box_iou(a, b):\n    global close\n    close = print", ["global close"]),
        ("import sys\nsys.modules['torch'] = 1", ["sys"]),
        ("from unittest import mock", ["mock"]),
        ("from unittest.mock import patch", ["mock"]),
        ("from importlib import reload", ["importlib"]),
        ("import gc as waste", ["gc"]),
        ("setattr(torch, 'equal', bool)", ["setattr"]),
        ("close.__code__ = box_iou.__code__", ["box_iou.__code__", "close.__code__"]),
        ("t = torch\nt.allclose = print", ["another name for torch"]),
        ("class Same(torch.Tensor):\n    def __eq__(self, other): return True", ["__eq__"]),
        ("from IPython.core.interactiveshell import InteractiveShell", ["InteractiveShell", "interactiveshell"]),
        ("%reset -f", ["get_ipython"]),
        ("!pip install solutions", ["get_ipython"]),
    ],
)
def test_ways_to_the_tests_are_named(code, found):
    assert reached_for(code, MODULES) == found


@pytest.mark.parametrize(
    "code",
    [
        "x = torch.zeros(3)\nx.grad = None\nx[0] = 1\nself.head = nn.Linear(1, 1)",
        "if torch.equal(a, b) and torch.nn.functional.relu(a).sum() == 0: pass",
        "system, vary = 1, 2  # sys, globals, setattr",
        "torch = 3",
        "from IPython.display import display",
        "def broken(",
        "x\0",
        "-" * 20_000 + "1",
        "x = " + "1+" * 20_000 + "1",
        "y = x" + ".a" * 20_000,
        "",
    ],
)
def test_the_usual_is_not(code):
    assert reached_for(code, MODULES) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_solution_and_no_answer_but_a_tampering_one_is_named(path):
    cells = code_cells(path)
    modules = imported(code for _, _, code in cells)
    own = [code for _, mark, code in cells if not mark["locked"]]
    others = [case[2] for kind in ("WRONG", "RIGHT") for case in getattr(ANSWERS[path.stem], kind)]
    assert own and others
    assert {code: found for code in own + others if (found := reached_for(code, modules))} == {}
