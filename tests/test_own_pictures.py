"""A person's own folder, from the commands: what is wrong is said before any work, and what is meant is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lineage.bench.__main__ as bench
from lineage import train
from lineage.common import optimise
from lineage.experiments.checkpoints import load_detector

QUICK = ("--backbone", "resnet18", "--weights", "none", "--steps", "1", "--proposals", "20")


def xml(*objects: tuple[str, int, int, int, int], difficult: int = 0) -> str:
    body = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in objects
    )
    return f"<annotation><size><width>96</width><height>64</height></size>{body}</annotation>"


GOOD = (("bolt", 5, 5, 40, 45), ("nut", 50, 10, 90, 60))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight pictures: five to learn from, two to test on, and one that no split names."""
    root = tmp_path / "data"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(root / "JPEGImages" / f"p{i}.jpg")
        (root / "Annotations" / f"p{i}.xml").write_text(xml(*GOOD))
    for split, numbers in {"trainval": "01234", "test": "56"}.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"p{n}\n" for n in numbers))
    return root


def learn(data: Path, *options: str, generation: str = "fast_rcnn"):
    out = data.parent / "model.safetensors"
    arguments = [generation, "--data", str(data), "-o", str(out), "--cache", str(data.parent / "cache"), *QUICK]
    result = CliRunner().invoke(train.app, [*arguments, *options])
    return result, " ".join(result.output.split()), out


def break_three(data: Path) -> None:
    (data / "Annotations" / "p1.xml").write_text(xml(("bolt", 40, 5, 5, 45)))
    (data / "Annotations" / "p3.xml").write_text("")
    picture = data / "JPEGImages" / "p4.jpg"
    picture.write_bytes(picture.read_bytes()[:600])


def test_everything_that_is_wrong_is_said_at_once_and_before_any_work(data):
    break_three(data)
    result, said, out = learn(data)
    assert result.exit_code == 1 and not out.exists()
    assert 'p1.xml: object 1 ("bolt"): xmax 5 < xmin 40' in said
    assert "p3.xml: not well-formed XML: the file is empty" in said and "p4.jpg: cannot be read as a picture" in said
    assert "--skip-bad goes on without 3 of 5 pictures" in said and "python -m lineage.check" in said
    assert not list((data.parent / "cache").rglob("*.npy")), "no proposals were computed"


def test_bad_files_can_be_left_out(data):
    break_three(data)
    result, said, out = learn(data, "--skip-bad")
    assert result.exit_code == 0, result.output
    assert "--skip-bad: trainval: 3 of 5 pictures are left out: p1, p3, p4" in said and out.exists()


def test_a_bad_test_annotation_does_not_wait_until_something_is_trained(data, monkeypatch):
    (data / "Annotations" / "p6.xml").write_text(xml(("bolt", 40, 5, 5, 45)))
    monkeypatch.setattr(optimise, "optimise", lambda *args, **kwargs: pytest.fail("trained"))
    command = ["--data", str(data), "--cache", str(data.parent / "cache"), "--out", str(data.parent / "out"), *QUICK]
    result = CliRunner().invoke(bench.app, command)
    assert result.exit_code == 1 and "p6.xml" in result.output and not (data.parent / "out").exists()
    fine, _, _ = learn(data)
    assert fine.exit_code == 0, "the training split has no fault"


def test_a_subset_of_the_classes_leaves_the_others_alone(data):
    result, _, out = learn(data, "--classes", "bolt")
    assert result.exit_code == 0, result.output
    assert load_detector(out)[0].classes == ("bolt",)
    misspelt, said, _ = learn(data, "--classes", "blot")
    assert misspelt.exit_code == 1 and "nothing to learn: no picture has an object of 'blot'" in said


def test_a_class_with_a_comma_and_one_with_a_slash(data):
    for path in (data / "Annotations").glob("*.xml"):
        path.write_text(xml(("nut, hex", 5, 5, 40, 45), ("w/o mask", 50, 10, 90, 60)))
    result, _, out = learn(data, "--classes", '"nut, hex",w/o mask')
    assert result.exit_code == 0, result.output
    assert load_detector(out)[0].classes == ("nut, hex", "w/o mask")


def test_any_split_can_be_learnt_from(data):
    sets = data / "ImageSets" / "Main"
    for path in sets.glob("*.txt"):
        path.unlink()
    (sets / "default.txt").write_text("p0\np1\n")
    refused, said, _ = learn(data)
    assert refused.exit_code == 1 and "there are: default" in said and "--split NAME" in said
    result, _, out = learn(data, "--split", "default")
    assert result.exit_code == 0 and out.exists(), result.output


def test_train_and_val_make_up_for_trainval(data):
    sets = data / "ImageSets" / "Main"
    (sets / "trainval.txt").rename(sets / "train.txt")
    (sets / "val.txt").write_text("p7\n")
    result, said, _ = learn(data)
    assert result.exit_code == 0 and "no trainval (1)" in said, result.output


@pytest.mark.parametrize(
    ("annotation", "why"),
    [(xml(), "no picture has an object"), (xml(*GOOD, difficult=1), "every object is marked difficult")],
)
@pytest.mark.parametrize("generation", ["rcnn", "faster_rcnn"])
def test_nothing_to_learn_is_said_before_the_work(data, generation, annotation, why):
    for i in range(5):
        (data / "Annotations" / f"p{i}.xml").write_text(annotation)
    result, said, out = learn(data, generation=generation)
    assert result.exit_code == 1 and f"trainval: nothing to learn: {why}" in said and not out.exists()


def test_pictures_without_annotation_are_what_one_says_they_are(data):
    (data / "Annotations" / "p2.xml").unlink()
    refused, said, _ = learn(data)
    assert refused.exit_code == 1 and "--unannotated negative" in said
    for policy in ("negative", "skip"):
        result, _, _ = learn(data, "--unannotated", policy)
        assert result.exit_code == 0, result.output
    unknown, said, _ = learn(data, "--unannotated", "maybe")
    assert unknown.exit_code == 1 and "--unannotated: 'maybe' is none of error, negative, skip" in said


def test_sizes_that_differ_stop_unless_they_are_meant(data):
    path = data / "Annotations" / "p2.xml"
    path.write_text(path.read_text().replace("<width>96<", "<width>192<").replace("<height>64<", "<height>128<"))
    refused, said, _ = learn(data)
    assert refused.exit_code == 1 and "size says 192 x 128, the picture is 96 x 64" in said
    result, said, _ = learn(data, "--accept", "size differs")
    assert result.exit_code == 0 and "size differs (1)" in said, result.output


def test_what_is_odd_is_summed_up_in_a_line(data):
    (data / "Annotations" / "p2.xml").write_text(xml(("bolt", -9, 5, 40, 45), ("nut", 50, 10, 50, 60)))
    result, said, _ = learn(data)
    assert result.exit_code == 0
    assert "checked 5 pictures; odd: box of a pixel (1), box clipped (1)" in said
    assert "warning:" not in said, "each was said once"


def test_a_recipes_value_can_be_set(data):
    result, _, out = learn(data, "--set", "rpn.sizes=(20,20),(40,30)", generation="faster_rcnn")
    assert result.exit_code == 0, result.output
    detector, _ = load_detector(out)
    assert detector.recipe.rpn.sizes == ((20, 20), (40, 30)) and len(detector.rpn.base) == 2
    wrong, said, _ = learn(data, "--set", "rpn.size=3", generation="faster_rcnn")
    assert wrong.exit_code == 1 and "has no 'size'" in said
