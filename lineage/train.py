"""python -m lineage.train GENERATION --data DIR: train one detector and keep it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from lineage import cli

app = cli.new_app()


@app.command()
def main(
    generation: cli.Generation,
    data: cli.Data = "shapes",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="default GENERATION.safetensors")] = None,
    backbone: cli.BackboneName = "tiny",
    weights: cli.Weights = "imagenet",
    preprocessing: cli.Preprocessing = None,
    classes: cli.Classes = None,
    split: cli.Split = None,
    unannotated: cli.Unannotated = "error",
    skip_bad: cli.SkipBad = False,
    accept: cli.Accept = None,
    colour_jitter: cli.ColourJitter = 0.0,
    scale_jitter: cli.ScaleJitter = 1.0,
    vertical_flip: cli.VerticalFlip = False,
    recipe: cli.RecipeName = "quick",
    device: cli.Device = "auto",
    proposals: cli.Proposals = None,
    procedure: cli.Procedure = None,
    changes: cli.Set = None,
    steps: cli.Steps = None,
    seed: Annotated[int, typer.Option(min=0, help="of weights, sampling and order")] = 0,
    cache: cli.Cache = None,
    explain: Annotated[bool, typer.Option("--explain", help="print the recipe with its sources, and stop")] = False,
) -> None:
    """Train a generation on the data's "trainval" split, and write a checkpoint that knows its classes and recipe."""
    from rich.console import Console

    console = Console()
    with cli.command(console):
        from lineage.common.checkpoint import write_atomically
        from lineage.experiments.explain import recipe_table
        from lineage.experiments.generations import GENERATIONS
        from lineage.experiments.options import changes_in, make_experiment, one_of
        from lineage.experiments.training import train_alone

        one_of("GENERATION", generation, GENERATIONS)
        experiment = make_experiment(
            data=data, backbone=backbone, weights=weights, recipe=recipe, device=device, proposals=proposals,
            procedure=procedure, preprocessing=preprocessing,
            classes=classes, colour_jitter=colour_jitter, scale_jitter=scale_jitter, vertical_flip=vertical_flip,
            split=split, unannotated=unannotated, skip_bad=skip_bad, accept=accept, steps=steps, cache=cache,
            changes=changes_in(changes or []),
        )  # fmt: skip
        if explain:
            console.print(recipe_table(generation, recipe))
            return
        path = train_alone(experiment, generation, seed, console.print)
        target = out or Path(f"{generation}.safetensors")
        write_atomically(target, lambda temporary: shutil.copyfile(path, temporary))
        console.print(f"written: {target}", highlight=False)


if __name__ == "__main__":
    app()
