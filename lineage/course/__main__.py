"""python -m lineage.course: hand out the assignments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineage import cli

app = cli.new_app()


@app.callback()
def course() -> None:
    """What an instructor needs; see notebooks/assignments."""


@app.command()
def release(
    source: Annotated[Path, typer.Option(help="the assignments with their solutions")] = Path(
        "notebooks/assignments/source"
    ),
    out: Annotated[Path, typer.Option("--out", "-o", help="where the students' versions go")] = Path("release"),
) -> None:
    """Write what students get: no solutions, no hidden tests. Never edit a release: edit the source."""
    from rich.console import Console

    console = Console()
    with cli.command(console):
        from lineage.course.release import release as write_release

        for path in write_release(source, out):
            console.print(f"written: {path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    app()
