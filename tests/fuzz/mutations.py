"""What goes wrong with files: bytes cut, doubled and changed; documents whose values are of another kind."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

# What parsers stumble over: marks of other encodings, entities, numbers without end, nests without end.
TOKENS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\n", b"\t", b" ", b"/", b"../", b"\\", b"[/red]", b"%s",
    b"-", b"-1", b"0", b"1e999", b"NaN", b"-inf", b"9" * 400, b"1_0", b"0x10", "٣".encode(), "e\u0301".encode(), b"{}",
    b"<", b">", b"&", b"&lt;", b"&#0;", b"]]>", b"<object>", b"</object>", b"<!--", b"<a>" * 20_000,
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<?xml version='1.0' encoding='utf-7'?>",
    b'"', b"'", b",", b":", b"[" * 20_000, b'{"a":' * 20_000,
    b"!!python/object/apply:os.system ['false']\n", b"&a [*a]", b"- " * 2000,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 7, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e-320, 1e308,
    float("nan"), float("inf"), "", " ", "0", "nan", "../../x", "/x", "a\x00b", "[/x]", "\ud800", "x" * 300,
    [], [[]], {}, [1, 2], [0, 0, 1, 1], {"a": 1},
]  # fmt: skip


@st.composite
def mutated_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after up to five accidents."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 5))):
        start, length = draw(st.integers(0, len(data))), draw(st.sampled_from([0, 1, 2, 4, 16, 64, 1000]))
        end = min(start + length, len(data))
        kind = draw(st.sampled_from(["flip", "token", "random", "cut", "double", "truncate", "splice"]))
        if kind == "flip" and start < len(data):
            data = data[:start] + bytes([data[start] ^ (1 << draw(st.integers(0, 7)))]) + data[start + 1 :]
        elif kind == "token":
            data = data[:start] + draw(st.sampled_from(TOKENS)) + data[end:]
        elif kind == "random":
            data = data[:start] + draw(st.binary(max_size=8)) + data[end:]
        elif kind == "cut":
            data = data[:start] + data[end:]
        elif kind == "double":
            data = data[:end] + data[start:end] + data[end:]
        elif kind == "truncate":
            data = data[:start]
        elif kind == "splice":
            other = draw(st.sampled_from(seeds))
            data = data[:start] + other[draw(st.integers(0, len(other))) :]
    return data


@st.composite
def mutated_values(draw: st.DrawFn, document: Any) -> Any:
    """A document of dicts, lists and plain values after up to three changes of kind."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["value", "value", "value", "gone", "doubled", "nested", "renamed"]))
        if kind == "value":
            value = draw(st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=5))
            holder[key] = copy.deepcopy(value)  # the next change may be inside it
        elif kind == "gone":
            del holder[key]
        elif kind == "doubled" and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == "nested":
            holder[key] = [holder[key]]
        elif kind == "renamed" and isinstance(holder, dict):
            holder[draw(st.text(max_size=5))] = holder.pop(key)
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document as (what it is in, its key or index)."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def as_json(document: Any) -> bytes:
    """JSON as Python writes it: NaN, lone surrogates and numbers of 400 digits included."""
    return json.dumps(document).encode()
