"""One picture after the other through the detector; what is done is kept, whatever ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lineage.common.progress import track
from lineage.common.stages import trace
from lineage.detection.drawn import Pictures, Video, drawing
from lineage.detection.found import Found, found_in
from lineage.detection.plan import Plan
from lineage.detection.results import FORMATS
from lineage.detection.shots import Shot, ShotError, Unreadable, count_shots, frame_rate, shots
from lineage.viz import unwritable

SHOWN = 10  # unreadable files that are named once more at the end
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What counts as a detection, and what is looked at.

    Attributes:
        least: the least score. labels: of the classes that are wanted; None: all.
        every, frames: as of :func:`~lineage.detection.shots.shots`.
    """

    least: float
    labels: Sequence[int] | None
    every: int
    frames: int | None


@dataclass
class Done:
    """What has been done so far."""

    pictures: list[Found] = field(default_factory=list)
    detections: int = 0  # of any score and class
    unreadable: list[Unreadable] = field(default_factory=list)


def run(detector: Any, plan: Plan, settings: Settings, say: Say, introduction: Sequence[str] = ()) -> int:
    """Look at everything, say a line a picture, draw, and write the results; returns the exit code.

    It is 0; 1 if a file could not be read; 130 if Ctrl-C ended it, but for a camera, which nothing else ends.

    Args:
        introduction: lines to say before the first result.
    Raises:
        ShotError: the only file cannot be read.
    """
    done, interrupted = Done(), False
    with ExitStack() as stack:
        pen = None
        if plan.drawn is not None:
            _name_unwritable(detector.classes, say)
            rate = frame_rate(plan.sources[0]) / settings.every if plan.drawn.kind == "video" else 0.0
            pen = stack.enter_context(drawing(plan.drawn, rate, detector.classes))
        stack.callback(_write_results, plan, done, detector.classes)  # also when an error ends the block
        try:
            _look(detector, plan, settings, done, pen, say, introduction)
        except KeyboardInterrupt:
            interrupted = True
    return _close(plan, settings, done, interrupted, say)


def _look(
    detector: Any, plan: Plan, settings: Settings, done: Done, pen: Pictures | Video | None, say: Say,
    introduction: Sequence[str],
) -> None:  # fmt: skip
    sources, every, frames = plan.sources, settings.every, settings.frames
    taken = shots(sources, every=every, frames=frames)
    for shot in track(taken, "detect", count_shots(sources, every=every, frames=frames)):
        if isinstance(shot, Unreadable):
            if len(sources) == 1 and not done.pictures:
                raise ShotError(shot.reason)
            done.unreadable.append(shot)
            say(f"warning: {shot.reason}")
            continue
        for line in introduction if not done.pictures else ():
            say(line)
        detections = _detect(detector, shot, say if plan.lone_picture else None)
        found = found_in(shot, detections, settings.least, settings.labels)
        if pen is not None:
            pen.add(shot, found)
        done.pictures.append(found)
        done.detections += len(detections["boxes"])
        if not plan.lone_picture:
            say(f"{shot.title}: {found.summary(detector.classes)}")
            continue
        for line in _boxes(found, detector.classes):
            say(line)


def _detect(detector: Any, shot: Shot, say: Say | None) -> dict[str, Tensor]:
    """The detections in one picture. ``say`` is told what each stage took."""
    image = shot.image.to(next(detector.parameters()).device)
    if say is None:
        return detector([image])[0]
    with trace(detector, count=False, keep_tensors=False) as stages:
        (detections,) = detector([image])
    say(str(stages))
    return detections


def _boxes(found: Found, classes: Sequence[str]) -> list[str]:
    """A line a detection: class, score, corners in pixels of the picture."""
    rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist())
    return [
        f"{classes[label - 1]:<14} {score:6.3f}  {' '.join(f'{value:.0f}' for value in box)}"
        for label, score, box in rows
    ]


def _write_results(plan: Plan, done: Done, classes: Sequence[str]) -> None:
    if done.pictures:
        for kind, path in plan.results.items():
            FORMATS[kind](done.pictures, classes, path)


def _close(plan: Plan, settings: Settings, done: Done, interrupted: bool, say: Say) -> int:
    """Say how it went: the exit code."""
    camera = plan.sources[0].kind == "camera"
    if interrupted and done.pictures:
        say(f"ended after {len(done.pictures)} pictures" + ("" if camera else ": what was done is kept"))
    elif interrupted:
        say("ended before the first picture: nothing is written")
    if done.pictures:
        kept = sum(len(found.boxes) for found in done.pictures)
        wanted = "" if settings.labels is None else " and are of the classes asked for"
        written = [plan.drawn.path] if plan.drawn else []
        written += plan.results.values()
        say(
            f"{kept} of {done.detections} detections score {settings.least:g} or more{wanted}; "
            f"written: {', '.join(map(str, written))}"
        )
    if done.unreadable:
        names = [str(one.source.path) for one in done.unreadable]
        more = f" ... and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        say(f"error: {len(names)} of {len(plan.sources)} files could not be read: {', '.join(names[:SHOWN])}{more}")
    if interrupted and not camera:
        return 130
    return 1 if done.unreadable else 0


def _name_unwritable(classes: Sequence[str], say: Say) -> None:
    names = unwritable(classes)
    if names:
        shown = ", ".join(f"{name} (class {classes.index(name) + 1})" for name in names)
        say(
            f"warning: no font of this machine has all letters of {shown}: the number is drawn instead of the name; "
            "a font such as Noto Sans CJK mends it"
        )
