"""A recipe as a table: every value with the source that its own file names beside it."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import io
import textwrap
import tokenize
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.experiments.generations import TITLES, named_recipe

if TYPE_CHECKING:
    from rich.table import Table


class Row(NamedTuple):
    """One value of a recipe."""

    name: str  # with dots where it is nested: "rpn.scales"
    value: Any
    source: str  # the comments beside it: of the recipe's own line first, then of the field's


def explain(generation: str, recipe: str) -> list[Row]:
    """Every value of a named recipe ("quick", "evening" or "paper"), nested ones included, in the order of the file.

    The sources are read from the comments in ``recipe.py``, so that there is no second list to keep.
    """
    chosen = named_recipe(generation, recipe)
    module = importlib.import_module(type(chosen).__module__)
    return _rows(chosen, "", _comments_of_call(inspect.getsource(module), recipe.upper()), generation)


def recipe_table(generation: str, recipe: str) -> Table:
    """The same for a terminal."""
    from rich.table import Table

    table = Table("field", "value", "source", title=f"{TITLES[generation]}, recipe {recipe}")
    above = ""
    for row in explain(generation, recipe):
        table.add_row(row.name, str(row.value), '"' if row.source and row.source == above else row.source)
        above = row.source
    return table


def _rows(settings: Any, prefix: str, beside: dict[str, str], generation: str) -> list[Row]:
    """``beside``: comments on the lines that make these settings, by the field's dotted name."""
    rows = []
    comments = _comments_of_class(type(settings), generation)
    for field in dataclasses.fields(settings):
        name, value = prefix + field.name, getattr(settings, field.name)
        own = [beside.get(name, ""), comments.get(field.name, "")]
        if dataclasses.is_dataclass(value):
            inner = _rows(value, f"{name}.", beside, generation)
            rows += [row._replace(source=_join([row.source, *own])) for row in inner]
        else:
            rows.append(Row(name, value, _join(own)))
    return rows


def _join(parts: list[str]) -> str:
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _comments(source: str) -> dict[int, str]:
    """Line number -> its comment, without what is meant for the formatter."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            parts = [part.strip() for part in token.string.split("#")]
            found[token.start[0]] = _join([part for part in parts if part != "fmt: skip"])
    return found


def _beside(node: ast.stmt | ast.expr, comments: dict[int, str]) -> str:
    """The comment on a node's first line, or on its last."""
    return comments.get(node.lineno) or comments.get(node.end_lineno or node.lineno, "")


def _comments_of_class(kind: type, generation: str) -> dict[str, str]:
    """Field name -> the comment beside it. What is inherited says from whom: its sections are another paper's."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            source = textwrap.dedent(inspect.getsource(base))
            (definition,) = ast.parse(source).body
            assert isinstance(definition, ast.ClassDef)
            comments = _comments(source)
            room = base.__module__.split(".")[1]
            whose = f"{TITLES[room]}: " if room in TITLES and room != generation else ""
            for node in definition.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    comment = _beside(node, comments)
                    found[node.target.id] = whose + comment if comment else ""
    return found


def _comments_of_call(source: str, target: str) -> dict[str, str]:
    """Dotted name -> the comment beside that keyword in ``target = Recipe(...)``."""
    comments = _comments(source)
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == target:
            assert isinstance(node.value, ast.Call)
            return _keywords(node.value, "", comments)
    raise LookupError(f"recipe.py has no {target}")


def _keywords(call: ast.Call, prefix: str, comments: dict[int, str]) -> dict[str, str]:
    found = {}
    for keyword in call.keywords:
        name = f"{prefix}{keyword.arg}"
        found[name] = _beside(keyword.value, comments)
        if isinstance(keyword.value, ast.Call):
            found |= _keywords(keyword.value, f"{name}.", comments)
    return found
