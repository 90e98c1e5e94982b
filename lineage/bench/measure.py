"""The stopwatch: every generation on the same pictures, taken in turns, read off the stage trace."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lineage.common.progress import progress_bar
from lineage.common.stages import PHASES, Trace, trace

WARM_UP = 2  # pictures whose time is not counted: threads start, memory is first touched
COUNTED = 3  # pictures whose FLOPs and memory are counted


def measure(detectors: dict[str, Any], images: Sequence[Tensor]) -> dict[str, dict[str, Any]]:
    """Time, FLOPs, memory and number of proposals of each detector on ``images``, each with its own proposals.

    The detectors take turns on each picture, so that whatever disturbs the machine disturbs all of them. Figures
    are medians over the pictures for times and means for the rest.
    """
    timed: dict[str, list[Trace]] = {name: [] for name in detectors}
    counted: dict[str, list[Trace]] = {name: [] for name in detectors}
    rounds = len(images) + WARM_UP + min(COUNTED, len(images))
    with progress_bar("measure", rounds) as advance:
        for i, image in enumerate([*images[:1]] * WARM_UP + list(images)):
            for name, detector in detectors.items():
                with trace(detector, count=False, keep_tensors=False) as t:
                    detector([image])
                if i >= WARM_UP:
                    timed[name].append(t)
            advance(1, "")
        for image in images[:COUNTED]:
            for name, detector in detectors.items():
                with trace(detector, count=True, keep_tensors=False) as t:
                    detector([image])
                counted[name].append(t)
            advance(1, "")
    return {name: _summary(timed[name], counted[name]) for name in detectors}


def _summary(timed: list[Trace], counted: list[Trace]) -> dict[str, Any]:
    ms_by_stage = _median_ms(timed, "name")
    by_phase = _median_ms(timed, "phase")
    ms_by_phase = {phase: by_phase.get(phase, 0.0) for phase in PHASES}
    flops_by_stage = _mean_flops(counted, "name")
    flops_by_phase = _mean_flops(counted, "phase")
    heavy = max(flops_by_stage, key=lambda stage: flops_by_stage[stage])
    total = sum(ms_by_phase.values())
    return {
        "ms_per_image": total,
        "ms_per_image_without_proposals": total - ms_by_phase["propose"],
        "ms_by_phase": ms_by_phase,
        "ms_by_stage": ms_by_stage,
        "flops_by_phase": {phase: flops_by_phase.get(phase, 0) for phase in PHASES},
        "flops_by_stage": flops_by_stage,
        "heavy_stage": heavy,
        "heavy_flops_per_second": flops_by_stage[heavy] / (ms_by_stage[heavy] / 1e3),
        "peak_memory_bytes": max(t.peak_memory_bytes for t in counted),
        "proposals_mean": statistics.mean(proposals_of(t) for t in timed),
    }


def _median_ms(traces: list[Trace], by: str) -> dict[str, float]:
    totals = [t.total("seconds", by) for t in traces]
    return {key: 1e3 * statistics.median(total.get(key, 0.0) for total in totals) for key in totals[0]}


def _mean_flops(traces: list[Trace], by: str) -> dict[str, int]:
    totals = [t.total("flops", by) for t in traces]
    return {key: round(statistics.mean(total.get(key, 0) for total in totals)) for key in totals[0]}


def proposals_of(t: Trace) -> int:
    """How many boxes the propose phase gave."""
    record = next(record for record in t.records if record.phase == "propose")
    return int(str(record.outputs).strip("()").split(",")[0])


def add_speedups(generations: dict[str, dict[str, Any]]) -> None:
    """Set each generation's speed-up against R-CNN in the same run; None where R-CNN did not run."""
    first = generations.get("rcnn")
    for row in generations.values():
        for kind, field in (("with", "ms_per_image"), ("without", "ms_per_image_without_proposals")):
            row[f"speedup_{kind}_proposals"] = first[field] / row[field] if first else None
