"""Time alone, without training: every generation at one picture size, in turns, held against the device's ceiling."""

from __future__ import annotations

import dataclasses
import resource
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lineage.bench.ceiling import Ceiling, measure_ceiling, seconds_of
from lineage.bench.measure import add_speedups
from lineage.bench.timed import Run, Setting, Timed, check, draw_proposals, draw_scene, set_precision
from lineage.common.progress import progress_bar
from lineage.common.stages import PHASES, Work
from lineage.experiments.generations import GENERATIONS, generation_of, named_recipe

PICTURES = 8
WARM_UP = 1  # calls before each series: kernels are chosen, memory is first touched
CURVE_ROUNDS = 2
CURVE_PROPOSALS = (100, 300, 1000, 2000)
CURVE_SIZES = (0.5, 0.75, 1.0)  # of the picture's sides
Advance = Callable[[int, str], None]  # of a progress bar


def time_generations(
    setting: Setting, generations: Sequence[str] = GENERATIONS, rounds: int = 5, curves: bool = True
) -> dict[str, Any]:
    """Ceiling, stages and, where wanted, scale curves of each generation, as a results file has them.

    Raises:
        ValueError: the setting names an unknown dtype, or a size that no detector takes.
    """
    check(setting)
    set_precision(setting.dtype)
    torch.backends.cudnn.benchmark = True  # sizes repeat, so choosing kernels by trial pays
    scenes = [draw_scene(setting.size, seed) for seed in range(PICTURES)]
    boxes = draw_proposals(max(setting.proposals, *CURVE_PROPOSALS), setting.size, seed=0).to(setting.device)
    points = (len(CURVE_PROPOSALS) + len(CURVE_SIZES)) * CURVE_ROUNDS + PICTURES if curves else 0
    with progress_bar("timing", len(generations) * (rounds + points) + 1) as advance:
        ceiling = measure_ceiling(setting.device, torch.bfloat16 if setting.dtype == "bf16" else torch.float32)
        advance(1, "")
        timed = {name: Timed(setting, name, scenes[0], boxes) for name in generations}
        runs = _take_turns(timed, rounds, [(scene, boxes, None) for scene in scenes], advance)
        rows = {name: _row(one, runs[name], ceiling) for name, one in timed.items()}
        if curves:
            _add_curves(rows, timed, setting, scenes, boxes, advance)
    propose = _selective_search_ms(scenes)
    for name, row in rows.items():
        if not generation_of(name).proposes:
            row["ms_by_phase"]["propose"] = propose
        total = sum(row["ms_by_phase"].values())
        row["ms_per_image"], row["ms_per_image_without_proposals"] = total, total - row["ms_by_phase"]["propose"]
    add_speedups(rows)
    return {"timing": setting.facts(), "ceiling": dataclasses.asdict(ceiling), "rounds": rounds, "generations": rows}


def _take_turns(
    timed: dict[str, Timed], rounds: int, inputs: Sequence[tuple[Tensor, Tensor, int | None]], advance: Advance
) -> dict[str, list[Run]]:
    """Each detector on one of the ``inputs`` a round, after a warm-up, so that a disturbance meets all of them."""
    for one in timed.values():
        for _ in range(WARM_UP):
            one(*inputs[0])
    runs: dict[str, list[Run]] = {name: [] for name in timed}
    for i in range(rounds):
        for name, one in timed.items():
            runs[name].append(one(*inputs[i % len(inputs)]))
            advance(1, "")
    return runs


def _row(one: Timed, runs: list[Run], ceiling: Ceiling) -> dict[str, Any]:
    by_phase = _medians(runs, "phase")
    stages = {name: _stage(name, one.counted, runs, ceiling) for name in dict.fromkeys(one.counted.traced.names)}
    return {
        "regions": one.regions,
        "extrapolated_from": one.setting.sampled if one.counted.factor != 1.0 else None,
        "ms_by_phase": {phase: by_phase.get(phase, 0.0) for phase in PHASES},
        "stages": stages,
        "flops_by_phase": {p: sum(s["flops"] for s in stages.values() if s["phase"] == p) for p in PHASES},
        "peak_memory_bytes": one.counted.traced.peak_memory_bytes,
        "device_peak_memory_bytes": one.device_peak,
        "parameter_bytes": sum(tensor.nbytes for tensor in one.detector.state_dict().values()),
    }


def _stage(name: str, counted: Run, runs: list[Run], ceiling: Ceiling) -> dict[str, Any]:
    """Milliseconds and work of one stage, and what the ceiling says of them."""
    samples = sorted(run.ms("name")[name] for run in runs)
    median = statistics.median(samples)
    records = [record for record in counted.traced.records if record.name == name]
    factor = counted.factor_of(name)
    flops, convolution_flops, operators, moved = (
        round(factor * sum(getattr(record.work, field) for record in records))
        for field in ("flops", "convolution_flops", "operators", "bytes_moved")
    )
    work = Work(flops, convolution_flops, operators, moved, 0)
    return {
        "phase": records[0].phase, "ms": median, "ms_range": [samples[0], samples[-1]], "flops": flops,
        "convolution_flops": convolution_flops, "operators": operators, "bytes_moved": moved,
        "flops_per_second": flops / (median / 1e3), "shares": ceiling.shares(work, median / 1e3),
    }  # fmt: skip


def _medians(runs: list[Run], by: str) -> dict[str, float]:
    samples = [run.ms(by) for run in runs]
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def _add_curves(
    rows: dict[str, dict[str, Any]],
    timed: dict[str, Timed],
    setting: Setting,
    scenes: list[Tensor],
    boxes: Tensor,
    advance: Advance,
) -> None:
    """Milliseconds a picture, selective search not counted, against proposals, pixels and pictures.

    A point is (x, milliseconds, regions), on the last curve (x, milliseconds, bytes in use after it).
    """
    for row in rows.values():
        row["curves"] = {"proposals": [], "pixels": [], "pictures": []}

    def add(curve: str, x: int, runs: dict[str, list[Run]]) -> None:
        for name, row in rows.items():
            ms = statistics.median(run.total_ms for run in runs[name])
            row["curves"][curve].append([x, ms, runs[name][0].regions])

    for regions in CURVE_PROPOSALS:
        add("proposals", regions, _take_turns(timed, CURVE_ROUNDS, [(scenes[0], boxes, regions)], advance))
    for share in CURVE_SIZES:
        size = round(setting.size[0] * share), round(setting.size[1] * share)
        runs = _take_turns(timed, CURVE_ROUNDS, [(draw_scene(size, 0), boxes * share, None)], advance)
        add("pixels", size[0] * size[1], runs)
    for i, scene in enumerate(scenes, start=1):
        for name, one in timed.items():
            ms = one(scene, boxes).total_ms
            rows[name]["curves"]["pictures"].append([i, ms, _memory_in_use(setting.device)])
            advance(1, "")


def _memory_in_use(device: torch.device) -> int:
    """Bytes of tensors on a GPU; on a CPU the most that the process ever had."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _selective_search_ms(scenes: list[Tensor]) -> float:
    """Of the papers' setting, on the CPU whatever the device."""
    settings = named_recipe("rcnn", "paper").proposals
    settings.propose(scenes[0])  # compiles
    cpu = torch.device("cpu")
    return statistics.median(1e3 * seconds_of(partial(settings.propose, scene), cpu) for scene in scenes)
