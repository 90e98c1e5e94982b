"""Whatever a file says, its reader answers, or refuses in one message: no traceback, no hang, no gigabytes.

``LINEAGE_FUZZ=10000 python -m pytest tests/fuzz`` takes so many inputs a reader, new ones each time. What it has found
is kept where the reader's own tests are.
"""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
import yaml
from coco_folder import ground_truth, picture
from hypothesis import strategies as st
from mutations import as_json, mutated_bytes, mutated_values
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from survival import fuzz, limits, needs_alarm, survives
from tiny_models import save_tiny, tiny_detector
from typer.testing import CliRunner
from voc_folder import annotation

from lineage import check, convert, detect, evaluate, train
from lineage.bench.__main__ import app as bench
from lineage.common.checkpoint import save_checkpoint
from lineage.course.gradebook import Graded, read_written
from lineage.course.restore import restored
from lineage.data.annotation import parse_annotation
from lineage.data.catalogue import open_dataset
from lineage.data.pictures import read_header, read_image
from lineage.evaluation.result_files import read_coco, read_comp4
from lineage.experiments.checkpoints import load_detector
from lineage.experiments.curves import read_curves

pytestmark = [needs_alarm, pytest.mark.filterwarnings("ignore")]
IDS, CLASSES = ("a", "b c", "d/e"), ("bolt", "nut")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all inputs of a reader: each writes its own over the last."""
    return tmp_path_factory.mktemp("fuzz")


def plain(target: dict[str, torch.Tensor], size: tuple[int, int] | None = None) -> None:
    """A target or detections as the rest of the package relies on them."""
    boxes, labels = target["boxes"], target["labels"]
    assert boxes.shape == (len(labels), 4) and torch.isfinite(boxes).all()
    assert not len(labels) or labels.min() >= 1
    if size is not None:
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes <= torch.tensor([size[1], size[0]] * 2)).all()


# Annotations of VOC's kind --------------------------------------------------------------------------------------------

XML = [
    annotation([("bolt", (1, 2, 20, 25)), ("nut", (5, 5, 5, 30))], extra="<difficult>0</difficult>").encode(),
    annotation([("schräg", (1.5, 2, 20, 25))]).encode("utf-16"),
    b'<?xml version="1.0" encoding="latin-1"?>' + annotation([("\xe9crou", (1, 1, 40, 30))]).encode("latin-1"),
    annotation([("bolt", (1, 1, 9, 9))]).replace("</object>", "<part><name>head</name></part></object>").encode(),
]


@fuzz(mutated_bytes(XML))
def test_voc_annotations(folder, data):
    path = folder / "000001.xml"
    path.write_bytes(data)
    with limits():
        found = parse_annotation(path)  # never raises: what is wrong stands in its findings
    for one in found.objects:
        assert one.name and all(np.isfinite(one.box)), one
    assert all(finding.message.startswith(path.name) or str(path) in finding.message for finding in found.findings)


@pytest.fixture(scope="module")
def voc(folder):
    for name in ("a", "b"):
        picture(folder / "voc" / "JPEGImages" / f"{name}.png")
        (folder / "voc" / "Annotations").mkdir(exist_ok=True)
        (folder / "voc" / "Annotations" / f"{name}.xml").write_text(annotation([("bolt", (1, 1, 9, 9))]))
    (folder / "voc" / "ImageSets" / "Main").mkdir(parents=True)
    return folder / "voc"


@fuzz(st.tuples(mutated_bytes(XML), mutated_bytes([b"a\nb\n", b"a 1\nb -1\n", "b\r\na".encode("utf-16")])))
def test_voc_folders(folder, voc, data):
    xml, split = data
    (voc / "Annotations" / "b.xml").write_bytes(xml)
    (voc / "ImageSets" / "Main" / "trainval.txt").write_bytes(split)
    dataset = survives(lambda: open_dataset(str(voc), "trainval", folder / "cache"))
    for index in range(len(dataset) if dataset else 0):
        target = survives(lambda index=index: dataset.target(index))
        if target is not None:
            plain(target, (30, 40))


# COCO -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coco(folder):
    for name in ("a.png", "b c.png"):
        picture(folder / "coco" / "train" / name)
    return folder / "coco" / "train" / "_annotations.coco.json"


TRUTH = ground_truth(["a.png", "b c.png"])
SPOILT_JSON = mutated_values(TRUTH).map(as_json) | mutated_bytes(
    [as_json(TRUTH), as_json(TRUTH)[2:].decode().encode("utf-16")]
)


@fuzz(SPOILT_JSON)
def test_coco(folder, coco, data):
    coco.write_bytes(data)
    dataset = survives(
        lambda: open_dataset(str(coco.parents[1]), "train", folder / "cache"), coco.name, str(coco.parents[1])
    )
    for index in range(len(dataset) if dataset else 0):
        plain(dataset.target(index), (30, 40))


RESULTS = [
    {"image_id": "a", "category_id": 1, "bbox": [1, 2, 10.5, 20], "score": 0.5},
    {"image_id": 7, "file_name": "d/e.jpg", "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1e-9},
]


@fuzz(mutated_values(RESULTS).map(as_json) | mutated_bytes([as_json(RESULTS)]))
def test_coco_results(folder, data):
    path = folder / "coco_results.json"
    path.write_bytes(data)
    for found in survives(lambda: read_coco(path, IDS, CLASSES), path.name) or ():
        plain(found)


# YOLO -----------------------------------------------------------------------------------------------------------------

CONFIG = {"path": ".", "train": "images/train", "val": "images/val", "nc": 2, "names": {0: "bolt", 1: "nut"}}
LABELS = [b"0 0.5 0.5 0.2 0.4\n1 0.1 0.1 0.1 0.1\n", b"1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n", b"0 0.5 0.5 1 1 0.9\n"]


@pytest.fixture(scope="module")
def yolo(folder):
    for split in ("train", "val"):
        picture(folder / "yolo" / "images" / split / f"{split}.png")
        (folder / "yolo" / "labels" / split).mkdir(parents=True)
    return folder / "yolo"


def spoilt_yaml(document: Any) -> bytes:
    """As YAML; what it has no word for, as JSON, which is YAML, too."""
    try:
        return yaml.safe_dump(document).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return as_json(document)


@fuzz(st.tuples(mutated_values(CONFIG).map(spoilt_yaml) | mutated_bytes([spoilt_yaml(CONFIG)]), mutated_bytes(LABELS)))
def test_yolo(folder, yolo, data):
    config, labels = data
    (yolo / "data.yaml").write_bytes(config)
    (yolo / "labels" / "train" / "train.txt").write_bytes(labels)
    dataset = survives(lambda: open_dataset(str(yolo), "train", folder / "cache"), str(yolo), "data.yaml", "train.txt")
    for index in range(len(dataset) if dataset else 0):
        plain(dataset.target(index), (30, 40))


# Detections of other programs -----------------------------------------------------------------------------------------


@fuzz(mutated_bytes([b"a 0.5 1 2 10.5 20\nb c 0.25 1 1 1 1\n", b"d/e 1e-3 1 1 40 30\r\n\r\na 1 1 1 2 2"]))
def test_comp4(folder, data):
    (folder / "comp4").mkdir(exist_ok=True)
    path = folder / "comp4" / "comp4_det_test_bolt.txt"
    path.write_bytes(data)
    for found in survives(lambda: read_comp4(path.parent, IDS, CLASSES, "test"), path.name) or ():
        plain(found)


# Pictures -------------------------------------------------------------------------------------------------------------


def pictures() -> list[bytes]:
    """Small ones of every kind that is read."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 4), dtype=np.uint8)
    image, seeds = Image.fromarray(noise[..., :3]), []
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    for one, kind, options in (
        (image, "JPEG", {"exif": exif}), (image, "JPEG", {"progressive": True}), (image.convert("L"), "JPEG", {}),
        (image.convert("CMYK"), "JPEG", {}), (image, "PNG", {}), (Image.fromarray(noise), "PNG", {}),
        (image.convert("P"), "PNG", {}), (Image.fromarray(noise[..., 0].astype(np.uint16) * 16), "PNG", {}),
        (image, "BMP", {}), (image, "TIFF", {}), (image, "TIFF", {"compression": "tiff_lzw"}),
        (Image.fromarray(noise[..., 0].astype(np.float32)), "TIFF", {}), (image, "WEBP", {}), (image, "GIF", {}),
    ):  # fmt: skip
        file = io.BytesIO()
        one.save(file, kind, **options)
        seeds.append(file.getvalue())
    return seeds


@fuzz(mutated_bytes(pictures()))
def test_pictures(folder, data):
    path = folder / "picture.jpg"
    path.write_bytes(data)
    header = survives(lambda: read_header(path), path.name)
    found = survives(lambda: read_image(path), path.name)
    if found is not None:
        assert found.dtype == torch.float32 and len(found) == 3 and found.numel() > 0
        assert torch.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
        assert header is not None and header.size == tuple(found.shape[1:])


# Checkpoints ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(folder):
    return save_tiny(folder / "whole.safetensors")


def facts() -> dict[str, Any]:
    """What a checkpoint says of itself."""
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        return load_detector(save_tiny(Path(temporary) / "whole.safetensors"))[1]


@fuzz(mutated_values(facts()), share=0.25)
def test_what_checkpoints_say_of_themselves(folder, data):
    path = folder / "facts.safetensors"
    survives(lambda: save_checkpoint(path, tiny_detector().state_dict(), data))
    loaded = survives(lambda: load_detector(path), path.name)
    if loaded is not None:
        with limits(), warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            (found,) = loaded[0]([torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))])
        plain(found)


@fuzz(st.tuples(st.floats(0, 1), st.integers(0, 7), st.floats(0, 1)), share=0.25)
def test_damaged_checkpoints(folder, checkpoint, data):
    """No bit of one can change in silence."""
    place, bit, end = data
    whole = bytearray(checkpoint.read_bytes())
    index = int(place**4 * (len(whole) - 1))  # mostly in the header
    whole[index] ^= 1 << bit
    path = folder / "damaged.safetensors"
    path.write_bytes(whole[: int(end * len(whole))] if end < 0.1 else whole)
    assert survives(lambda: load_detector(path), path.name) is None


# Coursework -----------------------------------------------------------------------------------------------------------


def handed_in() -> nbformat.NotebookNode:
    cells = [new_code_cell("import torch"), new_code_cell("def iou(): return 1"), new_markdown_cell("because")]
    for name, cell in zip(("tools", "iou", "why"), cells):
        cell.metadata["nbgrader"] = {"grade_id": name, "grade": name == "why", "solution": name != "tools"}
        cell.id = name
    cells[2].attachments = {"a.png": {"image/png": "AAAA"}}
    return new_notebook(cells=cells)


@fuzz(mutated_values(json.loads(nbformat.writes(handed_in()))).map(as_json))
def test_submissions(folder, data):
    path = folder / "A1.ipynb"
    path.write_bytes(data)
    try:
        submitted = nbformat.read(path, as_version=4)
    except Exception:  # course/worker.py: whatever a damaged file makes nbformat raise is a remark
        return
    with limits():
        try:
            found, _ = restored(handed_in(), handed_in(), submitted)
        except (AttributeError, KeyError, TypeError, ValueError):  # the same remark
            return
    assert {"tools", "iou", "why"} <= {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in found.cells}


@fuzz(mutated_bytes([b"student,assignment,cell,most,points,answer,remark\nme,A1,why,3,2.5,because,\n"]))
def test_points_given_by_hand(folder, data):
    path = folder / "written.csv"
    path.write_bytes(data)
    survives(lambda: read_written(path), path.name)


GRADED = asdict(
    Graded(
        "me", "A1", {"iou": 1.0, "why": None}, {"iou": 1.0, "why": 3.0}, {"iou": "E"}, {"why": "because"}, ["late"], "0"
    )
)


@fuzz(mutated_values(GRADED).map(as_json) | mutated_bytes([as_json(GRADED)]))
def test_records_of_grading(folder, data):
    path = folder / "A1.json"
    path.write_bytes(data)
    found = survives(lambda: Graded.read(path), path.name)
    if found is not None:
        assert found.total is not None and set(found.to_read) <= set(found.points)


# The rest -------------------------------------------------------------------------------------------------------------


@fuzz(mutated_bytes([b"procedure,step,loss\nFast R-CNN: train,1,0.5\nFast R-CNN: train,2,\n"]))
def test_curves(folder, data):
    path = folder / "model.curves.csv"
    path.write_bytes(data)
    survives(lambda: read_curves(path), path.name)


WORDS = [
    "--data", "--out", "-o", "--seeds", "--steps", "--classes", "--set", "--recipe", "--device", "--proposals",
    "--help", "--split", "--backbone", "--weights", "--accept", "--score", "--cache", "--generations", "--model",
    "--make-split", "rcnn", "fast_rcnn", "all", "quick", "tiny", "nowhere", "nowhere.jpg", "0", "-1", "1e9", "9" * 20,
    "nan", "[/x]", "a,b,,c", "", "\x00", "\ud800", "solver.steps=-1", "solver.learning_rate=x", "=", "cuda:99",
]  # fmt: skip
COMMANDS = {
    "train": (train.app, ["fast_rcnn", "--data", "nowhere"]),
    "detect": (detect.app, ["fast_rcnn", "nowhere.jpg"]),
    "evaluate": (evaluate.app, ["nowhere.safetensors", "--data", "nowhere"]),
    "check": (check.app, ["nowhere"]),
    "convert": (convert.app, ["nowhere", "there", "--to", "coco"]),
    "bench": (bench, ["--data", "nowhere"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_lines(folder, command, monkeypatch):
    """Nothing of what they ask for is there, so each ends in a message."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LINEAGE_CACHE", str(folder / "cache"))
    app, right = COMMANDS[command]

    @fuzz(st.tuples(st.booleans(), st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=6)), share=0.2)
    def ends(data: tuple[bool, list[str]]) -> None:
        behind, words = data
        arguments = [*right, *words] if behind else [*words, *right]
        with limits():
            result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
        assert result.exit_code or "--help" in words, (arguments, result.output)

    ends()
