"""python -m lineage.bench: train the four generations on the same pictures, and print what each paper changed."""

from __future__ import annotations

import os
import statistics
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

QUICK_CHECK = {"steps": 12, "pretraining_crops": 640, "limit_pictures": (24, 8)}
TIMED_PICTURES = 24

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def default_cache() -> Path:
    """$LINEAGE_CACHE, or the user's cache folder."""
    fallback = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lineage"
    return Path(os.environ.get("LINEAGE_CACHE", fallback))


@app.command()
def main(
    data: Annotated[str, typer.Option(help="shapes, voc2007, voc2012, or a folder in VOC layout")] = "shapes",
    generations: Annotated[str, typer.Option(help="comma-separated")] = "rcnn,sppnet,fast_rcnn,faster_rcnn",
    backbone: Annotated[str, typer.Option(help="tiny, alexnet, vgg16, resnet18 or efficientnet_lite0")] = "tiny",
    weights: Annotated[
        str, typer.Option(help="imagenet, none, or a file; tiny is pre-trained here and needs none")
    ] = "imagenet",
    recipe: Annotated[str, typer.Option(help="quick (minutes on a CPU) or paper")] = "quick",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    proposals: Annotated[int | None, typer.Option(min=1, help="selective-search boxes a picture")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="train each generation this often")] = 1,
    procedure: Annotated[str | None, typer.Option(help="Faster R-CNN's training: joint or alternating")] = None,
    pretraining: Annotated[bool, typer.Option(help="pre-train tiny on crops first; R-CNN's second claim")] = True,
    validate: Annotated[bool, typer.Option(help="train on train, test on val: for choosing settings")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="gradient steps instead of the recipe's")] = None,
    out: Annotated[Path, typer.Option(help="folder for results.json, report.md and lineage.png")] = Path("runs/bench"),
    cache: Annotated[Path | None, typer.Option(help="data, proposals and trained models; $LINEAGE_CACHE")] = None,
    quick_check: Annotated[bool, typer.Option("--quick-check", help="the whole path, tiny, in under a minute")] = False,
) -> None:
    """Train R-CNN, SPP-net, Fast R-CNN and Faster R-CNN on the same pictures; measure them side by side."""
    from rich.console import Console

    from lineage.bench.report import print_table, write_report

    console = Console()
    try:
        experiment = _experiment(
            data=data, backbone=backbone, weights=weights, recipe=recipe, device=device, proposals=proposals, steps=steps,
            procedure=procedure, pretraining=pretraining, validate=validate, cache=cache or default_cache(),
            quick_check=quick_check,
        )  # fmt: skip
        results = run(experiment, _chosen(generations), list(range(seeds)), console)
    except (ValueError, OSError, RuntimeError) as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("\ninterrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    write_report(results, out)
    print_table(results, console)
    console.print(f"\nwritten: {out}/results.json, report.md, lineage.png")


def _chosen(generations: str) -> list[str]:
    from lineage.detectors import GENERATIONS

    names = [name.strip() for name in generations.split(",") if name.strip()]
    unknown = [name for name in names if name not in GENERATIONS]
    if unknown or not names:
        raise ValueError(f"--generations: {', '.join(unknown) or 'nothing'} is none of {', '.join(GENERATIONS)}")
    return [name for name in GENERATIONS if name in names]


def _experiment(*, quick_check: bool, device: str, weights: str, backbone: str, **fields: Any) -> Any:
    import torch

    from lineage.backbones import NAMES
    from lineage.bench.experiment import Experiment
    from lineage.detectors import RECIPES

    if backbone not in NAMES:
        raise ValueError(f"--backbone: {backbone!r} is none of {', '.join(NAMES)}")
    if fields["recipe"] not in RECIPES:
        raise ValueError(f"--recipe: {fields['recipe']!r} is none of {', '.join(RECIPES)}")
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device: {device!r} is none of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device: cuda was asked for, but torch finds no GPU")
    if fields["procedure"] not in (None, "joint", "alternating"):
        raise ValueError(f"--procedure: {fields['procedure']!r} is neither joint nor alternating")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if quick_check:
        fields = {**fields, **QUICK_CHECK}
    chosen = None if backbone == "tiny" or weights == "none" else weights
    return Experiment(backbone=backbone, weights=chosen, device=torch.device(device), **fields)


def run(experiment: Any, generations: list[str], seeds: list[int], console: Any) -> dict[str, Any]:
    """Train and evaluate every generation with every seed, measure the first seed's; the ``results`` dict."""
    from lineage.bench import experiment as e
    from lineage.bench.measure import add_speedups, measure

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    train, test = experiment.datasets()
    say(
        f"{experiment.data}: {len(train)} pictures to learn from, {len(test)} to be tested on, {len(train.classes)} classes"
    )
    regions, test_regions = e.region_proposals(experiment, train), e.region_proposals(experiment, test)
    say(f"selective search: {statistics.mean(len(boxes) for boxes in test_regions):.0f} proposals a picture")
    rows: dict[str, dict[str, Any]] = {}
    first_seed: dict[str, Any] = {}
    for name in generations:
        trained = []
        for seed in seeds:
            detector, facts = e.trained_detector(experiment, name, seed, train, regions, say)
            given = None if name == "faster_rcnn" else test_regions
            result, _ = e.evaluate_detector(detector, test, given, f"{name}: test")
            trained.append((facts, result))
            first_seed.setdefault(name, detector)
        rows[name] = _training_row(trained, first_seed[name], train.classes)
        say(f"{e.TITLES[name]}: mAP " + ", ".join(f"{value:.3f}" for value in rows[name]["map_values"]))
    images = [test[i][0].to(experiment.device) for i in range(min(TIMED_PICTURES, len(test)))]
    for name, row in measure(first_seed, images).items():
        rows[name].update(row)
    add_speedups(rows)
    return {**_circumstances(experiment, seeds), "dataset": _dataset(train, test), "generations": rows}


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


def _dataset(train: Any, test: Any) -> dict[str, Any]:
    return {"train_pictures": len(train), "test_pictures": len(test), "classes": list(train.classes)}


def _circumstances(experiment: Any, seeds: list[int]) -> dict[str, Any]:
    from lineage.bench.measure import device_name
    from lineage.bench.versions import commit, versions

    limit = experiment.proposal_settings(_rcnn_proposals(experiment)).limit
    return {
        "device": device_name(experiment.device),
        "versions": versions(),
        "commit": commit(),
        "command": " ".join(["python -m lineage.bench", *sys.argv[1:]]),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data": Path(experiment.data).name,
        "backbone": experiment.backbone,
        "recipe": experiment.recipe,
        "proposals": limit,
        "seeds": seeds,
    }


def _rcnn_proposals(experiment: Any) -> Any:
    from lineage.detectors import named_recipe

    return named_recipe("rcnn", experiment.recipe).proposals


if __name__ == "__main__":
    app()
