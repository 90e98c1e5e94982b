"""What the benchmark found, as tables: time by phase, ratios beside the published ones, cost.

Ratios are compared with ratios. A published second belongs to its machine, so it never stands beside one of
ours; how many times quicker than R-CNN does.
"""

from __future__ import annotations

from lineage.bench.published import PUBLISHED, QUANTITIES, headline
from lineage.bench.published_ap import published_ap
from lineage.bench.results import Results, giga, map_text, mega, ms, names_of, number, percent, ratio, times
from lineage.common.stages import PHASES
from lineage.common.tables import NOTHING, Table
from lineage.data.voc import VOC_CLASSES
from lineage.evaluation.errors import KINDS
from lineage.experiments.generations import TITLES


def tables(results: Results) -> list[Table]:
    """Time, ratios and mAP beside what was published, and what it cost: one row a generation in each."""
    notes = _Notes()
    names = names_of(results)
    accuracy = [_accuracy_table(results, names)] if all("coco" in results["generations"][n] for n in names) else []
    return [
        _time_table(results, names), _ratio_table(results, names, notes), *accuracy, _cost_table(results, names)
    ]  # fmt: skip


def _time_table(results: Results, names: list[str]) -> Table:
    rows = []
    for name in names:
        row = results["generations"][name]
        phases = [ms(row["ms_by_phase"].get(phase)) for phase in PHASES]
        rows.append((TITLES[name], *phases, ms(row["ms_per_image_without_proposals"]), ms(row["ms_per_image"])))
    header = ("", *(f"\n{phase}" for phase in PHASES), "without\nproposals", "with\nproposals")
    return Table("Milliseconds a picture, by phase", header, rows)


def _ratio_table(results: Results, names: list[str], notes: _Notes) -> Table:
    baseline = results["generations"].get("rcnn", {}).get("train_seconds")
    rows = []
    for name in names:
        row = results["generations"][name]
        training = ratio(baseline, row.get("train_seconds"))
        rows.append(
            (
                TITLES[name],
                times(row.get("speedup_with_proposals")),
                notes.published("speedup_with_proposals", name),
                times(row.get("speedup_without_proposals")),
                notes.published("speedup_without_proposals", name),
                times(training),
                notes.published("training_speedup", name),
                map_text(row),
                notes.published("map_voc07", name),
            )
        )
    header = (
        "", "with\nproposals", "\npubl.", "without\nproposals", "\npubl.", "\ntraining", "\npubl.",
        "mAP, %\n(min-max)", "\npubl.",
    )  # fmt: skip
    return Table("Times R-CNN's speed, and mAP at IoU 0.5: measured here | published", header, rows)


def _accuracy_table(results: Results, names: list[str]) -> Table:
    """Of the first seed: how sure its mAP is, and what its best detections are (as many as there are objects)."""
    rows = []
    for name in names:
        row = results["generations"][name]
        totals = [sum(one[field] for one in row["errors"].values()) for field in (*KINDS, "missed", "objects")]
        *kinds, missed, objects = totals
        rows.append(
            (
                TITLES[name],
                percent(row["map_values"][0]),
                "-".join(percent(end) for end in row["map_interval"]),
                percent(row["coco"]["AP"]),
                *(number(100 * count / objects if objects else None, "{:.0f}") for count in (*kinds, missed)),
            )
        )
    header = (
        "", "\nmAP", "95 % by\nbootstrap", "COCO's\nAP", "\nright", "badly\nplaced", "similar\nclass", "other\nclass",
        "back-\nground", "never\nfound",
    )  # fmt: skip
    return Table("How sure, and what goes wrong: % of each class's best detections; objects never found", header, rows)


def _cost_table(results: Results, names: list[str]) -> Table:
    rows = []
    for name in names:
        row = results["generations"][name]
        rows.append(
            (
                TITLES[name],
                giga(sum(row["flops_by_phase"].values())),
                str(row.get("heavy_stage") or NOTHING),
                giga(row.get("heavy_flops_per_second")),
                mega(row.get("peak_memory_bytes")),
                number(row.get("proposals_mean"), "{:.0f}"),
                number(row.get("train_seconds"), "{:.1f}"),
                number(row.get("train_steps"), "{:.0f}"),
                number(row.get("train_pictures"), "{:.0f}"),
                mega(row.get("cache_bytes")),
            )
        )
    header = (
        "", "GFLOPs\na picture", "heaviest\nstage", "its\nGFLOP/s", "peak\nMB", "pro-\nposals", "train\ns",
        "train\nsteps", "pictures\nseen", "cache\nMB",
    )  # fmt: skip
    return Table("Work, memory, training and disk", header, rows, words=(0, 2))


def class_table(results: Results) -> Table:
    """AP a class; of VOC's classes beside the papers' own."""
    classes, header, columns = results["dataset"]["classes"], ["class"], []
    for name in names_of(results):
        ap = results["generations"][name].get("ap_per_class", {})
        header.append(TITLES[name])
        columns.append([*(percent(ap.get(c)) for c in classes), percent(results["generations"][name]["map_mean"])])
        paper = published_ap(name)
        if paper is not None and tuple(classes) == VOC_CLASSES:
            header.append(f"its paper's ({paper.network})")
            columns.append([*(f"{value:.1f}" for value in paper.ap), f"{paper.map:.1f}"])
    return Table("", tuple(header), list(zip([*classes, "mean"], *columns)))


def published_table() -> Table:
    rows = []
    for p in PUBLISHED:
        detector = TITLES.get(p.generation, p.generation)
        rows.append((p.source, QUANTITIES[p.quantity], detector, f"{p.value:g} {p.unit}", p.note))
    return Table("", ("source", "quantity", "detector", "value", "note"), rows)


def sources(results: Results) -> list[str]:
    """What the letters of the published figures stand for."""
    notes = _Notes()
    _ratio_table(results, names_of(results), notes)
    return [f"[{letter}] {text}" for text, letter in notes.letters.items()]


class _Notes:
    """Published values with a letter each source, in the order of their first use."""

    def __init__(self) -> None:
        self.letters: dict[str, str] = {}

    def published(self, quantity: str, generation: str) -> str:
        figure = headline(quantity, generation)
        if figure is None:
            return NOTHING
        source = f"{figure.source}" + (f" ({figure.note})" if figure.note else "")
        letter = self.letters.setdefault(source, "abcdefghijklmnopqrstuvwxyz"[len(self.letters)])
        value = times(figure.value) if figure.unit == "x" else f"{figure.value:.1f}"
        return f"{value}[{letter}]"
