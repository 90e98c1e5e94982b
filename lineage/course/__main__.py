"""python -m lineage.course: hand out the assignments, grade what comes back, look at the class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineage import cli

app = cli.new_app()
SOURCE = Path("notebooks/assignments/source")
Source = Annotated[Path, typer.Option(help="the assignments with their solutions")]


@app.callback()
def course() -> None:
    """What an instructor needs; see notebooks/assignments."""


@app.command()
def release(
    source: Source = SOURCE,
    out: Annotated[Path, typer.Option("--out", "-o", help="where the students' versions go")] = Path("release"),
) -> None:
    """Write what students get: no solutions, no hidden tests. Never edit a release: edit the source."""

    console = cli.new_console()
    with cli.command(console):
        from lineage.course.workplace import require_nbgrader

        require_nbgrader()  # before what imports parts of it
        from lineage.course.release import release as write_release

        for path in write_release(source, out):
            console.print(f"written: {path}", **cli.PLAIN)


@app.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="a folder with STUDENT/NAME.ipynb, or one notebook")],
    source: Source = SOURCE,
    out: Annotated[Path, typer.Option("--out", "-o", help="tables, feedback and records go here")] = Path("graded"),
    jobs: Annotated[int | None, typer.Option(min=1, help="submissions at once; default: one a core")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="for the code of one submission")] = 300,
    seconds_a_cell: Annotated[float, typer.Option(min=1, help="for one of its cells")] = 60,
    memory: Annotated[float, typer.Option(min=0.5, help="GB that a submission's process may use")] = 4,
    show_hidden: Annotated[bool, typer.Option("--show-hidden", help="hidden tests' code in the feedback")] = False,
    unprotected: Annotated[
        bool, typer.Option("--unprotected", help="where no sandbox works, run what you trust without one")
    ] = False,
) -> None:
    """Run and score submissions: in parallel, apart from each other, without a network, within limits."""

    console = cli.new_console()
    with cli.command(console):
        from lineage.course.workplace import require_nbgrader

        require_nbgrader()  # before what imports parts of it
        from lineage.course.grade import Limits
        from lineage.course.grade import grade as grade_all
        from lineage.course.report import class_table
        from lineage.course.sandbox import sandbox

        if unprotected and sandbox() is None:
            console.print("warning: no sandbox works here: only time and memory are limited", **cli.PLAIN)
        limits = Limits(seconds, seconds_a_cell, int(memory * 2**30))
        results = grade_all(
            source, submissions, out, jobs=jobs, limits=limits, show_hidden=show_hidden, unprotected=unprotected
        )
        console.print(class_table(results))
        console.print(f"written: {out}/gradebook.csv, tests.csv, written.csv, feedback/", **cli.PLAIN)


@app.command()
def report(
    graded: Annotated[Path, typer.Argument(help="the folder that grade has written")] = Path("graded"),
) -> None:
    """Take in the points given by hand in written.csv, and show how the class did, test by test."""

    console = cli.new_console()
    with cli.command(console):
        from lineage.course.report import write_report

        for table in write_report(graded):
            console.print(table)
        pages = f"{graded}/report.html, gradebook.csv, feedback/*/index.html"
        console.print(f"written: {pages}", **cli.PLAIN)


@app.command()
def bench(
    functions: Annotated[Path, typer.Argument(help="a Python file with functions of your own: nms, roi_pool, ...")],
    generations: cli.Generations = cli.ALL_GENERATIONS,
    data: cli.Data = "shapes",
    backbone: cli.BackboneName = "tiny",
    weights: cli.Weights = "imagenet",
    device: cli.Device = "auto",
    steps: cli.Steps = None,
    cache: cli.Cache = None,
) -> None:
    """Let the trained detectors run on your functions: mAP and time beside the package's own."""

    console = cli.new_console()
    with cli.command(console):
        from lineage.common.tables import drawn
        from lineage.course.race import functions_in, race
        from lineage.experiments.options import chosen_generations, make_experiment

        names = chosen_generations(generations)
        experiment = make_experiment(
            data=data, backbone=backbone, weights=weights, recipe="quick", device=device, procedure=None, cache=cache,
            steps=steps,
        )  # fmt: skip
        console.print(drawn(race(functions_in(functions), names, experiment, console.print)))


if __name__ == "__main__":
    cli.run(app)
