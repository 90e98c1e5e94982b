"""Trained detectors made over: without box regression, with truncated layers, with SVMs, with another's proposals."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lineage.bench.ablations.variant import Setting
from lineage.common.stages import stage
from lineage.experiments.experiment import changed
from lineage.experiments.generations import generation_of
from lineage.experiments.training import trained_detector
from lineage.fast_rcnn.detector import FastRCNN
from lineage.fast_rcnn.truncated_svd import compress_fc
from lineage.faster_rcnn.recipe import Recipe as FasterRecipe
from lineage.faster_rcnn.train import propose_all
from lineage.rcnn.features import Extract, cache_features
from lineage.rcnn.recipe import SVMSettings
from lineage.rcnn.svm import LinearSVMs, train_svms


def without_regression(detector: Any, setting: Setting) -> Any:
    """The same detector with its proposals' own boxes."""
    plain = copy.deepcopy(detector)
    if isinstance(plain, FastRCNN):
        plain.recipe = dataclasses.replace(plain.recipe, target_stds=(0.0,) * 4)  # predicted offsets times 0
    else:
        plain.regressors.weight.zero_()
        plain.regressors.bias.zero_()
    return plain


def truncated(shares: tuple[float, ...]) -> Callable[[Any, Setting], Any]:
    """The fc layers at these shares of their full rank."""

    def rebuild(detector: Any, setting: Setting) -> Any:
        small = copy.deepcopy(detector)
        layers = [layer for layer in small.head.fc if isinstance(layer, torch.nn.Linear)]
        if len(layers) != len(shares):
            raise ValueError(
                f"--ablation svd: needs a backbone with {len(shares)} fully connected layers (tiny, alexnet, zf, "
                f"vgg16); {small.backbone.name} has {len(layers)}"
            )
        ranks = tuple(max(1, round(share * min(layer.weight.shape))) for share, layer in zip(shares, layers))
        small.head.fc = compress_fc(small.head.fc, ranks)
        return small

    return rebuild


class FastRCNNWithSVMs(FastRCNN):
    """Fast R-CNN whose softmax is replaced, after training, by R-CNN's SVMs on its fc7 (section 5.4)."""

    svms: LinearSVMs

    @stage("svm", phase="classify")
    def classify(self, fc7: Tensor) -> Tensor:
        return self.svms(self.head.average(fc7))  # (R, C)


def with_svms(detector: Any, setting: Setting) -> Any:
    """R-CNN's third procedure on a trained Fast R-CNN: features to disk, hard-negative mining, one SVM a class."""

    @torch.inference_mode()
    def extract(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        device = next(detector.parameters()).device
        features, frame = detector.convolve(image.to(device))
        fc7 = detector.head.average(detector.fc(detector.pool(features, [frame.boxes_in(boxes.to(device))]))).cpu()
        return fc7[:, :0], fc7

    other = copy.deepcopy(detector)
    other.__class__ = FastRCNNWithSVMs  # the same modules: only classify differs
    other.svms = _svms_on(extract, detector, SVMSettings(), setting)
    other.recipe = dataclasses.replace(other.recipe, score_threshold=-1.1)  # a margin, as in R-CNN's recipe
    return other


def _svms_on(extract: Extract, detector: Any, settings: SVMSettings, setting: Setting) -> LinearSVMs:
    """R-CNN's SVMs on other features of the training pictures, which lie on disk meanwhile."""
    with tempfile.TemporaryDirectory(dir=setting.experiment.cache) as folder:
        cache = cache_features(
            setting.train, setting.regions, extract, Path(folder), min_pair_iou=1.0,
            label=f"{generation_of(detector.generation).title}: features",
        )  # fmt: skip
        svms, _ = train_svms(cache, len(detector.classes), settings, setting.seed)
    return svms.to(next(detector.parameters()).device)


def on_pool5(detector: Any, setting: Setting) -> Any:
    """A trained R-CNN whose SVMs, new ones, read pool5, as its regressors do; its boxes are its proposals."""
    other = without_regression(detector, setting)
    other.backbone.fc = torch.nn.Flatten()  # what comes out of the network is pool5

    @torch.inference_mode()
    def extract(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        device = next(other.parameters()).device
        pool5, features = other.features(image.to(device), boxes.to(device))
        return pool5[:, :0].cpu(), features.cpu()

    other.svms = _svms_on(extract, other, other.recipe.svm, setting)
    return other


class FastRCNNOnRPN(FastRCNN):
    """A Fast R-CNN whose proposals come from an RPN that shares nothing with it, as in step 2 of the 4."""

    proposer: Any

    @stage("rpn, apart", phase="propose")
    def propose(self, image: Tensor) -> Tensor:
        return self.proposer.propose(image)  # (R, 4)


def unshared(setting: Setting) -> tuple[Any, list[Tensor]]:
    """Steps 1 and 2: an RPN, and a Fast R-CNN trained on its proposals, each with its own convolutions."""
    faster: FasterRecipe = setting.experiment.recipe_of("faster_rcnn")
    alone = dataclasses.replace(setting.experiment, procedure="rpn")
    proposer, _ = trained_detector(alone, "faster_rcnn", setting.seed, setting.train, None, setting.say)
    regions = propose_all(proposer, setting.train)
    # The detector of Faster R-CNN's recipe, proposals apart.
    shared = {field.name for field in dataclasses.fields(faster)} & {
        field.name for field in dataclasses.fields(setting.experiment.recipe_of("fast_rcnn"))
    }
    changes = tuple((name, getattr(faster, name)) for name in sorted(shared))
    altered = dataclasses.replace(setting.experiment, changes=changes, regions="RPN")
    detector, _ = trained_detector(altered, "fast_rcnn", setting.seed, setting.train, regions, setting.say)
    return with_proposals_of(proposer, detector, setting)


def on_rpn(detector: Any, setting: Setting, count: int) -> tuple[Any, list[Tensor]]:
    """A Fast R-CNN that learnt from selective search, with ``count`` proposals of Faster R-CNN's RPN at test."""
    proposer = setting.detector("faster_rcnn", ())
    proposer.recipe = changed(proposer.recipe, (("rpn.after_nms_test", count),))
    return with_proposals_of(proposer, detector, setting)


def with_proposals_of(proposer: Any, detector: Any, setting: Setting) -> tuple[Any, list[Tensor]]:
    """A Fast R-CNN that asks ``proposer``, and the test pictures' proposals."""
    detector.__class__ = FastRCNNOnRPN
    detector.proposer = proposer
    device = setting.experiment.device
    with torch.inference_mode():
        given = [proposer.propose(setting.test[index][0].to(device)) for index in range(len(setting.test))]
    return detector, [boxes.clone() for boxes in given]
