"""What every comparison here does: A and B in turns in one process, ratios round by round, one JSON."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lineage.bench.ceiling import seconds_of
from lineage.bench.circumstances import circumstances
from lineage.bench.results import as_json
from lineage.common.checkpoint import write_atomically

RESULTS = Path(__file__).resolve().parent / "results"


def compare(
    what: str,
    ours: Callable[[], object],
    peer_name: str,
    peer: Callable[[], object],
    *,
    goal: float | None = None,
    rounds: int = 7,
    device: torch.device | None = None,
    remark: str = "",
) -> dict[str, Any]:
    """Time two functions in turns and print the ratio of their medians.

    Args:
        goal: the ratio ours / peer is to stay below, where there is one.
    Returns:
        a row of a results file: milliseconds (median, least, most) of each, the ratio, and its quartiles over rounds.
    """
    device = device or torch.device("cpu")
    ours(), peer()  # kernels are chosen, memory is first touched
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds):
        for function, kept in ((ours, times[0]), (peer, times[1]))[:: 1 if i % 2 else -1]:
            kept.append(1e3 * seconds_of(function, device))
    return row(what, times[0], peer_name, times[1], goal=goal, remark=remark)


def row(
    what: str,
    ours_ms: list[float],
    peer_name: str,
    peer_ms: list[float],
    *,
    goal: float | None = None,
    remark: str = "",
) -> dict[str, Any]:
    """The same from times that were taken elsewhere, round by round."""
    ratio = statistics.median(ours_ms) / statistics.median(peer_ms)
    each = [a / b for a, b in zip(ours_ms, peer_ms)]
    low, _, high = statistics.quantiles(each, n=4) if len(each) > 1 else (each[0],) * 3
    met = "" if goal is None else f", goal {goal:g}: {'met' if ratio <= goal else 'missed'}"
    print(f"{what}: {statistics.median(ours_ms):.4g} ms, {peer_name} {statistics.median(peer_ms):.4g} ms: "
          f"{ratio:.2f}x ({low:.2f}-{high:.2f}){met}", flush=True)  # fmt: skip
    return {
        "what": what, "peer": peer_name, "ours_ms": _spread(ours_ms), "peer_ms": _spread(peer_ms),
        "ratio": ratio, "ratio_quartiles": [low, high], "goal": goal, "remark": remark,
    }  # fmt: skip


def _spread(ms: list[float]) -> list[float]:
    return [statistics.median(ms), min(ms), max(ms)]


def write(
    name: str, title: str, rows: list[dict[str, Any]], device: torch.device, folder: Path = RESULTS, **facts: Any
) -> None:
    """NAME.json in benchmarks/results, which `python benchmarks/update_readme.py` makes a table of."""
    program = f"python benchmarks/{Path(sys.argv[0]).name}"
    kept = {**circumstances(program, device), "comparison": title, **facts}
    path = folder / f"{name}.json"
    write_atomically(path, lambda to: to.write_text(as_json({**kept, "rows": rows})))
    print(f"written: {path.name}")
