import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lineage.evaluation.coco_ids import Numbering, ResultFileError
from lineage.evaluation.result_files import corners_for_sizes, read_coco, read_comp4, write_coco, write_comp4
from lineage.evaluation.voc import evaluate_voc

CLASSES, IDS = ("cat", "dog"), ["000001", "000002", "000003"]
NAMED = (("images", "file_name"), ("categories", "name"))


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


HOSTILE = ("/../../x", "..", "a/b", "a\\b", "a\x00b", "x" * 300, "CON:", " dot.", "[/x]", "a\nb", "%2F", "/%2F")


def test_no_class_and_no_split_leads_out_of_the_folder(tmp_path):
    folder = tmp_path / "out" / "deep"
    one = {"boxes": torch.tensor([[4.0, 4.0, 9.0, 9.0]] * len(HOSTILE)), "scores": torch.linspace(1, 0.1, len(HOSTILE))}
    one["labels"] = torch.arange(1, len(HOSTILE) + 1)
    paths = write_comp4([one], ["a"], HOSTILE, folder, "../../val")
    assert {path.parent for path in paths} == {folder} and len(set(paths)) == len(HOSTILE)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)
    same(read_comp4(folder, ["a"], HOSTILE, "../../val"), [one], 1e-4)
    assert read_comp4(folder, ["a"], ("/../../x",), "../../val")[0]["scores"].tolist() == [1]


def test_a_file_that_is_no_text_is_named(tmp_path):
    write_comp4([], [], CLASSES, tmp_path, "test")
    (tmp_path / "comp4_det_test_dog.txt").write_bytes(b"000001 0.5 1 1 2 \xff\n")
    with pytest.raises(ResultFileError, match=r"comp4_det_test_dog\.txt: not text in UTF-8 or UTF-16: .* position 17"):
        read_comp4(tmp_path, IDS, CLASSES, "test")


@pytest.mark.parametrize("number", ["3.4028235e38", "1e300", "-1e12", "nan", "inf"])
def test_a_number_beyond_all_pictures_is_refused(tmp_path, number):
    write_comp4([], [], CLASSES, tmp_path, "test")
    (tmp_path / "comp4_det_test_dog.txt").write_text(f"000001 0.5 1 1 2 {number}\n")
    with pytest.raises(ResultFileError, match=r"comp4_det_test_dog\.txt: line 1: expected 5 numbers"):
        read_comp4(tmp_path, IDS, CLASSES, "test")


@given(st.integers(0, 2**32 - 1))
def test_coco_files_come_back_as_they_went(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("results")
    detections, targets = random_problem(seed)
    truth, results = write_coco(detections, targets, IDS, CLASSES, folder)
    document = json.loads(truth.read_text())
    assert [image["file_name"] for image in document["images"]] == IDS
    names = ({one["id"]: one[field] for one in document[part]} for part, field in NAMED)
    same(read_coco(results, IDS, CLASSES, Numbering("truth", *names)), detections, 1e-4)


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
        ("000009 0.5 1 1 2 2", "dog.txt: line 2: picture '000009' is not in the split 'test'"),
        ("000001 0.5 1 1 2", "line 2: expected 5 numbers, got 0.5 1 1 2"),
        ("000001 0.5 1 1 2 2 3", "line 2: expected 5 numbers, got 0.5 1 1 2 2 3"),
        ("000001", "line 2: expected 5 numbers, got "),
        ("000001 high 1 1 2 2", "line 2: expected 5 numbers, got high 1 1 2 2"),
        ("000001 nan 1 1 2 2", "line 2: expected 5 numbers"),
        ("000001 0.5 65 85 8 95", "line 2: right 8 < left 65"),
        ("000001 0.5 5 85 8 35.5", "line 2: bottom 35.5 < top 85"),
    ],
)
def test_a_wrong_comp4_line_is_named(tmp_path, line, message):
    write_comp4([], [], CLASSES, tmp_path, "test")
    (tmp_path / "comp4_det_test_dog.txt").write_text(f"\n{line}\n")
    with pytest.raises(ResultFileError, match=message):
        read_comp4(tmp_path, IDS, CLASSES, "test")


def test_blank_lines_spaces_in_names_and_any_order_of_scores(tmp_path):
    text = "\ufeffimg (1) 0.2 1 1 9 9\r\n\n  \nimg (1) 0.9 2 2 9 9\nimg 0.5 3 3 3 3\n"
    (tmp_path / "comp4_det_val_dog.txt").write_text(text, encoding="utf-8")
    first, second = read_comp4(tmp_path, ["img (1)", "img"], CLASSES, "val")
    assert first["scores"].tolist() == pytest.approx([0.9, 0.2])
    assert second["boxes"].tolist() == [[2, 2, 3, 3]], "one pixel"


def test_a_class_without_a_file_has_no_detections(tmp_path):
    (tmp_path / "comp4_det_test_dog.txt").write_text("000001 0.5 1 1 2 2\n")
    assert [found["labels"].tolist() for found in read_comp4(tmp_path, IDS, CLASSES, "test")] == [[2], [], []]


def test_a_folder_without_any_file_of_the_split_says_what_it_has(tmp_path):
    (tmp_path / "comp4_det_val_cat.txt").write_text("")
    with pytest.raises(
        ResultFileError, match=r"no comp4_det_test_CLASS\.txt of cat, dog in it; .*comp4_det_val_cat\.txt"
    ):
        read_comp4(tmp_path, IDS, CLASSES, "test")


def test_a_detection_narrower_than_a_pixel_is_not_inverted(tmp_path):
    one = {"boxes": torch.tensor([[5, 5, 5.5, 5.25]]), "scores": torch.tensor([0.5]), "labels": torch.tensor([1])}
    write_comp4([one], ["a"], CLASSES, tmp_path, "test")
    assert read_comp4(tmp_path, ["a"], CLASSES, "test")[0]["boxes"].tolist() == [[5, 5, 5.5, 5.25]]


def test_classes_that_no_file_can_be_named_after(tmp_path):
    classes = ("w/o mask", "mask: ok?", "..", "螺栓", "a%2Fb", "a/b", "x" * 300)
    found = {
        "boxes": torch.tensor([[float(i), 1, i + 4, 9] for i in range(len(classes))]),
        "scores": torch.linspace(0.9, 0.1, len(classes)),
        "labels": torch.arange(1, len(classes) + 1),
    }
    paths = write_comp4([found], ["a"], classes, tmp_path, "test")
    assert len({path.name for path in paths}) == len(classes) and {path.parent for path in paths} == {tmp_path}
    assert paths[0].name == "comp4_det_test_w%2Fo mask.txt"
    same(read_comp4(tmp_path, ["a"], classes, "test"), [found], 1e-4)
    paths[1].rename(tmp_path / "comp4_det_test_mask: ok?.txt")  # as another program writes it
    same(read_comp4(tmp_path, ["a"], classes, "test"), [found], 1e-4)


GOOD = {"image_id": "000001", "category_id": "dog", "bbox": [1, 2, 3, 4], "score": 0.5}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", r"r\.json: cannot be read as JSON"),
        ("[" * 100_000, r"r\.json: cannot be read as JSON"),
        ("{}", "expected a list of results, got dict"),
        ([{**GOOD, "bbox": None}], "entry 0: bbox is None, not x, y, width, height"),
        ([GOOD, {**GOOD, "bbox": [1, 2, 3]}], "entry 1: expected 5 numbers"),
        ([{**GOOD, "bbox": [1, 2, 3, -4]}], r"entry 0: bbox is \[1, 2, 3, -4\]: width 3, height -4"),
        ([{**GOOD, "bbox": [1, 2, 3, 10**400]}], "entry 0: expected 5 numbers"),
        ([{**GOOD, "score": "best"}], "expected 5 numbers"),
        (["dog"], "entry 0: is 'dog', not an object"),
    ],
)
def test_a_wrong_coco_entry_is_named(tmp_path, document, message):
    path = tmp_path / "r.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(ResultFileError, match=message):
        read_coco(path, IDS, CLASSES)


def detections(*boxes):
    count = len(boxes)
    return {"boxes": torch.tensor(boxes), "scores": torch.ones(count), "labels": torch.ones(count, dtype=torch.int64)}


@pytest.mark.parametrize(
    ("pictures", "doubtful"),
    [
        ([[(8, 35, 64, 84), (83, 4, 138, 43)], [(9, 29, 50, 90), (84, 38, 135, 70)]], True),
        ([[(8, 35, 64, 84)], [(9, 29, 50, 90)]], False),  # neither reaches outside when read as sizes: nothing to see
        ([[(100, 60, 60, 60)], [(100, 90, 70, 40)]], False),  # both a little outside, but no corners
        ([[(10, 10, 20, 20)] * 30, [(80, 60, 90, 70)]], False),  # one of 31
        ([], False),
    ],
)
def test_corners_in_the_place_of_sizes_are_suspected(pictures, doubtful):
    """What is written in bbox, of pictures of 160 x 120."""
    found = [detections(*((float(x), y, x + w, y + h) for x, y, w, h in boxes)) for boxes in pictures]
    message = corners_for_sizes(found, {index: (120, 160) for index in range(len(found))})
    assert message.startswith("2 of 4 boxes reach outside") if doubtful else message == ""
