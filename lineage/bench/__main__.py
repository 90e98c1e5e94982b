"""python -m lineage.bench: train the four generations on the same pictures, and print what each paper changed."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lineage import cli

QUICK_CHECK = {"steps": 12, "pretraining_crops": 640, "limit_pictures": (24, 8)}
TIMED_PICTURES = 24

ABLATION_NAMES = (
    "box-regression", "spp-scales", "svm-softmax", "multi-task", "trained-layers", "proposals", "svd", "sharing",
    "anchors", "rpn-proposals",
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
    colour_jitter: cli.ColourJitter = 0.0,
    scale_jitter: cli.ScaleJitter = 1.0,
    vertical_flip: cli.VerticalFlip = False,
    recipe: cli.RecipeName = "quick",
    device: cli.Device = "auto",
    proposals: cli.Proposals = None,
    seeds: Annotated[int, typer.Option(min=1, help="train each generation this often")] = 1,
    procedure: cli.Procedure = None,
    pretraining: Annotated[bool, typer.Option(help="pre-train tiny on crops first; R-CNN's second claim")] = True,
    validate: Annotated[bool, typer.Option(help="train on train, test on val: for choosing settings")] = False,
    steps: cli.Steps = None,
    out: Annotated[Path, typer.Option(help="folder for results.json, report.md and lineage.png")] = Path("runs/bench"),
    cache: cli.Cache = None,
    ablation: Annotated[str | None, typer.Option(help=f"not the race, but one of: {', '.join(ABLATION_NAMES)}")] = None,
    quick_check: Annotated[bool, typer.Option("--quick-check", help="the whole path, tiny, in under a minute")] = False,
    timing: Annotated[bool, typer.Option("--timing", help="no training, time alone; see --timing --help")] = False,
) -> None:
    """Train R-CNN, SPP-net, Fast R-CNN and Faster R-CNN on the same pictures; measure them side by side."""
    from rich.console import Console

    console = Console()
    with cli.command(console):
        from lineage.bench.report import print_table, write_report
        from lineage.experiments.options import chosen_generations, make_experiment, one_of

        assert not timing, "bench() hands --timing over"
        names = chosen_generations(generations)
        fields: dict[str, Any] = {"steps": steps, **(QUICK_CHECK if quick_check else {})}
        experiment = make_experiment(
            data=data, backbone=backbone, weights=weights, recipe=recipe, device=device, proposals=proposals,
            procedure=procedure, preprocessing=preprocessing,
            classes=classes, colour_jitter=colour_jitter, scale_jitter=scale_jitter, vertical_flip=vertical_flip,
            unannotated=unannotated, skip_bad=skip_bad, accept=accept,
            pretraining=pretraining, validate=validate, cache=cache, **fields,
        )  # fmt: skip
        if ablation is not None:
            _ablate(one_of("--ablation", ablation, ABLATION_NAMES), experiment, list(range(seeds)), out, console)
            return
        results = run(experiment, names, list(range(seeds)), console)
        write_report(results, out)
        print_table(results, console)
        console.print(f"\nwritten: {out}/results.json, report.md, lineage.png", highlight=False)


def _ablate(name: str, experiment: Any, seeds: list[int], out: Path, console: Any) -> None:
    from lineage.bench.ablations.report import print_ablation, write_ablation
    from lineage.bench.ablations.run import run_ablation

    results = run_ablation(name, experiment, seeds, lambda line: console.print(line, highlight=False, soft_wrap=True))
    results = {**_circumstances(experiment, seeds), **results}
    print_ablation(results, console)
    console.print(f"\nwritten: {', '.join(map(str, write_ablation(results, out)))}", highlight=False)


def run(experiment: Any, generations: list[str], seeds: list[int], console: Any) -> dict[str, Any]:
    """Train and evaluate every generation with every seed, measure the first seed's; the ``results`` dict."""
    from lineage.bench.measure import add_speedups, measure
    from lineage.experiments.checking import checked_datasets
    from lineage.experiments.detections import evaluate_detector
    from lineage.experiments.experiment import dataset_facts
    from lineage.experiments.generations import generation_of
    from lineage.experiments.training import region_proposals, trained_detector

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    train, test = checked_datasets(experiment, say)
    say(f"{experiment.data}: {len(train)} pictures to learn from, {len(test)} to test, {len(train.classes)} classes")
    regions, test_regions = region_proposals(experiment, train), region_proposals(experiment, test)
    say(f"selective search: {statistics.mean(len(boxes) for boxes in test_regions):.0f} proposals a picture")
    rows: dict[str, dict[str, Any]] = {}
    first_seed: dict[str, Any] = {}
    for name in generations:
        trained = []
        for seed in seeds:
            detector, facts = trained_detector(experiment, name, seed, train, regions, say)
            given = None if generation_of(name).proposes else test_regions
            result, _ = evaluate_detector(detector, test, given, f"{name}: test")
            trained.append((facts, result))
            first_seed.setdefault(name, detector)
        rows[name] = _training_row(trained, first_seed[name], train.classes)
        say(f"{generation_of(name).title}: mAP " + ", ".join(f"{value:.3f}" for value in rows[name]["map_values"]))
    images = [test[i][0].to(experiment.device) for i in range(min(TIMED_PICTURES, len(test)))]
    for name, row in measure(first_seed, images).items():
        rows[name].update(row)
    add_speedups(rows)
    return {**_circumstances(experiment, seeds), "dataset": dataset_facts(train, test), "generations": rows}


def _training_row(trained: list[tuple[dict, Any]], detector: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    facts, results = [f for f, _ in trained], [r for _, r in trained]
    maps = [float(result.map) for result in results]
    return {
        "map_mean": statistics.mean(maps),
        "map_values": maps,
        "ap_per_class": {
            name: statistics.mean(float(result.ap[label]) for result in results)
            for label, name in enumerate(classes, start=1)
        },
        "train_seconds": statistics.mean(f["train_seconds"] for f in facts),
        "train_steps": facts[0]["steps"],
        "train_pictures": facts[0]["pictures"],
        "train_procedure": facts[0]["procedure"],
        "pretraining": [f["pretraining"] for f in facts],
        "cache_bytes": round(statistics.mean(f["cache_bytes"] for f in facts)),
        "parameters": sum(tensor.numel() for tensor in detector.state_dict().values()),
    }


def _circumstances(experiment: Any, seeds: list[int]) -> dict[str, Any]:
    from lineage.bench.circumstances import circumstances

    limit = experiment.proposal_settings(_rcnn_proposals(experiment)).limit
    return {
        **circumstances("python -m lineage.bench", experiment.device),
        "data": Path(experiment.data).name,
        "backbone": experiment.backbone,
        "recipe": experiment.recipe,
        "proposals": limit,
        "seeds": seeds,
    }


def _rcnn_proposals(experiment: Any) -> Any:
    from lineage.experiments.generations import named_recipe

    return named_recipe("rcnn", experiment.recipe).proposals


def bench() -> None:
    """The race, or with --timing the stopwatch alone, which has options of its own."""
    if "--timing" in sys.argv[1:]:
        from lineage.bench.timing_command import app as timing_app

        timing_app()
    app()


if __name__ == "__main__":
    bench()
