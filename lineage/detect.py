"""python -m lineage.detect GENERATION IMAGE -o out.png: look at what a detector finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lineage import cli

if TYPE_CHECKING:
    from rich.console import Console

app = cli.new_app()


@app.command()
def main(
    generation: cli.Generation,
    image: Annotated[Path, typer.Argument(help="a picture")],
    out: Annotated[Path, typer.Option("--out", "-o", help="the picture with boxes")] = Path("detections.png"),
    model: Annotated[
        Path | None, typer.Option(help="a checkpoint of python -m lineage.train; default: the quick one for shapes")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="least score; default 0.5, SVM margin 0 for R-CNN, SPP-net")
    ] = None,
    device: cli.Device = "auto",
    cache: cli.Cache = None,
) -> None:
    """Detect in one picture, print the stage trace, and draw the boxes."""
    from rich.console import Console

    console = Console()
    with cli.command(console):
        from lineage.common.checkpoint import write_atomically
        from lineage.common.stages import trace
        from lineage.data.pictures import read_image
        from lineage.experiments.checkpoints import load_detector
        from lineage.experiments.generations import GENERATIONS, generation_of
        from lineage.experiments.options import one_of, pick_device
        from lineage.viz import draw_boxes

        one_of("GENERATION", generation, GENERATIONS)
        picture = read_image(image)
        path = model or _quick_model(generation, device, cache, console)
        detector, _ = load_detector(path, generation=generation)
        where = pick_device(device)
        detector.to(where)
        with trace(detector, count=False, keep_tensors=False) as stages:
            (found,) = detector([picture.to(where)])
        console.print(str(stages), highlight=False)
        least = threshold if threshold is not None else (0.0 if generation_of(generation).margins else 0.5)
        kept = {name: tensor[found["scores"] >= least].cpu() for name, tensor in found.items()}
        for box, score, label in zip(kept["boxes"].tolist(), kept["scores"].tolist(), kept["labels"].tolist()):
            corners = " ".join(f"{value:.0f}" for value in box)
            console.print(f"{detector.classes[label - 1]:<14} {score:6.3f}  {corners}", highlight=False)
        figure = draw_boxes(picture, kept["boxes"], kept["labels"], kept["scores"], detector.classes)
        suffix = out.suffix.lstrip(".") or "png"
        write_atomically(out, lambda temporary: figure.savefig(temporary, format=suffix, bbox_inches="tight"))
        console.print(
            f"{len(kept['boxes'])} of {len(found['boxes'])} detections score {least:g} or more; written: {out}"
        )


def _quick_model(generation: str, device: str, cache: Path | None, console: Console) -> Path:
    """The quick recipe's detector of shapes; trained on the first call."""
    from lineage.experiments.options import make_experiment
    from lineage.experiments.training import train_alone

    experiment = make_experiment(
        data="shapes", backbone="tiny", weights="none", recipe="quick", device=device, procedure=None, cache=cache
    )
    return train_alone(experiment, generation, 0, console.print)


if __name__ == "__main__":
    app()
