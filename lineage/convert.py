"""python -m lineage.convert FROM TO --to coco: annotated pictures from one format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineage import cli

app = cli.new_app()


@app.command()
def main(
    source: Annotated[
        Path,
        typer.Argument(metavar="FROM", help="a folder in VOC layout, a COCO JSON file or folder, or a YOLO folder"),
    ],
    target: Annotated[Path, typer.Argument(metavar="TO", help="a folder that is not there yet, or empty")],
    to: Annotated[str, typer.Option(help="voc, coco or yolo")] = "voc",
    link: Annotated[bool, typer.Option("--link/--copy", help="the pictures")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="leave out pictures and objects with a mistake instead of stopping")
    ] = False,
    unannotated: cli.Unannotated = "error",
    accept: cli.Accept = None,
    max_megapixels: cli.MaxMegapixels = None,
) -> None:
    """Read annotations strictly, write them in another format, and say what that format cannot say."""

    console = cli.new_console()
    with cli.command(console):
        from lineage.data.convert import WRITERS, convert
        from lineage.data.findings import ACCEPTABLE
        from lineage.data.voc import UNANNOTATED
        from lineage.experiments.options import names_in, one_of

        one_of("--to", to, tuple(WRITERS))
        one_of("--unannotated", unannotated, UNANNOTATED)
        accepted = names_in("--accept", accept) or ()
        for kind in accepted:
            one_of("--accept", kind, ACCEPTABLE)
        done, unsaid = convert(source, target, to, link, skip_bad, unannotated, accepted)
        for line in unsaid:
            console.print(f"not kept: {line}", **cli.PLAIN)
        console.print(f"written: {target} ({done})", **cli.PLAIN)


if __name__ == "__main__":
    cli.run(app)
