"""python -m lineage.check DIR: what is wrong with a data set, before anybody trains on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage import cli
from lineage.data.findings import ERROR, Finding, VOCFormatError, errors_of

if TYPE_CHECKING:
    from rich.console import Console

    from lineage.common.tables import Table
    from lineage.data.check import Report
    from lineage.data.voc import VOCDataset

app = cli.new_app()
FILES_SHOWN = 3  # of each kind of finding, in the table


@app.command()
def main(
    data: Annotated[str, typer.Argument(help="a folder, a COCO file, or shapes, voc2007, ...")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder for sizes.png and the pictures with doubtful boxes")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")] = False,
    every: Annotated[bool, typer.Option("--all", help="print every finding under the table")] = False,
    classes: cli.Classes = None,
    unannotated: cli.Unannotated = "error",
    accept: cli.Accept = None,
    max_megapixels: cli.MaxMegapixels = None,
    make_split: Annotated[
        float | None, typer.Option(help="write ImageSets/Main first: this share of the pictures is the test")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of --make-split")] = 0,
    repaired: Annotated[
        Path | None, typer.Option("--repair", help="write a corrected copy there; every change is listed in it")
    ] = None,
    only: Annotated[str | None, typer.Option(help="with --repair: these kinds of finding alone")] = None,
    detector: Annotated[
        str | None, typer.Option(help="can this generation learn it? recall of its proposals or anchors")
    ] = None,
    backbone: cli.BackboneName = "tiny",
    recipe: cli.RecipeName = "quick",
    proposals: cli.Proposals = None,
    cache: cli.Cache = None,
) -> None:
    """Every finding at once, as a table. Exit code 1 if one of them would stop a training."""

    console = cli.new_console(stderr=as_json)
    with cli.command(console):
        from lineage.data.check import Report, check, open_splits
        from lineage.data.layout import find_layout
        from lineage.data.mistakes import FormatError
        from lineage.data.repair import REMEDIES, repair
        from lineage.data.splits import make_split as write_split
        from lineage.data.splits import missing_splits
        from lineage.data.voc import UNANNOTATED
        from lineage.experiments.options import default_cache, names_in, one_of

        cache, names = cache or default_cache(), names_in("--classes", classes)
        one_of("--unannotated", unannotated, UNANNOTATED)
        if make_split is not None:
            made = write_split(find_layout(data), make_split, seed)
            counts = ", ".join(f"{name} {len(ids)}" for name, ids in made.items())
            console.print(f"written: {data}/ImageSets/Main, seed {seed}: {counts}", **cli.PLAIN)
        try:
            splits, learnt, tested = open_splits(data, cache, names, unannotated)
        except (VOCFormatError, FormatError) as error:
            if not as_json:
                raise
            mistakes = error.mistakes if isinstance(error, FormatError) else [str(error)]
            nothing = Report([Finding("no data set", ERROR, data, message) for message in mistakes])
            print(json.dumps(_document(nothing), ensure_ascii=False))
            raise typer.Exit(1) from None
        report = check(splits, learnt, tested, cache / "checks", stated=names is not None)
        report.findings = [*missing_splits(splits[learnt].layout), *report.findings]
        report.accept(names_in("--accept", accept) or ())
        if as_json:
            print(json.dumps(_document(report), ensure_ascii=False))
        else:
            _print(report, console, every)
        if out is not None:
            _draw(report, splits, out, console)
        if repaired is not None:
            changes = repair(data, repaired, names_in("--only", only) or tuple(REMEDIES))
            console.print(f"written: {repaired}, {len(changes)} boxes changed: {repaired}/repairs.csv", **cli.PLAIN)
        if detector is not None:
            options = {"backbone": backbone, "recipe": recipe, "proposals": proposals, "cache": cache}
            _print_trainability(detector, data, splits[learnt].without(report.bad), options, console)
        if errors_of(report.findings):
            raise typer.Exit(1)


def _document(report: Report) -> dict[str, Any]:
    return {"pictures": report.pictures, "findings": [finding._asdict() for finding in report.findings]}


def _print(report: Report, console: Console, every: bool) -> None:
    from lineage.common.tables import drawn, hanging, wide

    with wide(console):
        for table in (_class_table(report), _finding_table(report)):
            if table.rows:
                console.print(drawn(table))
                console.print()
        first: dict[str, Finding] = {}
        for finding in report.findings:
            first.setdefault(finding.kind, finding)
        shown = report.findings if every else list(first.values())
        for finding in sorted(shown, key=lambda finding: finding.severity):
            console.print(hanging(f"{finding.severity}: ", finding.message))
    errors = len(errors_of(report.findings))
    verdict = f"{errors} errors, {len(report.findings) - errors} warnings" if report.findings else "nothing wrong found"
    hint = "" if every or len(shown) == len(report.findings) else "; --all prints every one"
    console.print(f"{report.pictures} pictures: {verdict}{hint}", **cli.PLAIN)


def _class_table(report: Report) -> Table:
    from lineage.common.tables import NOTHING, Table
    from lineage.data.check import size_table

    rows = []
    for name, (count, *sizes) in size_table(report).items():
        shown = [f"{size:.0f}" if size == size else NOTHING for size in sizes]
        rows.append((name, str(count), *(str(found[name]) for found in report.objects.values()), *shown))
    header = ("class", "objects", *report.objects, "small", "middle", "large")
    return Table("Objects, by split; size: square root of area, 10th, 50th, 90th percentile, pixels", header, rows)


def _finding_table(report: Report) -> Table:
    from lineage.common.tables import Table

    kinds: dict[tuple[str, str], list[Any]] = {}
    for finding in sorted(report.findings, key=lambda finding: finding.severity):
        kinds.setdefault((finding.severity, finding.kind), []).append(finding)
    rows = []
    for (severity, kind), found in kinds.items():
        files = list(dict.fromkeys(finding.file for finding in found))
        more = f" and {len(files) - FILES_SHOWN} more" if len(files) > FILES_SHOWN else ""
        rows.append((severity, kind, str(len(found)), ", ".join(files[:FILES_SHOWN]) + more))
    return Table("Findings", ("", "kind", "count", "first files"), rows, words=(0, 1, 3))


def _print_trainability(
    generation: str, data: str, dataset: VOCDataset, options: dict[str, Any], console: Console
) -> None:
    from lineage.common.tables import Table, drawn
    from lineage.experiments.generations import GENERATIONS, generation_of
    from lineage.experiments.options import make_experiment, one_of
    from lineage.experiments.trainability import trainability

    one_of("--detector", generation, GENERATIONS)
    experiment = make_experiment(data=data, weights="none", device="cpu", procedure=None, **options)
    found = trainability(experiment, generation, dataset)
    rows = [
        (name, str(count), *(f"{100 * share:.0f}" for share in shares))
        for name, (count, *shares) in found.recall.items()
    ]
    title = f"{generation_of(generation).title}: objects that {found.what} reach, %, in {found.pictures} pictures"
    console.print(drawn(Table(title, ("class", "objects", "IoU 0.5", "IoU 0.7"), rows)))
    console.print(f"{found.regions:.0f} {found.what} a picture, {found.positives:.1f} of them foreground", **cli.PLAIN)
    if found.anchors:
        before, after = found.fit
        sizes = ",".join(f"({w:g},{h:g})" for w, h in found.anchors)
        console.print(f"anchors that fit better (mean best IoU of sizes {after:.2f} instead of {before:.2f}): "
                      f"--set 'rpn.sizes={sizes}'", **cli.PLAIN)  # fmt: skip


def _draw(report: Report, splits: dict[str, VOCDataset], out: Path, console: Console) -> None:
    """How large the objects are, and the doubtful boxes on their pictures."""
    from lineage.common.checkpoint import write_atomically
    from lineage.common.progress import track
    from lineage.data.pictures import read_image
    from lineage.viz import draw_doubtful, plot_sizes

    def write(name: str, figure: Any) -> None:
        write_atomically(out / f"{name}.png", lambda path: figure.savefig(path, bbox_inches="tight"))

    write("sizes", plot_sizes(report.sides, report.classes))
    where = {name: (dataset, i) for dataset in splits.values() for i, name in enumerate(dataset.ids)}
    for name, annotation in track(report.doubtful.items(), "draw", len(report.doubtful)):
        dataset, index = where[name]
        kinds, boxes = zip(*annotation.doubtful) if annotation.doubtful else ((), ())
        image = read_image(dataset.image_path(index))
        write(f"doubtful/{name}", draw_doubtful(image, boxes, kinds, [f.message for f in annotation.findings]))
    console.print(f"written: {out}/sizes.png, doubtful/ ({len(report.doubtful)} pictures)", **cli.PLAIN)


if __name__ == "__main__":
    cli.run(app)
