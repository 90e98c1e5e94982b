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
    max_megapixels: cli.MaxMegapixels = None,
    colour_jitter: cli.ColourJitter = 0.0,
    scale_jitter: cli.ScaleJitter = 1.0,
    vertical_flip: cli.VerticalFlip = False,
    recipe: cli.RecipeName = "quick",
    device: cli.Device = "auto",
    proposals: cli.Proposals = None,
    procedure: cli.Procedure = None,
    pretrain: cli.Pretrain = False,
    changes: cli.Set = None,
    steps: cli.Steps = None,
    accumulate: cli.Accumulate = None,
    amp: cli.Amp = None,
    workers: cli.Workers = None,
    validate_every: Annotated[
        int | None,
        typer.Option(min=1, help="steps between two measurements of mAP on val; learns from train, without val"),
    ] = None,
    keep: Annotated[str | None, typer.Option(help="best (default) or last, of the weights that were measured")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="folder for TensorBoard, if that is installed")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="of weights, sampling and order")] = 0,
    cache: cli.Cache = None,
    explain: Annotated[bool, typer.Option("--explain", help="print the recipe with its sources, and stop")] = False,
) -> None:
    """Train a generation on the data's "trainval" split, and write a checkpoint that knows its classes and recipe.

    Beside it: every step's losses as OUT.curves.csv, drawn as OUT.curves.png.
    """
    from contextlib import nullcontext

    console = cli.new_console()
    with cli.command(console, shares=True):
        from lineage.common.checkpoint import write_atomically
        from lineage.common.together import is_first
        from lineage.experiments import curves
        from lineage.experiments.explain import recipe_table
        from lineage.experiments.generations import GENERATIONS
        from lineage.experiments.options import changes_in, make_experiment, one_of
        from lineage.experiments.training import train_alone

        one_of("GENERATION", generation, GENERATIONS)
        experiment = make_experiment(
            data=data, backbone=backbone, weights=weights, recipe=recipe, device=device, proposals=proposals,
            procedure=procedure, preprocessing=preprocessing,
            classes=classes, colour_jitter=colour_jitter, scale_jitter=scale_jitter, vertical_flip=vertical_flip,
            split=split, unannotated=unannotated, skip_bad=skip_bad, accept=accept, changes=changes_in(changes or []),
            steps=steps, accumulate=accumulate, amp=amp, workers=workers, validate_every=validate_every, keep=keep,
            pretrain_here=pretrain, cache=cache,
        )  # fmt: skip
        if explain:
            console.print(recipe_table(generation, recipe))
            return
        with curves.tensorboard(tensorboard) if tensorboard and is_first() else nullcontext() as listen:
            path = train_alone(experiment, generation, seed, console.print, listen)
        if not is_first():
            return
        target = out or Path(f"{generation}.safetensors")
        write_atomically(target, lambda temporary: shutil.copyfile(path, temporary))
        console.print(f"written: {target}", **cli.PLAIN)
        written = _write_curves(path, target)
        if written:
            console.print(f"curves: {', '.join(map(str, written))}", **cli.PLAIN)


def _write_curves(model: Path, target: Path) -> list[Path]:
    """The table of a model's training beside its copy, and the same drawn; nothing where the cache has lost it."""
    from lineage.common.checkpoint import load_checkpoint, write_atomically
    from lineage.experiments.curves import curves_file, read_curves
    from lineage.viz import plot_training

    kept, table = curves_file(model), curves_file(target)
    if not kept.exists():
        return []
    write_atomically(table, lambda temporary: shutil.copyfile(kept, temporary))
    _, facts = load_checkpoint(model)
    figure = plot_training(read_curves(kept), kept=facts.get("validation", {}).get("kept_step"))
    picture = table.with_suffix(".png")
    write_atomically(picture, lambda temporary: figure.savefig(temporary, format="png", bbox_inches="tight"))
    return [table, picture]


if __name__ == "__main__":
    cli.run(app)
