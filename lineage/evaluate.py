"""python -m lineage.evaluate MODEL --data DIR: average precision of a trained detector, or of detections in files."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from lineage import cli

app = cli.new_app()


@app.command()
def main(
    model: Annotated[
        Path, typer.Argument(help="a checkpoint; or detections: COCO results.json, or a folder of comp4 files")
    ],
    data: cli.Data = "shapes",
    split: Annotated[str, typer.Option(help="a file in ImageSets/Main")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder for comp4 and COCO files and errors.png")
    ] = None,
    ground_truth: Annotated[
        Path | None, typer.Option(help="of COCO results: the JSON whose picture and category ids they use")
    ] = None,
    device: cli.Device = "auto",
    cache: cli.Cache = None,
) -> None:
    """VOC average precision a class (11-point and area under the curve, IoU 0.5), and COCO's AP[.5:.95]."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    with cli.command(console):
        from lineage.evaluation.coco import evaluate_coco
        from lineage.evaluation.errors import analyse_errors
        from lineage.evaluation.voc import evaluate_voc
        from lineage.experiments.options import default_cache, pick_device

        cache = cache or default_cache()
        if ground_truth is not None and (model.is_dir() or model.suffix.lower() != ".json"):
            raise ValueError(f"--ground-truth: is for COCO results (.json), and {model} is none")
        if model.is_dir() or model.suffix.lower() == ".json":
            dataset, detections = _read(model, data, split, ground_truth, cache)
        else:
            dataset, detections = _detect(model, data, split, pick_device(device), cache)
        targets = [dataset.target(i) for i in range(len(dataset))]
        eleven, area = (
            evaluate_voc(detections, targets, len(dataset.classes), use_11_point=points) for points in (True, False)
        )
        table = Table("class", "AP 11-point", "AP area", title=f"{model.name} on {data} {split}, IoU 0.5")
        for label, name in enumerate(dataset.classes, start=1):
            table.add_row(escape(name), _percent(eleven.ap[label]), _percent(area.ap[label]))
        table.add_section()
        table.add_row("mean", _percent(eleven.map), _percent(area.map))
        console.print(table)
        errors = analyse_errors(detections, targets, dataset.classes)
        console.print(_error_table(errors))
        coco = evaluate_coco(detections, targets, len(dataset.classes))
        console.print("COCO: " + ", ".join(f"{name} {value:.1%}" for name, value in coco.items()), highlight=False)
        if out is not None:
            _write(out, dataset, detections, targets, errors, split)
            console.print(f"written: {out}/comp4_det_{split}_*.txt, coco_*.json, errors.png", highlight=False)


def _read(
    results: Path, data: str, split: str, ground_truth: Path | None, cache: Path
) -> tuple[Any, list[dict[str, Any]]]:
    """The split, and what others found in its pictures."""
    from lineage.data.catalogue import open_dataset
    from lineage.data.coco_json import read_numbers
    from lineage.data.convert import coco_file
    from lineage.data.pictures import read_size
    from lineage.evaluation.coco_ids import Numbering
    from lineage.evaluation.result_files import GROUND_TRUTH, corners_for_sizes, read_coco, read_comp4

    dataset = open_dataset(data, split, cache / "data")
    if results.is_dir():
        return dataset, read_comp4(results, dataset.ids, dataset.classes, split)
    beside = results.with_name(GROUND_TRUTH)  # as this command writes it
    truth = ground_truth or (beside if beside.is_file() else coco_file(Path(data), split))
    numbering = Numbering(str(truth), *read_numbers(truth)) if truth else None
    detections = read_coco(results, dataset.ids, dataset.classes, numbering)
    sizes = {i: read_size(dataset.image_path(i)) for i, found in enumerate(detections) if len(found["boxes"])}
    doubt = corners_for_sizes(detections, sizes)
    if doubt:
        warnings.warn(f"{results.name}: {doubt}", stacklevel=2)
    return dataset, detections


def _detect(model: Path, data: str, split: str, device: Any, cache: Path) -> tuple[Any, list[dict[str, Any]]]:
    """The split, and what a trained detector finds in its pictures."""
    from lineage.data.catalogue import open_dataset
    from lineage.experiments.checkpoints import load_detector
    from lineage.experiments.detections import detect_all
    from lineage.experiments.training import proposals_by

    detector, _ = load_detector(model)
    detector.to(device)
    dataset = open_dataset(data, split, cache / "data", classes=detector.classes)
    settings = getattr(detector.recipe, "proposals", None)
    regions = proposals_by(settings, dataset, cache) if settings else None
    return dataset, detect_all(detector, dataset, regions, "detect")


def _error_table(errors: Any) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from lineage.evaluation.errors import KINDS

    table = Table(
        "class", "objects", "Cor", "Loc", "Sim", "Oth", "BG", "missed",
        title="Each class's best detections, as many as it has objects",
        caption="Correct; badly Located or found twice; on a Similar class, on an Other, on BackGround (Hoiem 2012)",
    )  # fmt: skip
    for name, one in errors.items():
        table.add_row(escape(name), *(str(getattr(one, field)) for field in ("objects", *KINDS, "missed")))
    return table


def _write(out: Path, dataset: Any, detections: list[Any], targets: list[Any], errors: Any, split: str) -> None:
    from lineage.common.checkpoint import write_atomically
    from lineage.evaluation.result_files import write_coco, write_comp4
    from lineage.viz import plot_errors

    write_comp4(detections, dataset.ids, dataset.classes, out, split)
    write_coco(detections, targets, dataset.ids, dataset.classes, out)
    figure = plot_errors(errors)
    write_atomically(out / "errors.png", lambda path: figure.savefig(path, bbox_inches="tight"))


def _percent(value: float) -> str:
    return "no objects" if math.isnan(value) else f"{100 * value:.1f}"


if __name__ == "__main__":
    app()
