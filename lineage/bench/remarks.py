"""What is said beneath the tables: sources, disagreements, and what the numbers do and do not say."""

from __future__ import annotations

from itertools import combinations

from lineage.bench.contradictions import contradictions
from lineage.bench.results import Results, known, ms, names_of, percent
from lineage.experiments.generations import TITLES


def disagreements(results: Results, figures_only: bool = True) -> list[str]:
    """Where the sources disagree about the generations that ran, and why."""
    found = contradictions(names_of(results), figures_only)
    return [f"{c.subject}: {c.claims}. {c.why[0].upper()}{c.why[1:]}." for c in found]


def remarks(results: Results) -> list[str]:
    """What the numbers do and do not say."""
    lines = [map_order(results), real_differences(results), _proposal_time(results), _fairness(results)]
    if any(row.get("speedup_with_proposals") is None for row in results["generations"].values()):
        lines.append("R-CNN was not run, so there are no ratios to it.")
    lines.append(
        "Most published times are VGG16's on a K40, published mAP is VOC2007's: compare ratios and order, "
        "not the numbers."
    )
    return [line for line in lines if line]


def map_order(results: Results) -> str:
    """Which orders of mAP the seeds support: only those whose ranges over the seeds do not overlap."""
    seeds = len(results["seeds"])
    if seeds < 2:
        return "mAP: 1 seed: no order claimed."
    rows = results["generations"]
    ranges = {name: known(rows[name].get("map_values", ())) for name in names_of(results)}
    best_first = sorted((name for name in ranges if ranges[name]), key=lambda name: -max(ranges[name]))
    above: dict[str, list[str]] = {}
    unclear = []
    for a, b in combinations(best_first, 2):
        if min(ranges[a]) > max(ranges[b]):
            above.setdefault(TITLES[a], []).append(TITLES[b])
        else:
            unclear.append(f"{TITLES[a]} and {TITLES[b]}")
    parts = []
    if above:
        orders = "; ".join(f"{name} above {', '.join(others)}" for name, others in above.items())
        parts.append(f"mAP over {seeds} seeds: {orders}.")
    if unclear:
        parts.append(f"Ranges over {seeds} seeds overlap, no order claimed: {'; '.join(unclear)}.")
    return " ".join(parts)


def real_differences(results: Results) -> str:
    """Which of the first seed's detectors are better on such pictures as these: 95 %, paired bootstrap."""
    found = results.get("differences", [])
    if not found:
        return ""
    real, unclear = [], []
    for row in found:
        lower, higher = row["between"] if row["mean"] >= 0 else row["between"][::-1]
        low, high = sorted(abs(end) for end in row["interval"])
        pair = f"{TITLES[higher]} above {TITLES[lower]}"
        if row["interval"][0] <= 0 <= row["interval"][1]:
            unclear.append(f"{TITLES[lower]} and {TITLES[higher]}")
        else:
            real.append(f"{pair} by {percent(low)} to {percent(high)}")
    parts = [f"These detectors on other such pictures (paired bootstrap, 95 %): {'; '.join(real)}."] if real else []
    parts += [f"The test pictures are too few to tell apart: {'; '.join(unclear)}."] if unclear else []
    return " ".join(parts)


def _proposal_time(results: Results) -> str:
    fast, faster = (results["generations"].get(name) for name in ("fast_rcnn", "faster_rcnn"))
    if not (fast and faster):
        return "Proposals have a column of their own: selective search costs the same whoever uses it."
    without, whole = ms(fast["ms_per_image_without_proposals"]), ms(faster["ms_per_image"])
    searched, proposed = (ms(row["ms_by_phase"]["propose"]) for row in (fast, faster))
    return (
        f"Fast R-CNN takes {without} ms without its proposals, Faster R-CNN {whole} ms with its own: "
        f"{searched} ms of selective search became {proposed} ms of RPN."
    )


def _fairness(results: Results) -> str:
    """Say whether the generations were trained alike."""
    rows = results["generations"]
    shares = {(row.get("train_steps"), row.get("train_pictures")) for row in rows.values()}
    how = [f"{TITLES[n]} {r['train_procedure']}" for n, r in rows.items() if r.get("train_procedure")]
    procedures = f" ({'; '.join(how)})" if how else ""
    if len(shares) > 1:
        return f"Not all trained for the same steps and pictures, see the table{procedures}."
    return f"All trained for the same steps and pictures{procedures}."


def facts(results: Results) -> list[tuple[str, str]]:
    """What was run, on what."""
    data, seeds = results["dataset"], results["seeds"]
    pictures = f"{data['train_pictures'] or '?'} training and {data['test_pictures']} test pictures"
    model = f"backbone {results['backbone']}, recipe {results['recipe']}"
    asked = f", {results['proposals']} region proposals asked for" if results["proposals"] else ""
    return [
        ("data", f"{results['data']}: {pictures}, {len(data['classes'])} classes"),
        ("model", model + asked),
        ("seeds", f"{len(seeds)} ({', '.join(map(str, seeds))})"),
        ("device", str(results["device"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
        ("commit", f"{results['commit']}, {results['created']}"),
    ]
