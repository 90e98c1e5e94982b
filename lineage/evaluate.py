"""python -m lineage.evaluate MODEL --data DIR: average precision of a trained detector."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from lineage import cli

app = cli.new_app()


@app.command()
def main(
    model: Annotated[Path, typer.Argument(help="a checkpoint of python -m lineage.train")],
    data: cli.Data = "shapes",
    split: Annotated[str, typer.Option(help="a file in ImageSets/Main")] = "test",
    device: cli.Device = "auto",
    cache: cli.Cache = None,
) -> None:
    """VOC average precision a class (11-point and area under the curve, IoU 0.5), and COCO's AP[.5:.95]."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    with cli.command(console):
        from lineage.bench.experiment import detect_all
        from lineage.common.coco import evaluate_coco
        from lineage.common.evaluation import evaluate_voc
        from lineage.data.catalogue import open_dataset
        from lineage.data.proposals import cached_proposals
        from lineage.detectors import load_detector

        cache = cache or cli.default_cache()
        detector, _ = load_detector(model)
        detector.to(cli.pick_device(device))
        dataset = open_dataset(data, split, cache / "data", classes=detector.classes)
        settings = getattr(detector.recipe, "proposals", None)
        regions = cached_proposals(dataset, settings, settings.key, cache / "proposals") if settings else None
        detections = detect_all(detector, dataset, regions, "detect")
        targets = [dataset.target(i) for i in range(len(dataset))]
        eleven, area = (
            evaluate_voc(detections, targets, len(dataset.classes), use_11_point=points) for points in (True, False)
        )
        table = Table("class", "AP 11-point", "AP area", title=f"{model.name} on {data} {split}, IoU 0.5")
        for label, name in enumerate(dataset.classes, start=1):
            table.add_row(name, _percent(eleven.ap[label]), _percent(area.ap[label]))
        table.add_section()
        table.add_row("mean", _percent(eleven.map), _percent(area.map))
        console.print(table)
        coco = evaluate_coco(detections, targets, len(dataset.classes))
        console.print("COCO: " + ", ".join(f"{name} {value:.1%}" for name, value in coco.items()), highlight=False)


def _percent(value: float) -> str:
    return "no objects" if math.isnan(value) else f"{100 * value:.1f}"


if __name__ == "__main__":
    app()
