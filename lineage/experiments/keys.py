"""What a trained model's name is made of: a model is found again exactly when nothing that made it has changed."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lineage
from lineage.backbones.weights import weights_file
from lineage.data.pictures import contents_digest
from lineage.data.voc import VOCDataset

ROOT = Path(lineage.__file__).parent.parent
# What a training imports, and no number depends on: bars, stopwatches and files; and what reads names and annotations,
# since the targets themselves are in the data's digest.
WITHOUT_EFFECT = (
    "lineage.common.checkpoint", "lineage.common.interrupts", "lineage.common.locks", "lineage.common.progress",
    "lineage.common.stages",
    "lineage.data.annotation", "lineage.data.class_list", "lineage.data.findings", "lineage.data.layout",
    "lineage.data.splits",
)  # fmt: skip


def digest_of(facts: dict[str, Any]) -> str:
    """Sixteen letters that name these facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def data_digest(dataset: VOCDataset) -> str:
    """Changes with the split, the class list, a picture's contents or anything that a target is made of.

    Of annotations the targets count and not the files, so that a comment or a pose costs nobody a training.
    """
    digest = hashlib.sha256(repr(dataset.classes).encode())
    for index, name in enumerate(dataset.ids):
        target = dataset.target(index)
        digest.update(f"{name} {contents_digest(dataset.image_path(index))}".encode())
        for field in ("boxes", "labels", "difficult"):
            digest.update(target[field].numpy().tobytes())
    return digest.hexdigest()[:16]


def proposals_digest(proposals: list[Tensor]) -> str:
    """Of every picture's boxes (R, 4), whoever proposed them."""
    digest = hashlib.sha256()
    for boxes in proposals:
        digest.update(f"{len(boxes)} ".encode() + boxes.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Of tensors by their names, in whatever order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())  # of bfloat16, too, which NumPy has not
    return digest.hexdigest()


def name_or_contents(weights: str) -> str:
    """A published name as it is; a file, or what lies at an address, by what it holds."""
    file = weights_file(weights)
    return contents_digest(file) if file is not None and file.is_file() else weights


@functools.cache
def code_digest(*modules: str) -> str:
    """Of these modules of the package and all that they import of it, as parsed code: comments, docstrings and
    layout do not count, nor do imports for type checkers only.
    """
    digest = hashlib.sha256()
    for name in sorted(_closure(modules)):
        path = _file_of(name)
        assert path is not None
        digest.update(f"{name}\n{ast.unparse(_without_docstrings(_parse(path)))}\n".encode())
    return digest.hexdigest()[:16]


def _closure(modules: tuple[str, ...]) -> set[str]:
    """The modules, what they import, what that imports, and so on."""
    waiting, found = [*modules], set[str]()
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or name in found or name in WITHOUT_EFFECT:
            continue
        found.add(name)
        waiting.append(name.rpartition(".")[0])  # a package is imported before what is in it
        waiting += _imports(_parse(path))
    return found


def _file_of(name: str) -> Path | None:
    """The source of a module of this package; None for all else."""
    if name.split(".")[0] != "lineage":
        return None
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Names that a module imports, at its top or inside a function; ``from a import b`` may mean a module a.b."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, "this package imports by full names"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield from _imports(node)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
