"""How far hard-negative mining has come: in memory the examples, on disk the places where they stand in the cache."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lineage.common.checkpoint import save_checkpoint
from lineage.common.resume import kept


class PictureFeatures(NamedTuple):
    """What one picture gives to SVM training, float32 numpy."""

    features: np.ndarray  # (R, D) of the proposals
    overlaps: np.ndarray  # (R, C) largest IoU of each proposal with a ground truth of each class
    positives: np.ndarray  # (G, D) of the ground-truth boxes
    labels: np.ndarray  # (G,) their classes, 1..C


class Place(NamedTuple):
    """All that comes before it is done: passes over the pictures, pictures of this pass, classes of this picture.

    After the last pass come the last fits, and the classes of those are counted.
    """

    epoch: int
    picture: int
    label: int


START = Place(0, 0, 0)


@dataclass
class Negatives:
    """Mined examples of one class, and where each comes from."""

    examples: np.ndarray  # (N, D)
    sources: np.ndarray  # (N, 2) picture, row of its proposals

    @classmethod
    def none(cls, width: int) -> Negatives:
        return cls(np.empty((0, width), np.float32), np.empty((0, 2), np.int64))

    @classmethod
    def joined(cls, parts: Iterable[Negatives]) -> Negatives:
        parts = list(parts)
        return cls(np.concatenate([p.examples for p in parts]), np.concatenate([p.sources for p in parts]))

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, rows: np.ndarray) -> Negatives:
        return Negatives(self.examples[rows], self.sources[rows])


@dataclass
class ClassProblem:
    """The examples of one class's SVM."""

    positives: np.ndarray  # (P, D)
    negatives: Negatives  # of which the last fit was made, without the easy ones
    fresh: list[Negatives] = field(default_factory=list)  # mined since
    fits: int = 0

    @property
    def fresh_count(self) -> int:
        return sum(map(len, self.fresh))


def save_mining(path: Path, svms: nn.Module, problems: list[ClassProblem], place: Place) -> None:
    """Write all that mining goes on from. Of the examples their places: the features are in the cache already."""
    state = {f"svms.{name}": tensor for name, tensor in svms.state_dict().items()}
    for c, problem in enumerate(problems):
        fresh = [np.empty((0, 2), np.int64), *(part.sources for part in problem.fresh)]
        state[f"negatives.{c}"] = torch.from_numpy(problem.negatives.sources)
        state[f"fresh.{c}"] = torch.from_numpy(np.concatenate(fresh))
    save_checkpoint(path, state, {"place": place, "fits": [problem.fits for problem in problems]})


def restore_mining(
    path: Path,
    svms: nn.Module,
    problems: list[ClassProblem],
    pictures: Iterable[PictureFeatures],
    scale: float,
    end: Place,
) -> Place:
    """Read it again; :data:`START` where nothing is kept. One pass over the pictures fetches the examples.

    Args:
        end: the place behind the last fit, where no example is wanted any more.
    """
    found = kept(path)
    if not found:
        return START
    state, facts = found
    svms.load_state_dict({name: state[f"svms.{name}"] for name in svms.state_dict()})
    for c, problem in enumerate(problems):
        problem.fits = facts["fits"][c]
        problem.negatives = _unfilled(state[f"negatives.{c}"], problem)
        problem.fresh = [_unfilled(state[f"fresh.{c}"], problem)]
    place = Place(*facts["place"])
    if place == end:
        return place
    wanted = [part for problem in problems for part in (problem.negatives, *problem.fresh) if len(part)]
    for number, picture in enumerate(pictures):
        features = picture.features.astype(np.float32) * scale
        for part in wanted:
            here = part.sources[:, 0] == number
            part.examples[here] = features[part.sources[here, 1]]
    return place


def _unfilled(sources: Tensor, problem: ClassProblem) -> Negatives:
    return Negatives(np.empty((len(sources), problem.positives.shape[1]), np.float32), sources.numpy())
