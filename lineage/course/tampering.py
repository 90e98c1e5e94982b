"""What in a student's code tries to get at the tests, for a person to look at: some run in the same process."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from IPython.core.inputtransformer2 import TransformerManager

# Ways to other people's functions and modules that no exercise needs.
NAMES = {
    "sys", "gc", "inspect", "linecache", "builtins", "importlib", "ctypes", "mock", "__builtins__", "__import__",
    "globals", "vars", "setattr", "delattr", "exec", "eval", "compile", "get_ipython", "In", "_ih",
    "interactiveshell", "InteractiveShell", "runpy", "__torch_function__", "__eq__",
}  # fmt: skip
ATTRIBUTES = {"__globals__", "__code__", "__closure__", "__dict__", "__builtins__", "__subclasses__", "f_back"}


def imported(sources: Iterable[str]) -> set[str]:
    """Every name that an import in one of these cells binds."""
    nodes = (node for source in sources for node in ast.walk(parsed(source)))
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {(name.asname or name.name).split(".")[0] for node in imports for name in node.names}


def reached_for(source: str, modules: set[str]) -> list[str]:
    """The names of the above that the code of a cell uses, attributes of ``modules`` that it sets, and its globals.

    Empty for code that is not Python: it never ran.
    """
    found = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            parts = {part for name in node.names for part in name.name.split(".")}
            found |= NAMES & (parts | set((getattr(node, "module", None) or "").split(".")))
        elif isinstance(node, ast.Name) and node.id in NAMES:
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef) and node.name in NAMES:
            found.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.add(f"another name for {node.value.id}")
        elif isinstance(node, ast.Attribute):
            path = _dotted(node)
            if node.attr in ATTRIBUTES or (path[0] in modules and not isinstance(node.ctx, ast.Load)):
                found.add(".".join(path)[:80])
        elif isinstance(node, ast.Global):
            found.add(f"global {', '.join(node.names)}")
    return sorted(found)


def _dotted(node: ast.expr) -> list[str]:
    """torch, nn, functional, relu of ``torch.nn.functional.relu``."""
    path = []
    while isinstance(node, ast.Attribute):
        path.append(node.attr)
        node = node.value
    return [*path, node.id if isinstance(node, ast.Name) else "..."][::-1]


def parsed(source: str) -> ast.Module:
    """The code of a cell; nothing of one that is not Python."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))  # makes calls of %magics
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])
