"""What in a student's code could get at the tests, which run in the same process: for a person to look at."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from IPython.core.inputtransformer2 import TransformerManager

# Ways to other people's functions and modules that no exercise needs.
NAMES = {
    "sys", "gc", "inspect", "builtins", "importlib", "ctypes", "mock", "__builtins__", "__import__", "globals", "vars",
    "setattr", "delattr", "exec", "eval", "compile", "get_ipython",
}  # fmt: skip
ATTRIBUTES = {"__globals__", "__code__", "__closure__", "__dict__", "__builtins__", "__subclasses__", "f_back"}


def imported(sources: Iterable[str]) -> set[str]:
    """Every name that an import in one of these cells binds."""
    nodes = (node for source in sources for node in ast.walk(_parsed(source)))
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {(name.asname or name.name).split(".")[0] for node in imports for name in node.names}


def reached_for(source: str, modules: set[str]) -> list[str]:
    """The names of the above that the code of a cell uses, attributes of ``modules`` that it sets, and its globals.

    Empty for code that is not Python: it never ran.
    """
    found = set()
    for node in ast.walk(_parsed(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            parts = {part for name in node.names for part in name.name.split(".")}
            found |= NAMES & (parts | set((getattr(node, "module", None) or "").split(".")))
        elif isinstance(node, ast.Name) and node.id in NAMES:
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            written = not isinstance(node.ctx, ast.Load) and _root(node) in modules
            if written or node.attr in ATTRIBUTES:
                found.add(ast.unparse(node))
        elif isinstance(node, ast.Global):
            found.add(f"global {', '.join(node.names)}")
    return sorted(found)


def _root(node: ast.expr) -> str | None:
    """``torch`` of ``torch.nn.functional.relu``."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(TransformerManager().transform_cell(source))  # makes calls of %magics
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])
