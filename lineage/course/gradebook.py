"""What grading leaves behind: a record a submission, and the tables and pages made from all of them.

gradebook.csv             a line a student: points by assignment
tests.csv                 a line a graded cell: points, and why there are none
written.csv               the answers that a person reads: fill in ``points`` and ``comment``
feedback/STUDENT/...html  what the student gets
records/STUDENT/...json   all of it for one submission
"""

from __future__ import annotations

import csv
import functools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lineage.common.checkpoint import write_atomically

WRITTEN_COLUMNS = ("student", "assignment", "cell", "most", "points", "comment", "answer")


@dataclass(frozen=True)
class Graded:
    """One submission's result.

    ``points`` and ``most`` are by graded cell; None is a written answer that nobody has read yet.
    """

    student: str
    assignment: str
    points: dict[str, float | None]
    most: dict[str, float]
    failures: dict[str, str]
    answers: dict[str, str]
    remarks: list[str]
    digest: str
    comments: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(points or 0.0 for points in self.points.values())

    @property
    def to_read(self) -> list[str]:
        """The cells that wait for a person."""
        return [cell for cell, points in self.points.items() if points is None]

    @staticmethod
    def read(path: Path) -> Graded:
        """Raises ValueError: not a record."""
        try:
            return Graded(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: not a record of grading ({error}); delete it and grade again") from None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def record_path(out: Path, student: str, assignment: str) -> Path:
    return out / "records" / student / f"{assignment}.json"


def page_path(out: Path, student: str, assignment: str) -> Path:
    return out / "feedback" / student / f"{assignment}.html"


def most_points(path: Path) -> dict[str, float]:
    """The points of every graded cell of an instructor's notebook."""
    marks = [cell["metadata"].get("nbgrader", {}) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    return {mark["grade_id"]: float(mark["points"]) for mark in marks if mark.get("grade")}


def read_records(out: Path) -> list[Graded]:
    """All that has been graded, with the points that a person gave in ``written.csv``.

    Raises:
        ValueError: nothing has been graded, a record is damaged, or ``written.csv`` has points that cannot be.
    """
    paths = sorted((out / "records").glob("*/*.json"))
    if not paths:
        raise ValueError(f"{out}: nothing has been graded here; python -m lineage.course grade comes first")
    return with_written([Graded.read(path) for path in paths], read_written(out / "written.csv"))


def read_written(path: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The lines of ``written.csv`` by student, assignment and cell.

    Raises:
        ValueError: a column is missing, or points are no number from 0 to the most; names the line.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets like to write a byte-order mark
        reader = csv.DictReader(file)
        if missing := set(WRITTEN_COLUMNS) - set(reader.fieldnames or ()):
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
        lines = {}
        for row in reader:
            line: dict[str, Any] = {name: _plain(row[name] or "") for name in WRITTEN_COLUMNS}
            given = line["points"].strip()
            try:
                line["points"] = float(given.replace(",", ".")) if given else None
                possible = line["points"] is None or 0 <= line["points"] <= float(line["most"])
            except ValueError:
                possible = False
            if not possible:
                raise ValueError(
                    f"{path}: line {reader.line_num}, points of {line['student']} for {line['cell']}: {given!r} is "
                    f"no number from 0 to {line['most']}"
                )
            lines[line["student"], line["assignment"], line["cell"]] = line
    return lines


def with_written(results: Iterable[Graded], lines: dict[tuple[str, str, str], dict[str, Any]]) -> list[Graded]:
    """The results with a person's points and comments, where the answer is still the one that was read."""
    merged = []
    for one in results:
        points, comments = dict(one.points), dict(one.comments)
        for cell in one.to_read:
            line = lines.get((one.student, one.assignment, cell))
            if line is not None and _same_text(line["answer"], one.answers.get(cell, "")):
                points[cell], comments[cell] = line["points"], line["comment"]
        merged.append(replace(one, points=points, comments=comments))
    return merged


def _same_text(a: str, b: str) -> bool:
    return a.split() == b.split()  # spreadsheets change the ends of lines


def write_tables(out: Path) -> list[Graded]:
    """Write the three tables of all that has been graded below ``out``, in this run or before; the results.

    Raises:
        ValueError: see :func:`read_records`.
    """
    results = read_records(out)
    for name, write in (("gradebook", _gradebook), ("tests", _tests), ("written", _written)):
        write_atomically(out / f"{name}.csv", functools.partial(_write_csv, list(write(results))))
    return results


def _write_csv(lines: list[Sequence[Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


def _gradebook(results: Sequence[Graded]) -> Iterable[Sequence[Any]]:
    names = sorted({one.assignment for one in results})
    yield ["student", *names, "total", "to read", "remarks"]
    for student in sorted({one.student for one in results}):
        own = {one.assignment: one for one in results if one.student == student}
        remarks = "; ".join(f"{name}: {remark}" for name, one in own.items() for remark in one.remarks)
        totals = [f"{own[name].total:g}" if name in own else "" for name in names]
        to_read = sum(len(one.to_read) for one in own.values())
        yield [_text(student), *totals, f"{math.fsum(one.total for one in own.values()):g}", to_read, _text(remarks)]


def _tests(results: Sequence[Graded]) -> Iterable[Sequence[Any]]:
    yield ["student", "assignment", "cell", "points", "most", "why"]
    for one in results:
        for cell, points in one.points.items():
            why = "" if points is None else one.failures.get(cell, one.comments.get(cell, ""))
            given = "" if points is None else f"{points:g}"
            yield [_text(one.student), one.assignment, cell, given, f"{one.most[cell]:g}", _text(why)]


def _written(results: Sequence[Graded]) -> Iterable[Sequence[Any]]:
    yield WRITTEN_COLUMNS
    for one in results:
        for cell, answer in one.answers.items():
            given = "" if one.points[cell] is None else f"{one.points[cell]:g}"
            yield [
                _text(one.student), one.assignment, cell, f"{one.most[cell]:g}", given,
                _text(one.comments.get(cell, "")), _text(answer),
            ]  # fmt: skip


FORMULA = ("=", "+", "-", "@")


def _text(value: str) -> str:
    """A stranger's text in a spreadsheet, where a leading =, +, - or @ would make it a formula."""
    return f"'{value}" if value.startswith(FORMULA) else value


def _plain(value: str) -> str:
    """What :func:`_text` was given."""
    return value[1:] if value.startswith("'") and value[1:].startswith(FORMULA) else value
