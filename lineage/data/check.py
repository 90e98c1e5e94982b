"""A data set's faults, all at once and before anybody trains on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lineage.common.checkpoint import write_atomically
from lineage.common.locks import alone
from lineage.common.progress import track
from lineage.common.resume import Timer
from lineage.common.workers import in_processes
from lineage.data.annotation import Annotation, Object
from lineage.data.catalogue import open_dataset
from lineage.data.findings import ACCEPTABLE, ERROR, WARNING, Finding, VOCFormatError
from lineage.data.pictures import contents_digest, why_unreadable
from lineage.data.splits import ALL, whole_splits
from lineage.data.voc import VOCDataset, discover_classes

STRIDE = 16  # pixels: of the backbones' feature maps
IN_PARALLEL_FROM = 500  # pictures: fewer are read before processes have started
CHUNK = 64
NAMES_SHOWN = 10
Objects = list[tuple[str, Object]]  # of a split: file and object


@dataclass
class Report:
    """What was found. A picture that several splits name is looked at once."""

    findings: list[Finding] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)  # pictures with an error of their own
    pictures: int = 0
    classes: tuple[str, ...] = ()
    objects: dict[str, Counter[str]] = field(default_factory=dict)  # split -> class -> how many
    doubtful: dict[str, Annotation] = field(default_factory=dict)  # picture -> what is odd
    sides: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # class -> widths and heights, pixels

    def add(self, kind: str, severity: str, file: str, message: str) -> None:
        self.findings.append(Finding(kind, severity, file, message))

    def accept(self, kinds: Sequence[str]) -> None:
        """Make warnings of these kinds of error.

        Raises:
            ValueError: a kind that nobody can mean.
        """
        for kind in kinds:
            if kind not in ACCEPTABLE:
                raise ValueError(f"--accept: {kind!r} is none of {', '.join(ACCEPTABLE)}")
        self.findings = [
            finding._replace(severity=WARNING) if finding.kind in kinds else finding for finding in self.findings
        ]


def check(
    splits: Mapping[str, VOCDataset],
    learnt: str | None,
    tested: str | None,
    cache: Path | None,
    *,
    stated: bool = False,
) -> Report:
    """Look at every picture and annotation of the splits, and at what only all together show.

    Args:
        splits: by name, with one class list. learnt, tested: which of them is learnt from, and which tested on, if any.
        cache: where it is kept which pictures could be decoded, so that a second check decodes none; or None.
        stated: the classes were asked for by name: one without any object may be misspelt.
    """
    report = Report(classes=next(iter(splits.values())).classes)
    known: dict[str, Annotation] = {}
    objects: dict[str, Objects] = {}
    unreadable = _unreadable(_pictures(splits, report), cache)
    for name, dataset in splits.items():
        report.findings += dataset.split_findings
        objects[name] = []
        for index, picture in enumerate(dataset.ids):
            if picture not in known:
                known[picture] = _look(dataset, index, unreadable, report)
            found = known[picture]
            objects[name] += [(found.file, one) for one in found.objects if one.name in report.classes]
    report.pictures = len(known)
    for name, mine in objects.items():
        report.objects[name] = Counter(one.name for _, one in mine)
    every = {(file, one.number): one for mine in objects.values() for file, one in mine}
    for one in every.values():
        report.sides.setdefault(one.name, []).append((one.box[2] - one.box[0], one.box[3] - one.box[1]))
    if stated:
        _check_stated(report, set().union(*(annotation.names for annotation in known.values())))
    if not report.bad:  # else objects may be missing that will be there when the bad files are mended
        if learnt is not None:
            _check_learnable(report, objects, learnt, stated)
        if tested is not None:
            _check_testable(report, objects[tested], tested)
    _check_spelling(report)
    _check_sizes(report, every)
    if learnt is not None and tested is not None:
        _check_leaks(report, splits[learnt], splits[tested])
    _check_lonely_annotations(report, next(iter(splits.values())))
    return report


def _pictures(splits: Mapping[str, VOCDataset], report: Report) -> list[Path]:
    """Every picture's file once; those that are missing are findings."""
    files: dict[str, Path] = {}
    for name, dataset in splits.items():
        for index, picture in enumerate(dataset.ids):
            if picture in files or picture in report.bad:
                continue
            try:
                files[picture] = dataset.image_path(index)
            except VOCFormatError as error:
                report.add("no picture", ERROR, f"{name}.txt", str(error))
                report.bad.add(picture)
    return list(files.values())


def _unreadable(paths: Sequence[Path], cache: Path | None) -> dict[Path, str]:
    """The pictures that cannot be decoded, and why. Contents that were decoded once are not decoded again."""
    digests = {path: contents_digest(path) for path in paths}
    if cache is None:
        return {path: reason for path, reason in zip(paths, _reasons(paths)) if reason}
    kept = cache / "readable.json"
    known = _load(kept)
    if all(digest in known for digest in digests.values()):
        return {}
    with alone(kept):
        known, timer, bad = _load(kept), Timer(), dict[Path, str]()

        def save() -> None:
            text = json.dumps(sorted(known))
            write_atomically(kept, lambda path: path.write_text(text, encoding="utf-8"))
            timer.restart()

        unknown = [path for path in paths if digests[path] not in known]
        for path, reason in zip(unknown, _reasons(unknown)):
            if reason:
                bad[path] = reason
            else:
                known.add(digests[path])
            if timer.due:
                save()
        if len(bad) < len(unknown):
            save()
    return bad


def _load(kept: Path) -> set[str]:
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or damaged: find it out again
        return set()
    return set(found) if isinstance(found, list) and all(isinstance(digest, str) for digest in found) else set()


def _reasons(paths: Sequence[Path]) -> Iterator[str | None]:
    """:func:`why_unreadable` of each, by several processes where that is worth it."""
    if len(paths) < IN_PARALLEL_FROM:
        yield from map(why_unreadable, track(paths, "check pictures", len(paths)))
        return
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    done = in_processes(_reasons_of, ((chunk,) for chunk in chunks))
    for chunk in track(done, "check pictures", len(chunks)):
        yield from chunk


def _reasons_of(paths: Sequence[Path]) -> list[str | None]:
    return [why_unreadable(path) for path in paths]


def _look(dataset: VOCDataset, index: int, unreadable: Mapping[Path, str], report: Report) -> Annotation:
    """One picture's annotation; its findings are put down."""
    name = dataset.ids[index]
    nothing = Annotation(f"{name}.xml")
    if name in report.bad:
        return nothing
    path = dataset.image_path(index)
    if path in unreadable:
        report.add("unreadable picture", ERROR, path.name, unreadable[path])
        report.bad.add(name)
        return nothing
    annotation = dataset.annotation(index)
    report.findings += annotation.findings
    if annotation.findings:
        report.doubtful[name] = annotation
    if any(finding.severity == ERROR for finding in annotation.findings):
        report.bad.add(name)
    return annotation


def _check_stated(report: Report, names: Set[str]) -> None:
    """Classes that were asked for by name and that no object has: misspelt, or cut in two at a comma?"""
    others = sorted(f'"{name}"' if "," in name else name for name in names - set(report.classes))
    hint = f"; others that they have: {', '.join(others[:NAMES_SHOWN])}" if others else ""
    for name in report.classes:
        if name not in names:
            message = f"class {name!r}: no annotation has an object of it{hint}"
            report.add("class without objects", WARNING, name, message)


def _check_learnable(report: Report, objects: Mapping[str, Objects], learnt: str, stated: bool) -> None:
    usable = Counter(one.name for _, one in objects[learnt] if not one.difficult)
    everywhere = {one.name for found in objects.values() for _, one in found}
    for name in report.classes:
        if usable and usable[name] == 0 and name in everywhere:
            why = f"class {name!r}: {learnt} has no object of it that is not marked difficult: it cannot be learnt"
            report.add("class not in training", WARNING, name, why)
    if not usable:
        what = "every object is marked difficult" if objects[learnt] else "no picture has an object"
        what += f" of {', '.join(map(repr, report.classes))}" if stated else ""
        report.add("nothing to learn", ERROR, f"{learnt}.txt", f"{learnt}: nothing to learn: {what}")


def _check_testable(report: Report, objects: Objects, tested: str) -> None:
    there = {one.name for _, one in objects}
    known = {
        finding.file
        for finding in report.findings
        if finding.kind in ("class without objects", "class not in training")
    }
    for name in report.classes:
        if name not in there and name not in known:
            why = f"class {name!r}: {tested} has no object of it, so it has no average precision"
            report.add("class not in test", WARNING, name, why)


def _check_spelling(report: Report) -> None:
    alike: dict[str, list[str]] = {}
    for name in report.classes:
        alike.setdefault(" ".join(name.casefold().replace("_", " ").replace("-", " ").split()), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            listed = ", ".join(map(repr, names))
            report.add("classes spelled alike", WARNING, names[0], f"classes {listed}: one class in several spellings?")


def _check_sizes(report: Report, objects: Mapping[tuple[str, int], Object]) -> None:
    small = [file for (file, _), one in objects.items()
             if max(one.box[2] - one.box[0], one.box[3] - one.box[1]) < STRIDE]  # fmt: skip
    if small:
        why = f"{len(small)} of {len(objects)} objects are smaller than {STRIDE} pixels, a cell of the feature map"
        report.add("smaller than a cell", WARNING, small[0], f"{why} (first in {small[0]}): enlarge the pictures")


def _check_leaks(report: Report, learnt: VOCDataset, tested: VOCDataset) -> None:
    """Pictures of the training that are in the test, by name or by content, and pictures that are there twice."""
    both = set(learnt.ids) & set(tested.ids)
    for name in sorted(both):
        report.add("in two splits", WARNING, name, f"{name}: is in {learnt.split} and in {tested.split}: what was "
                   "learnt by heart is counted as found")  # fmt: skip
    first: dict[str, tuple[str, str]] = {}
    for dataset in (learnt, tested):
        for index, name in enumerate(dataset.ids):
            if name in report.bad or (dataset is tested and name in both):
                continue
            digest = contents_digest(dataset.image_path(index))
            other, split = first.setdefault(digest, (name, dataset.split))
            if other != name:
                where = f"in {split} and {dataset.split}" if split != dataset.split else f"in {split}"
                report.add("same picture twice", WARNING, name, f"{name} and {other}: the same picture, {where}")


def _check_lonely_annotations(report: Report, dataset: VOCDataset) -> None:
    pictures, annotations = dataset.layout.pictures.files, dataset.layout.annotations.files
    for name in sorted(set(annotations) - set(pictures) - report.bad):  # of a bad one all is said
        file = annotations[name].name
        report.add("annotation without picture", WARNING, file, f"{file}: there is no picture {name}")


def open_splits(
    data: str, cache: Path, classes: Sequence[str] | None, unannotated: str
) -> tuple[dict[str, VOCDataset], str, str | None]:
    """All splits of a dataset, and which of them is learnt from and which tested on.

    Without trainval or train the first there is stands for it; without any split, all pictures are one.

    Raises:
        VOCFormatError: the folder is not in VOC layout.
    """
    layout = open_dataset(data, ALL, cache / "data", (), unannotated=unannotated).layout
    chosen = tuple(classes) if classes is not None else discover_classes(layout)

    def split(name: str) -> VOCDataset:
        return open_dataset(data, name, cache / "data", chosen, unannotated=unannotated)

    names = whole_splits(layout, chosen)
    if not names:
        return {ALL: split(ALL)}, ALL, None
    learnt = "trainval" if {"trainval", "train"} & set(names) else names[0]
    wanted = dict.fromkeys([learnt, *names])
    return {name: split(name) for name in wanted}, learnt, "test" if "test" in names else None


def size_table(report: Report) -> dict[str, tuple[int, float, float, float]]:
    """Class -> objects, and the 10th, 50th and 90th percentile of the square root of their area, pixels."""
    table = {}
    for name in report.classes:
        sides = np.array(report.sides.get(name, [])).reshape(-1, 2)
        roots = np.sqrt(sides.prod(axis=1))
        low, middle, high = np.percentile(roots, (10, 50, 90)) if len(roots) else (np.nan,) * 3
        table[name] = (len(roots), float(low), float(middle), float(high))
    return table
