"""python -m lineage.detect GENERATION PICTURES... -o OUT: look at what a detector finds."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage import cli
from lineage.detection.sources import EVERY

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_CLASSES = 20
SHAPES = "shapes"  # --model: the one that is trained here
app = cli.new_app()


@app.command()
def main(
    generation: cli.Generation,
    pictures: Annotated[
        list[str] | None,
        typer.Argument(help="pictures, folders (with their subfolders), patterns such as 'photos/**/*.jpg', videos"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="of one picture: a picture file (.png, .jpg, .svg, .pdf ...) or a folder; of several: a folder; of a "
            "video: .mp4, .avi or a folder of frames. Default: detections.png, detections/ or detections.mp4, or "
            "nothing drawn where --json, --csv, --coco or --yolo is given",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="a checkpoint of python -m lineage.train, or 'shapes': the quick one for drawn shapes. Default: the "
            "one in models/ that knows VOC's twenty classes; shapes where there is none"
        ),
    ] = None,
    score: Annotated[
        float | None, typer.Option(help="least score; default 0.5, SVM margin 0 for R-CNN, SPP-net")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="only these, comma-separated; default: all of the model's")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="detections as JSON: a file")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="as a table: a file")] = None,
    coco: Annotated[
        Path | None,
        typer.Option("--coco", help="as COCO results: R.json, with R_images.json that says what its ids mean"),
    ] = None,
    yolo: Annotated[Path | None, typer.Option("--yolo", help="as YOLO's labels with scores: a folder")] = None,
    every: Annotated[int, typer.Option(min=1, help="of a video or camera, look at one frame in so many")] = EVERY,
    frames: Annotated[int | None, typer.Option(min=1, help="look at so many frames of a video or camera")] = None,
    camera: Annotated[int | None, typer.Option(min=0, help="its number, 0 is the first; until Ctrl-C")] = None,
    max_megapixels: cli.MaxMegapixels = None,
    device: cli.Device = "auto",
    cache: cli.Cache = None,
) -> None:
    """Detect in pictures and videos; draw the boxes, and write them for other programs.

    Boxes are in the pixels of the upright picture, as a viewer shows it (EXIF rotation applied). A file that cannot be
    read is named and the rest goes on; the exit code is then 1. What is in OUT is not looked at again.
    """

    console = cli.new_console()
    with cli.command(console):
        from lineage.detection.found import chosen_labels
        from lineage.detection.plan import make_plan
        from lineage.detection.run import Settings, run
        from lineage.experiments.checkpoints import load_detector
        from lineage.experiments.generations import GENERATIONS, generation_of
        from lineage.experiments.options import names_in, one_of, pick_device
        from lineage.experiments.pretrained import model_of

        one_of("GENERATION", generation, GENERATIONS)
        where, names = pick_device(device), names_in("--classes", classes)
        asked = {"json": json, "csv": csv, "coco": coco, "yolo": yolo}
        results = {kind: path for kind, path in asked.items() if path is not None}
        own = Path(model) if model and model != SHAPES else None
        plan = make_plan(pictures or [], camera, out, results, keep=[own] if own else [])
        if frames is not None and not any(source.moves for source in plan.sources):
            raise ValueError("--frames is for videos and cameras: nothing that is to be looked at has frames")
        supplied = None if model else model_of(generation)
        path = own or supplied or _quick_model(generation, device, cache, console)
        detector, facts = load_detector(path, generation=generation)
        if score is not None and math.isnan(score):
            raise ValueError("--score: nan is no number")
        least = score if score is not None else (0.0 if generation_of(generation).margins else 0.5)
        labels = None if names is None else chosen_labels(names, detector.classes)
        settings = Settings(least, labels, every, frames)
        say = partial(console.print, **cli.PLAIN)
        named = own or (supplied and Path(supplied.name))
        raise typer.Exit(run(detector.to(where), plan, settings, say, introduction(facts, named)))


def introduction(facts: dict[str, Any], model: Path | None) -> list[str]:
    """What a checkpoint knows, in a line; and a line that says so where it has only ever seen drawings.

    Args:
        model: the file, where the user named it.
    """
    from lineage.experiments.generations import TITLES

    names = facts["classes"]
    more = f" ... and {len(names) - SHOWN_CLASSES} more" if len(names) > SHOWN_CLASSES else ""
    known = ", ".join(names[:SHOWN_CLASSES]) + more
    lines = []
    if model is not None:
        data = facts.get("data", "data that it does not name")
        lines.append(f"{model}: {TITLES[facts['generation']]} on {facts['backbone']}, trained on {data}; knows {known}")
    if facts.get("data") == "shapes":
        lines.append(
            f"this model was trained on drawn shapes and knows {known}: on photographs its boxes mean nothing; "
            "train your own (python -m lineage.train) " + ("or give --model" if model is None else "on your pictures")
        )
    return lines


def _quick_model(generation: str, device: str, cache: Path | None, console: Console) -> Path:
    """The quick recipe's detector of shapes; trained on the first call."""
    from lineage.experiments.options import make_experiment
    from lineage.experiments.training import train_alone

    experiment = make_experiment(
        data="shapes", backbone="tiny", weights="none", recipe="quick", device=device, procedure=None, cache=cache
    )
    return train_alone(experiment, generation, 0, console.print)


if __name__ == "__main__":
    cli.run(app)
