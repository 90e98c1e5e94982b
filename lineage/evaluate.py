"""python -m lineage.evaluate MODEL --data DIR: average precision of a trained detector, or of detections in files."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage import cli

if TYPE_CHECKING:
    from lineage.data.voc import VOCDataset

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
    unannotated: cli.Unannotated = "error",
    skip_bad: cli.SkipBad = False,
    accept: cli.Accept = None,
    max_megapixels: cli.MaxMegapixels = None,
    device: cli.Device = "auto",
    cache: cli.Cache = None,
) -> None:
    """VOC average precision a class (11-point and area under the curve, IoU 0.5), and COCO's AP[.5:.95]."""
    from rich.table import Table

    console = cli.new_console()
    with cli.command(console, shares=True):
        from lineage.common.together import is_first
        from lineage.data.catalogue import open_dataset
        from lineage.data.voc import UNANNOTATED
        from lineage.evaluation.coco import evaluate_coco
        from lineage.evaluation.errors import analyse_errors
        from lineage.evaluation.voc import evaluate_voc
        from lineage.experiments.checking import checked
        from lineage.experiments.checkpoints import load_detector
        from lineage.experiments.options import default_cache, names_in, one_of, pick_device

        cache, where = cache or default_cache(), pick_device(device)
        one_of("--unannotated", unannotated, UNANNOTATED)
        if ground_truth is not None and (model.is_dir() or model.suffix.lower() != ".json"):
            raise ValueError(f"--ground-truth: is for COCO results (.json), and {model} is none")
        detector = None if model.is_dir() or model.suffix.lower() == ".json" else load_detector(model)[0]
        classes = None if detector is None else detector.classes
        dataset = open_dataset(data, split, cache / "data", classes, unannotated=unannotated)
        say, accepted = partial(console.print, **cli.PLAIN), names_in("--accept", accept) or ()
        (dataset,) = checked(
            [dataset], say, data=data, cache=cache, skip_bad=skip_bad, accept=accepted, learns=False
        )  # fmt: skip
        if detector is None:
            detections = _read(model, dataset, data, ground_truth)
        else:
            detections = _detect(detector.to(where), dataset, cache)
        if not is_first():
            return
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
        errors = analyse_errors(detections, targets, dataset.classes)
        console.print(_error_table(errors))
        coco = evaluate_coco(detections, targets, len(dataset.classes))
        console.print("COCO: " + ", ".join(f"{name} {value:.1%}" for name, value in coco.items()), **cli.PLAIN)
        if out is not None:
            _write(out, dataset, detections, targets, errors, split)
            console.print(f"written: {out}/comp4_det_{split}_*.txt, coco_*.json, errors.png", **cli.PLAIN)


def _read(results: Path, dataset: VOCDataset, data: str, ground_truth: Path | None) -> list[dict[str, Any]]:
    """What others found in the pictures of the split."""
    from lineage.data.coco_json import read_numbers
    from lineage.data.convert import coco_file
    from lineage.data.pictures import read_size
    from lineage.evaluation.coco_ids import Numbering
    from lineage.evaluation.result_files import GROUND_TRUTH, corners_for_sizes, read_coco, read_comp4

    if results.is_dir():
        return read_comp4(results, dataset.ids, dataset.classes, dataset.split)
    beside = results.with_name(GROUND_TRUTH)  # as this command writes it
    truth = ground_truth or (beside if beside.is_file() else coco_file(Path(data), dataset.split))
    numbering = Numbering(str(truth), *read_numbers(truth)) if truth else None
    detections = read_coco(results, dataset.ids, dataset.classes, numbering)
    sizes = {i: read_size(dataset.image_path(i)) for i, found in enumerate(detections) if len(found["boxes"])}
    doubt = corners_for_sizes(detections, sizes)
    if doubt:
        warnings.warn(f"{results.name}: {doubt}", stacklevel=2)
    return detections


def _detect(detector: Any, dataset: VOCDataset, cache: Path) -> list[dict[str, Any]]:
    """What a trained detector finds in the pictures of the split."""
    from lineage.experiments.detections import detect_all
    from lineage.experiments.training import proposals_by

    settings = getattr(detector.recipe, "proposals", None)
    regions = proposals_by(settings, dataset, cache) if settings else None
    return detect_all(detector, dataset, regions, "detect", cache)


def _error_table(errors: Any) -> Any:
    from rich.table import Table

    from lineage.evaluation.errors import KINDS

    table = Table(
        "class", "objects", "Cor", "Loc", "Sim", "Oth", "BG", "missed",
        title="Each class's best detections, as many as it has objects",
        caption="Correct; badly Located or found twice; on a Similar class, on an Other, on BackGround (Hoiem 2012)",
    )  # fmt: skip
    for name, one in errors.items():
        table.add_row(name, *(str(getattr(one, field)) for field in ("objects", *KINDS, "missed")))
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
    cli.run(app)
