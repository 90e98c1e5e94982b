"""The embedded dataset: reproducible, well-formed, balanced, and not to be solved by colour alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from defusedxml.ElementTree import parse
from sklearn.ensemble import RandomForestClassifier

from lineage.common.locks import FOLDER
from lineage.data import shapes as shapes_module
from lineage.data.figures import CLASSES, TEST_PATTERNS, TRAIN_PATTERNS, figure_mask
from lineage.data.shapes import classification_crops, ensure_shapes, write_shapes
from lineage.data.voc import VOCDataset

SPLITS = ("trainval", "test")


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def targets(root: Path) -> list[dict[str, torch.Tensor]]:
    datasets = [VOCDataset(root, split, CLASSES) for split in SPLITS]
    return [dataset.target(i) for dataset in datasets for i in range(len(dataset))]


def test_same_bytes_whatever_the_number_of_jobs(tmp_path: Path, shapes: Path) -> None:
    for jobs in (1, 2):
        write_shapes(tmp_path / str(jobs), seed=0, trainval=10, test=5, jobs=jobs)
    one, two = (contents(tmp_path / str(jobs)) for jobs in (1, 2))
    assert len(one) == 2 * 15 + 4 and one == two
    more = contents(shapes)
    pictures = [name for name in one if name.startswith(("JPEGImages", "Annotations"))]
    assert all(one[name] == more[name] for name in pictures), "a picture does not depend on how many there are"


def test_another_seed_draws_other_pictures(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_shapes(tmp_path / str(seed), seed=seed, trainval=3, test=2, jobs=1)
    first, second = (contents(tmp_path / str(seed)) for seed in (0, 1))
    assert all(first[name] != second[name] for name in first if name.endswith(".jpg"))
    assert len({data for name, data in first.items() if name.endswith(".jpg")}) == 5


def test_splits(shapes: Path) -> None:
    ids = {split: list(VOCDataset(shapes, split).ids) for split in ("train", "val", "trainval", "test")}
    assert {split: len(names) for split, names in ids.items()} == {"train": 96, "val": 24, "trainval": 120, "test": 50}
    assert set(ids["train"]) | set(ids["val"]) == set(ids["trainval"]) and not set(ids["train"]) & set(ids["val"])
    assert not set(ids["trainval"]) & set(ids["test"])
    assert VOCDataset(shapes, "train").classes == tuple(sorted(CLASSES)) and len(CLASSES) >= 6


def test_every_box_lies_in_its_picture(shapes: Path) -> None:
    for path in sorted((shapes / "Annotations").glob("*.xml")):
        root = parse(path).getroot()
        height, width = cv2.imread(str(shapes / "JPEGImages" / f"{path.stem}.jpg")).shape[:2]
        assert (width, height) == (int(root.findtext("size/width")), int(root.findtext("size/height")))
        assert min(width, height) >= 200 and max(width, height) <= 400
        for item in root.iterfind("object"):
            box = [int(item.findtext(f"bndbox/{field}")) for field in ("xmin", "ymin", "xmax", "ymax")]
            assert 1 <= box[0] <= box[2] <= width and 1 <= box[1] <= box[3] <= height
            assert max(box[2] - box[0], box[3] - box[1]) < 200
            assert item.findtext("truncated") in ("0", "1") and item.findtext("difficult") in ("0", "1")


def test_balance(shapes: Path) -> None:
    found = targets(shapes)
    labels, difficult = (torch.cat([t[field] for t in found]) for field in ("labels", "difficult"))
    counts = torch.bincount(labels, minlength=len(CLASSES) + 1)[1:]
    assert counts.min() > 0.6 * len(labels) / len(CLASSES) and counts.max() < 1.5 * len(labels) / len(CLASSES)
    per_picture = [len(t["labels"]) for t in found]
    assert min(per_picture) >= 1 and max(per_picture) <= 6 and len(set(per_picture)) >= 5
    assert 0.02 < difficult.float().mean() < 0.25
    sizes = torch.cat([t["boxes"][:, 2:] - t["boxes"][:, :2] for t in found]).sqrt().prod(dim=1)
    assert sizes.quantile(0.1) < 40 and sizes.quantile(0.9) > 100, "small and large objects"


def test_boxes_surround_visible_pixels_only() -> None:
    """An object whose right half is covered by a later one ends where the cover begins."""
    owner = np.zeros((50, 60), np.int32)
    owner[10:30, 5:25] = 1
    owner[5:40, 15:50] = 2
    drawn = shapes_module.Drawn(
        np.zeros((50, 60, 3), np.float32), owner, [("square", 400, False), ("disk", 35 * 35, True)]
    )
    first, second = shapes_module._describe(drawn)
    assert tuple(first["box"]) == (6, 11, 15, 30) and tuple(second["box"]) == (16, 6, 50, 40)
    assert second["truncated"] and not first["truncated"]


def test_hidden_objects_are_difficult() -> None:
    owner = np.zeros((60, 60), np.int32)
    owner[:40, :10] = 1  # 400 of 2000 pixels to be seen
    owner[:40, 20:60] = 2
    drawn = shapes_module.Drawn(
        np.zeros((60, 60, 3), np.float32), owner, [("square", 2000, False), ("square", 1600, False)]
    )
    assert [item["difficult"] for item in shapes_module._describe(drawn)] == [True, False]


def colour_features(crops: list[np.ndarray]) -> np.ndarray:
    """Mean colour, its spread, and a 64-bin histogram of uint8 RGB crops."""
    rows = []
    for crop in crops:
        pixels = crop.reshape(-1, 3).astype(np.float32)
        bins = np.bincount((crop // 64).reshape(-1, 3) @ [16, 4, 1], minlength=64) / len(pixels)
        rows.append(np.concatenate([pixels.mean(axis=0) / 255, pixels.std(axis=0) / 255, bins]))
    return np.stack(rows)


def ground_truth_crops(root: Path, split: str) -> tuple[list[np.ndarray], np.ndarray]:
    dataset = VOCDataset(root, split, CLASSES)
    crops, labels = [], []
    for image, target in (dataset[i] for i in range(len(dataset))):
        pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        for (x1, y1, x2, y2), label in zip(target["boxes"].int().tolist(), target["labels"].tolist()):
            crops.append(pixels[y1:y2, x1:x2])
            labels.append(label)
    return crops, np.array(labels)


def accuracy_of_colour(train: tuple[list[np.ndarray], np.ndarray], test: tuple[list[np.ndarray], np.ndarray]) -> float:
    forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
    return float(forest.fit(colour_features(train[0]), train[1]).score(colour_features(test[0]), test[1]))


def test_colour_alone_does_not_give_the_class_away(shapes: Path) -> None:
    train, test = (ground_truth_crops(shapes, split) for split in SPLITS)
    assert accuracy_of_colour(train, test) < 0.25, "chance is 0.125"
    tints = np.random.default_rng(0).integers(-60, 60, (len(CLASSES) + 1, 3))
    tinted = [
        ([(crop.astype(int) // 4 + 96 + tints[label]).clip(0, 255) for crop, label in zip(*part)], part[1])
        for part in (train, test)
    ]
    assert accuracy_of_colour(*tinted) > 0.6, "the same classifier does find a colour that tells the class"


def test_some_test_textures_are_never_trained_on() -> None:
    assert set(TRAIN_PATTERNS) < set(TEST_PATTERNS)


def test_training_pictures_use_training_textures_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: dict[int, set] = {}
    draw = shapes_module.draw_picture
    streams = iter(range(8))

    def spy(rng: np.random.Generator, patterns: tuple, *rest: object) -> object:
        used[next(streams)] = set(patterns)
        return draw(rng, patterns, *rest)

    monkeypatch.setattr(shapes_module, "draw_picture", spy)
    write_shapes(tmp_path, trainval=5, test=3, jobs=1)
    assert [used[i] for i in range(8)] == [set(TRAIN_PATTERNS)] * 5 + [set(TEST_PATTERNS)] * 3


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.5])
def test_figures_touch_all_sides_of_their_window(name: str, angle: float) -> None:
    mask = figure_mask(name, 60, 40, angle)
    assert mask.shape == (40, 60) and mask.dtype == np.float32 and mask.min() >= 0 and mask.max() == 1
    rows, columns = np.where(mask > 0.5)
    assert rows.min() <= 1 and rows.max() >= 38 and columns.min() <= 1 and columns.max() >= 58


def test_figures_differ() -> None:
    """No two classes are one figure turned: their share of the window, or the share of its middle, differs."""
    areas = {
        name: np.mean([figure_mask(name, 64, 64, angle).mean() for angle in np.arange(0, 6, 0.5)]) for name in CLASSES
    }
    middles = {name: figure_mask(name, 64, 64, 0.3)[24:40, 24:40].mean() for name in CLASSES}
    for i, first in enumerate(CLASSES):
        for second in CLASSES[i + 1 :]:
            apart = abs(areas[first] - areas[second]) + abs(middles[first] - middles[second])
            assert apart > 0.02, (first, second)


def test_unknown_figure() -> None:
    with pytest.raises(ValueError, match="hexagram"):
        figure_mask("hexagram", 10, 10, 0.0)


def test_ensure_shapes_draws_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = ensure_shapes(tmp_path, trainval=4, test=2)
    before = contents(root)
    monkeypatch.setattr(shapes_module, "write_shapes", lambda *_, **__: pytest.fail("drawn again"))
    assert ensure_shapes(tmp_path, trainval=4, test=2) == root and contents(root) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [FOLDER, root.name]
    assert len(VOCDataset(root, "trainval")) == 4


def test_ensure_shapes_arguments_have_folders_of_their_own(tmp_path: Path) -> None:
    roots = {ensure_shapes(tmp_path, seed, trainval, 1) for seed, trainval in ((0, 2), (1, 2), (0, 3))}
    assert len(roots) == 3
    assert str(shapes_module.GENERATOR_VERSION) in next(iter(roots)).name


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type) -> None:
    def stop(root: Path, *_: object) -> None:
        (Path(root) / "JPEGImages").mkdir()
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(shapes_module, "write_shapes", stop)
        with pytest.raises(error):
            ensure_shapes(tmp_path, trainval=2, test=1)
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]  # locks stay, empty
    assert len(VOCDataset(ensure_shapes(tmp_path, trainval=2, test=1), "trainval")) == 2


def test_other_knobs_have_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a tuned difficulty would go on serving yesterday's pictures."""
    before = ensure_shapes(tmp_path, trainval=2, test=1)
    monkeypatch.setattr(shapes_module, "DEFAULT", dataclasses.replace(shapes_module.DEFAULT, noise=0.01))
    assert ensure_shapes(tmp_path, trainval=2, test=1) != before


def test_knobs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        shapes_module.DEFAULT.noise = 0.5  # type: ignore[misc]


def test_crops() -> None:
    crops, labels = classification_crops(160, 32, seed=3)
    assert crops.shape == (160, 3, 32, 32) and crops.dtype == torch.uint8 and crops.is_contiguous()
    assert labels.shape == (160,) and labels.dtype == torch.int64
    assert torch.bincount(labels, minlength=len(CLASSES)).min() >= 5 and labels.max() == len(CLASSES) - 1
    assert (crops.float().flatten(1).std(dim=1) > 4).all(), "no crop is of one colour"


def test_crops_depend_on_the_seed_alone() -> None:
    crops, labels = classification_crops(12, 32, seed=3)
    again, same = classification_crops(20, 32, seed=3)
    other, _ = classification_crops(12, 32, seed=4)
    assert torch.equal(crops, again[:12]) and torch.equal(labels, same[:12])
    assert not any(torch.equal(a, b) for a, b in zip(crops, other))
