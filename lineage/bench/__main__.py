"""python -m lineage.bench: train the four generations on the same pictures, and print what each paper changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lineage import cli

QUICK_CHECK = {"steps": 12, "pretraining_crops": 640, "limit_pictures": (24, 8)}

ABLATION_NAMES = (
    "box-regression", "fine-tuning", "spp-scales", "svm-softmax", "multi-task", "trained-layers", "proposals",
    "proposers", "svd", "sharing", "anchors", "rpn-proposals",
)  # fmt: skip

app = cli.new_app()


@app.command()
def main(
    data: cli.Data = "shapes",
    generations: cli.Generations = cli.ALL_GENERATIONS,
    backbone: cli.BackboneName = "tiny",
    weights: cli.Weights = "imagenet",
    preprocessing: cli.Preprocessing = None,
    classes: cli.Classes = None,
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
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="train each generation this often")] = 1,
    procedure: cli.Procedure = None,
    pretraining: Annotated[bool, typer.Option(help="pre-train tiny on crops first; R-CNN's second claim")] = True,
    pretrain: cli.Pretrain = False,
    validate: Annotated[bool, typer.Option(help="train on train, test on val: for choosing settings")] = False,
    steps: cli.Steps = None,
    test_every: cli.TestEvery = 1,
    accumulate: cli.Accumulate = None,
    amp: cli.Amp = None,
    workers: cli.Workers = None,
    out: Annotated[Path, typer.Option(help="folder for results.json, report.md and lineage.png")] = Path("runs/bench"),
    cache: cli.Cache = None,
    ablation: Annotated[str | None, typer.Option(help=f"not the race, but one of: {', '.join(ABLATION_NAMES)}")] = None,
    quick_check: Annotated[bool, typer.Option("--quick-check", help="the whole path, tiny, in under a minute")] = False,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="the detectors of models/ on the data's test split: no training")
    ] = False,
    timing: Annotated[bool, typer.Option("--timing", help="no training, time alone; see --timing --help")] = False,
) -> None:
    """Train R-CNN, SPP-net, Fast R-CNN and Faster R-CNN on the same pictures; measure them side by side."""

    console = cli.new_console()
    with cli.command(console, shares=True):
        from lineage.bench.race import run, run_pretrained
        from lineage.bench.report import print_table, write_report
        from lineage.common.together import is_alone, is_first
        from lineage.experiments.options import chosen_generations, make_experiment, one_of

        assert not timing, "bench() hands --timing over"
        names = chosen_generations(generations)
        if pretrained and (seeds > 1 or quick_check or validate or steps):
            raise ValueError("--pretrained: trains nothing: without --seeds, --steps, --validate, --quick-check")
        fields: dict[str, Any] = {"steps": steps, **(QUICK_CHECK if quick_check else {})}
        experiment = make_experiment(
            data=data, backbone=backbone, weights=weights, recipe=recipe, device=device, proposals=proposals,
            procedure=procedure, preprocessing=preprocessing,
            classes=classes, colour_jitter=colour_jitter, scale_jitter=scale_jitter, vertical_flip=vertical_flip,
            unannotated=unannotated, skip_bad=skip_bad, accept=accept,
            pretraining=pretraining, pretrain_here=pretrain, validate=validate, accumulate=accumulate, amp=amp,
            workers=workers, cache=cache, test_every=test_every, **fields,
        )  # fmt: skip
        if ablation is not None:
            if not is_alone():
                raise ValueError("--ablation: is one process's work: start it without torchrun")
            name = one_of("--ablation", ablation, ABLATION_NAMES)
            _ablate(name, experiment, list(range(seeds)), pretrained, out, console)
            return
        if pretrained:
            results = run_pretrained(experiment, _with_models(names, generations), console)
        else:
            results = run(experiment, names, list(range(seeds)), console)
        if not is_first():
            return
        write_report(results, out)
        print_table(results, console)
        console.print(f"\nwritten: {out}/results.json, report.md, lineage.png", **cli.PLAIN)


def _ablate(name: str, experiment: Any, seeds: list[int], pretrained: bool, out: Path, console: Any) -> None:
    from lineage.bench.ablations.report import print_ablation, write_ablation
    from lineage.bench.ablations.run import as_pretrained, run_ablation
    from lineage.bench.race import setting

    def say(line: str) -> None:
        console.print(line, **cli.PLAIN)

    experiment = as_pretrained(name, experiment) if pretrained else experiment
    results = run_ablation(name, experiment, seeds, say, pretrained)
    results = {**setting(experiment, seeds), **results}
    print_ablation(results, console)
    console.print(f"\nwritten: {', '.join(map(str, write_ablation(results, out)))}", **cli.PLAIN)


def _with_models(names: list[str], asked: str) -> list[str]:
    """All that were asked for by name; of all four those whose models there are."""
    from lineage.experiments.pretrained import model_of

    return [name for name in names if asked != cli.ALL_GENERATIONS or model_of(name) is not None] or names


def bench() -> None:
    """The race, or with --timing the stopwatch alone, which has options of its own."""
    if "--timing" in sys.argv[1:]:
        from lineage.bench.timing_command import app as timing_app

        cli.run(timing_app)
    cli.run(app)


if __name__ == "__main__":
    bench()
