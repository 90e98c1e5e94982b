"""python -m lineage.bench --timing: what each generation costs, without training any."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from lineage import cli

app = cli.new_app()
CPU_CROPS = 32  # of R-CNN's: all 2000 would take VGG16 minutes a picture


@app.command()
def main(
    timing: Annotated[bool, typer.Option("--timing", help="this command")] = True,
    generations: cli.Generations = cli.ALL_GENERATIONS,
    backbone: cli.BackboneName = "vgg16",
    weights: cli.Weights = "none",
    device: cli.Device = "auto",
    size: Annotated[str, typer.Option(help="height x width of the pictures, as the network sees them")] = "600x800",
    proposals: Annotated[int, typer.Option(min=1, help="regions a picture of the first three")] = 2000,
    rpn_proposals: Annotated[int, typer.Option(min=1, help="Faster R-CNN's")] = 300,
    dtype: Annotated[str, typer.Option(help="float32, tf32 or bf16, of convolutions and fc layers")] = "float32",
    channels_last: Annotated[bool, typer.Option(help="the memory format")] = True,
    compiled: Annotated[bool, typer.Option("--compile", help="torch.compile them")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="pictures timed, all generations in turns")] = 5,
    crops: Annotated[int | None, typer.Option(min=1, help="of R-CNN's that are run; on a CPU 32, else all")] = None,
    curves: Annotated[bool, typer.Option(help="time against proposals, pixels and pictures too")] = True,
    out: Annotated[Path, typer.Option(help="folder for timing.json, .md and .png")] = Path("runs/timing"),
) -> None:
    """Time the generations side by side and against what the device can do at best. Nothing is trained."""

    console = cli.new_console()
    with cli.command(console):
        from lineage.backbones import NAMES
        from lineage.bench.circumstances import circumstances
        from lineage.bench.timed import Setting
        from lineage.bench.timing import time_generations
        from lineage.bench.timing_report import print_timing, write_timing
        from lineage.experiments.options import chosen_generations, one_of, pick_device

        one_of("--backbone", backbone, NAMES)
        where = pick_device(device)
        setting = Setting(
            where, backbone, None if weights == "none" else weights, picture_size(size), proposals, rpn_proposals,
            dtype, channels_last, compiled, crops or (CPU_CROPS if where.type == "cpu" else None),
        )  # fmt: skip
        found = time_generations(setting, chosen_generations(generations), rounds, curves)
        results = {**circumstances("python -m lineage.bench", where), **found}
        print_timing(results, console)
        paths = write_timing(results, out)
        console.print(f"\nwritten: {', '.join(map(str, paths))}", **cli.PLAIN)


def picture_size(text: str) -> tuple[int, int]:
    """(height, width) from "600x800".

    Raises:
        ValueError: anything else.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise ValueError(f"--size: expected HEIGHTxWIDTH such as 600x800, got {text!r}")
    return int(found[1]), int(found[2])
