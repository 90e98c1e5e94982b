"""Values from files: of the kind that they should be, and as messages show them."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")
LARGEST = 2**31  # of whole numbers: none of ours counts further


def from_dict(kind: type[T], fields: Any, where: str = "") -> T:
    """A dataclass, nested ones included, from what ``dataclasses.asdict`` and JSON made of it: lists were tuples.

    Args:
        where: what messages call it, such as "recipe".
    Raises:
        ValueError: a field is unknown, missing or of another kind; names it with dots, and its value.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"{where} is {shown(fields)}, not an object with fields")
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in fields:
        if name not in known:
            raise ValueError(f"{_dotted(where, name)} is no field of {kind.__name__}")
    for name, field in known.items():
        if name not in fields and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{_dotted(where, name)} is missing")
    return kind(**{name: _typed(hints[name], value, _dotted(where, name)) for name, value in fields.items()})


def _typed(hint: Any, value: Any, where: str) -> Any:
    """The value if it is of the kind that a hint names; JSON's lists become tuples where that is meant."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, typing.cast(type, hint)) else from_dict(typing.cast(type, hint), value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (one for one in arguments if one is not type(None))  # X | None is all that fields have
        return _typed(hint, value, where)
    if origin is dict and isinstance(value, dict):
        return {key: _typed(arguments[1], one, _dotted(where, key)) for key, one in value.items()}
    if origin in (tuple, list) and isinstance(value, (tuple, list)):
        endless = origin is list or arguments[-1] is Ellipsis
        kinds = [arguments[0]] * len(value) if endless else [*arguments]
        if len(kinds) != len(value):
            raise ValueError(f"{where} is {shown(value)}, not {len(kinds)} values")
        return origin(_typed(one, part, f"{where}[{i}]") for i, (one, part) in enumerate(zip(kinds, value)))
    if hint is float and type(value) in (int, float) and _is_number(value):
        return float(value)
    if hint in (int, bool, str) and type(value) is hint and (hint is not int or abs(value) < LARGEST):
        return value
    raise ValueError(f"{where} is {shown(value)}, not {_name(hint)}")


def check_between(settings: Any, low: float, high: float, *names: str) -> None:
    """Raise ValueError unless these fields of a recipe, or all numbers in them, are None or in low..high."""
    for name in names:
        value = getattr(settings, name)
        for number in _numbers(value):
            if not low <= number <= high:
                raise ValueError(f"recipe: {name} {shown(value)} is not in {low:g}..{high:g}")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    elif value is not None:
        yield value


def _is_number(value: float) -> bool:
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False


def _name(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return words.get(hint, "an object" if typing.get_origin(hint) is dict else "a list")


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else str(name)


def shown(value: Any) -> str:
    """A wrong value for a message: as Python writes it, but not pages of it."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def amount(count: float) -> str:
    """Bytes in a unit that fits: 6.14 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"
