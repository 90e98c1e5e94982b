"""The detectors that come with the project, on photographs that come with scikit-image."""

from __future__ import annotations

import pytest
import skimage
import torch

from lineage.common.boxes import box_iou
from lineage.data.pictures import read_image
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.checkpoints import load_detector
from lineage.experiments.generations import GENERATIONS
from lineage.experiments.pretrained import FOLDER, model_of

LARGEST = 15_000_000  # bytes
PHOTOGRAPHS = {  # what is there, and about where, by eye
    "chelsea.png": ("cat", (5.0, 0, 380, 300)),
    "astronaut.png": ("person", (20.0, 20, 360, 512)),
    "motorcycle_left.png": ("motorbike", (96.0, 68, 682, 450)),
}
MODELS = [name for name in GENERATIONS if model_of(name) is not None]


def test_there_is_one_that_detects():
    assert MODELS
    detectors = {f"voc2007-{name}.safetensors" for name in MODELS}
    assert {path.name for path in FOLDER.glob("*.safetensors")} == {*detectors, "tiny-0.safetensors"}


@pytest.mark.parametrize("generation", MODELS)
def test_it_says_what_it_is_and_is_small(generation):
    path = model_of(generation)
    assert path.stat().st_size < LARGEST
    detector, facts = load_detector(path, generation=generation)
    assert detector.classes == VOC_CLASSES
    wanted = {"data", "train_pictures", "recipe", "recipe_name", "seed", "steps", "train_seconds", "commit", "command"}
    assert wanted <= set(facts)
    assert all(torch.isfinite(tensor).all() for tensor in detector.state_dict().values())


@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
@pytest.mark.parametrize("generation", MODELS)
def test_it_finds_what_is_plainly_there(generation, photograph):
    what, where = PHOTOGRAPHS[photograph]
    detector, _ = load_detector(model_of(generation))
    (found,) = detector([read_image(f"{skimage.data_dir}/{photograph}")])
    best = found["labels"][found["scores"].argmax()]
    assert VOC_CLASSES[best - 1] == what
    box = found["boxes"][found["scores"].argmax()][None]
    assert box_iou(box, torch.tensor([where]))[0, 0] > 0.5
