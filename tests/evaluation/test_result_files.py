import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lineage.evaluation.result_files import ResultFileError, read_coco, read_comp4, write_coco, write_comp4
from lineage.evaluation.voc import evaluate_voc

CLASSES, IDS = ("cat", "dog"), ["000001", "000002", "000003"]


def random_problem(seed):
    """Three pictures, the last without detections; scores all different, coordinates any float."""
    generator = torch.Generator().manual_seed(seed)
    detections, targets = [], []
    for count in (5, 7, 0):
        corners = torch.rand(count, 2, generator=generator) * 200
        boxes = torch.cat([corners, corners + 1 + torch.rand(count, 2, generator=generator) * 100], dim=1)
        scores = torch.randn(count, generator=generator).sort(descending=True).values
        labels = torch.randint(1, 3, (count,), generator=generator)
        detections.append({"boxes": boxes, "scores": scores, "labels": labels})
        near = boxes[:3] + 4 * torch.rand(len(boxes[:3]), 1, generator=generator)
        targets.append({"boxes": near, "labels": labels[:3], "difficult": torch.zeros(len(near), dtype=torch.bool)})
    return detections, targets


def same(found, expected, tolerance):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert torch.equal(a["scores"], b["scores"]) and torch.equal(a["labels"], b["labels"])
        torch.testing.assert_close(a["boxes"], b["boxes"], rtol=0, atol=tolerance)


@given(st.integers(0, 2**32 - 1))
def test_comp4_files_come_back_as_they_went(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("results")
    detections, targets = random_problem(seed)
    paths = write_comp4(detections, IDS, CLASSES, folder, "test")
    assert [path.name for path in paths] == ["comp4_det_test_cat.txt", "comp4_det_test_dog.txt"]
    again = read_comp4(folder, IDS, CLASSES, "test")
    same(again, detections, 1e-4)  # the 1 that VOC counts from costs a bit
    assert evaluate_voc(again, targets, 2).map == pytest.approx(evaluate_voc(detections, targets, 2).map)


@given(st.integers(0, 2**32 - 1))
def test_coco_files_come_back_as_they_went(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("results")
    detections, targets = random_problem(seed)
    truth, results = write_coco(detections, targets, IDS, CLASSES, folder)
    same(read_coco(results, 3, 2), detections, 1e-4)
    assert [image["file_name"] for image in json.loads(truth.read_text())["images"]] == IDS


def test_a_comp4_line_counts_pixels_as_voc_does(tmp_path):
    detections = [
        {"boxes": torch.tensor([[9.0, 19, 30, 40]]), "scores": torch.tensor([0.5]), "labels": torch.tensor([2])}
    ]
    paths = write_comp4(detections, ["000007"], CLASSES, tmp_path, "val")
    assert [path.read_text() for path in paths] == ["", "000007 0.5 10 20 30 40\n"]


def test_pycocotools_reads_our_files(tmp_path):
    """faster-coco-eval stands for it: the same loader."""
    from faster_coco_eval import COCO

    detections, targets = random_problem(0)
    truth, results = write_coco(detections, targets, IDS, CLASSES, tmp_path)
    loaded = COCO(str(truth)).loadRes(str(results))
    assert len(loaded.anns) == 12


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000009 0.5 1 1 2 2", "dog.txt: line 1: picture '000009' is not in the split 'test'"),
        ("000001 0.5 1 1 2", "line 1: expected 5 numbers, got 0.5 1 1 2"),
        ("000001 high 1 1 2 2", "line 1: expected 5 numbers, got high 1 1 2 2"),
        ("000001 nan 1 1 2 2", "line 1: expected 5 numbers"),
    ],
)
def test_a_wrong_comp4_line_is_named(tmp_path, line, message):
    write_comp4([], [], CLASSES, tmp_path, "test")
    (tmp_path / "comp4_det_test_dog.txt").write_text(line + "\n")
    with pytest.raises(ResultFileError, match=message):
        read_comp4(tmp_path, IDS, CLASSES, "test")


def test_a_class_without_a_file_is_named(tmp_path):
    with pytest.raises(ResultFileError, match=r"comp4_det_test_cat\.txt: no such file: class 'cat'"):
        read_comp4(tmp_path, IDS, CLASSES, "test")


GOOD = {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", r"r\.json: cannot be read as JSON"),
        ("{}", "expected a list of results, got dict"),
        ([{**GOOD, "image_id": 4}], r"entry 0: image_id is 4, not one of 1\.\.3"),
        ([GOOD, {**GOOD, "category_id": 0}], r"entry 1: category_id is 0, not one of 1\.\.2"),
        ([{**GOOD, "category_id": "dog"}], "category_id is 'dog'"),
        ([{**GOOD, "bbox": None}], "bbox is None, not x, y, width, height"),
        ([{**GOOD, "bbox": [1, 2, 3]}], "expected 5 numbers"),
        ([{**GOOD, "score": "best"}], "expected 5 numbers"),
        (["dog"], "image_id is None"),
    ],
)
def test_a_wrong_coco_entry_is_named(tmp_path, document, message):
    path = tmp_path / "r.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(ResultFileError, match=message):
        read_coco(path, 3, 2)
