"""python -m lineage.convert as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from lineage.convert import app


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two pictures with a bolt each, the second in a crowd and with an outline."""
    (tmp_path / "set").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / "set" / name)
    images = [{"id": i, "file_name": f"{'ab'[i]}.png", "width": 40, "height": 30} for i in (0, 1)]
    annotations = [
        {"id": 1, "image_id": 0, "category_id": 5, "bbox": [1, 2, 10, 20]},
        {
            "id": 2,
            "image_id": 1,
            "category_id": 5,
            "bbox": [1, 2, 9, 9],
            "iscrowd": 1,
            "segmentation": [[1, 2, 9, 9, 1, 9]],
        },
    ]
    path = tmp_path / "set" / "train.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 5, "name": "bolt"}]})
    )
    return path


def test_what_is_written_and_what_is_lost_is_said(source: Path, tmp_path: Path) -> None:
    result = run(source, tmp_path / "out", "--to", "yolo")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "not kept: COCO's segmentation: 1",
        "not kept: difficult: 1 objects are ordinary ones now",
        f"written: {tmp_path / 'out'} (coco to yolo: 2 pictures, 2 objects, 1 classes; train 2)",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["data.yaml", "images", "labels", "train.txt"]


def test_voc_by_default_and_links_on_request(source: Path, tmp_path: Path) -> None:
    result = run(source, tmp_path / "out", "--link")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "JPEGImages" / "a.png").is_symlink()
    assert (
        "<xmin>2</xmin><ymin>3</ymin><xmax>11</xmax><ymax>22</ymax>" in (tmp_path / "out/Annotations/a.xml").read_text()
    )


def test_mistakes_stop_it_and_can_be_left_out(source: Path, tmp_path: Path) -> None:
    source.write_text(source.read_text().replace("[1, 2, 10, 20]", "[1, 2, 10, 0]"))
    result = run(source, tmp_path / "out")
    assert result.exit_code == 1
    assert "error: train.json: annotations[0] (id 1): bbox [1, 2, 10, 0]: its height is 0" in result.output
    assert "--skip-bad" in result.output and not (tmp_path / "out").exists()
    result = run(source, tmp_path / "out", "--skip-bad")
    assert result.exit_code == 0 and "warning: " in result.output and "2 pictures, 1 objects" in result.output


def test_wrong_arguments_are_one_message(source: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    for arguments, words in (
        ((source, tmp_path / "out", "--to", "xml"), "--to: 'xml' is none of voc, coco, yolo"),
        ((source, tmp_path / "out", "--unannotated", "x"), "--unannotated: 'x' is none of error, negative, skip"),
        ((source, tmp_path / "full"), "full: is there already and not empty"),
        ((tmp_path / "gone", tmp_path / "out"), "gone: no such file or folder"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1 and words in result.output and result.output.startswith("error: ")
    assert not (tmp_path / "out").exists()
