"""results.json, the dict that it holds, and its numbers as text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lineage.common.tables import NOTHING
from lineage.experiments.generations import GENERATIONS
from lineage.viz import milliseconds

Results = Mapping[str, Any]  # the dict that results.json holds


def names_of(results: Results) -> list[str]:
    """The generations that ran, in the papers' order.

    Raises:
        ValueError: results["generations"] is empty or has a name that is none of the four.
    """
    ran = results["generations"]
    unknown = [name for name in ran if name not in GENERATIONS]
    if unknown or not ran:
        raise ValueError(f"results: generations: expected some of {', '.join(GENERATIONS)}, got {list(ran)}")
    return [name for name in GENERATIONS if name in ran]


def as_json(results: Results) -> str:
    """A results file's text."""
    return json.dumps(_without_nan(results), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _without_nan(value: Any) -> Any:
    """JSON has no nan: it becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def known(values: Sequence[float | None]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def number(value: float | None, pattern: str) -> str:
    return NOTHING if value is None or not math.isfinite(value) else pattern.format(value)


def ms(value: float | None) -> str:
    return NOTHING if value is None or not math.isfinite(value) else milliseconds(value)


def times(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.0f}x" if value >= 9.95 or value == int(value) else f"{value:.1f}x"


def ratio(baseline: float | None, value: float | None) -> float | None:
    return baseline / value if baseline and value else None


def percent(value: float | None) -> str:
    return number(None if value is None else 100 * value, "{:.1f}")


def map_text(row: Mapping[str, Any]) -> str:
    values = known(row.get("map_values", ()))
    spread = f" ({100 * min(values):.1f}-{100 * max(values):.1f})" if len(values) > 1 else ""
    return percent(row["map_mean"]) + spread


def giga(value: float | None) -> str:
    return NOTHING if value is None else ms(value / 1e9)


def mega(value: float | None) -> str:
    return number(None if value is None else value / 1e6, "{:.0f}" if (value or 0) >= 1e7 else "{:.1f}")
