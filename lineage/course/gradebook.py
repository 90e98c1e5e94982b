"""What grading leaves behind: a record a submission, and the tables and pages made from all of them.

gradebook.csv             a line a student: points by assignment
tests.csv                 a line a graded cell: points, and why there are none
written.csv               the answers that a person reads: fill in ``points`` and ``comment``
feedback/STUDENT/...html  what the student gets
records/STUDENT/...json   all of it for one submission, but for what a person gave
outdated.csv              lines of written.csv whose answers have changed since a person read them
"""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lineage.common.checkpoint import write_atomically
from lineage.common.values import from_dict

LONGEST_ANSWER = 2**26  # characters; more than any notebook that is read
csv.field_size_limit(LONGEST_ANSWER)
WRITTEN_COLUMNS = ("student", "assignment", "cell", "most", "points", "comment", "answer")

log = logging.getLogger(__name__)


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
            return from_dict(Graded, json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
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


def read_written(path: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The lines of ``written.csv`` by student, assignment and cell.

    Raises:
        ValueError: no UTF-8, a column is missing, or points are no number from 0 to the most; names the line.
    """
    if not path.is_file():
        return {}
    lines = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            if missing := set(WRITTEN_COLUMNS) - set(reader.fieldnames or ()):
                raise ValueError(f"no column {', '.join(sorted(missing))}")
            for row in reader:
                line: dict[str, Any] = {name: _plain(row[name] or "") for name in WRITTEN_COLUMNS}
                line["points"] = _number(line)
                lines[line["student"], line["assignment"], line["cell"]] = line
        except UnicodeDecodeError:
            raise ValueError(f"{path}: not in UTF-8; save it as CSV UTF-8") from None
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}: line {reader.line_num}, {error}") from None
    return lines


def _number(line: dict[str, Any]) -> float | None:
    given = line["points"].strip()
    try:
        points = float(given.replace(",", ".")) if given else None
        possible = points is None or 0 <= points <= float(line["most"])
    except ValueError:
        possible = False
    if not possible:
        place = f"points of {line['student']} for {line['cell']}"
        raise ValueError(f"{place}: {given!r} is no number from 0 to {line['most']}")
    return points


def with_written(
    results: Iterable[Graded], lines: dict[tuple[str, str, str], dict[str, Any]]
) -> tuple[list[Graded], list[dict[str, Any]]]:
    """The results with a person's points and comments, and the lines of which the answer is not there any more."""
    merged, used = [], set()
    for one in results:
        points, comments = dict(one.points), dict(one.comments)
        for cell in one.to_read:
            line = lines.get(key := (one.student, one.assignment, cell))
            if line is not None and _same_text(line["answer"], one.answers.get(cell, "")):
                given = line["points"]
                points[cell], comments[cell] = None if given is None else min(given, one.most[cell]), line["comment"]
                used.add(key)
        merged.append(replace(one, points=points, comments=comments))
    unused = [line for key, line in lines.items() if key not in used]
    return merged, [line for line in unused if line["points"] is not None or line["comment"].strip()]


def _same_text(a: str, b: str) -> bool:
    return a.split() == b.split()  # spreadsheets change the ends of lines


def write_tables(out: Path) -> list[Graded]:
    """Write the tables of all that has been graded below ``out``, in this run or before; the results.

    Points that a person gave are taken from ``written.csv``. Where the answer has changed since, they do not count, but
    move to ``outdated.csv``.

    Raises:
        ValueError: nothing has been graded, a record is damaged, or ``written.csv`` has points that cannot be.
    """
    paths = sorted((out / "records").glob("*/*.json"))
    if not paths:
        raise ValueError(f"{out}: nothing has been graded here; python -m lineage.course grade comes first")
    written, outdated = out / "written.csv", out / "outdated.csv"
    results, lost = with_written([Graded.read(path) for path in paths], read_written(written))
    if lost:
        rows = [[_text(_shown(line[name])) for name in WRITTEN_COLUMNS] for line in lost]
        _write_csv(outdated, [*(_read_csv(outdated) or [WRITTEN_COLUMNS]), *rows])
        log.warning("%d answers have changed since they were read; their points are in %s", len(lost), outdated)
    for path, table in ((out / "gradebook.csv", _gradebook), (out / "tests.csv", _tests), (written, _written)):
        _write_csv(path, list(table(results)))
    return results


def _read_csv(path: Path) -> list[Sequence[Any]]:
    """Its lines; none of a file that is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def _write_csv(path: Path, lines: list[Sequence[Any]]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8-sig") as file:  # the mark tells spreadsheets what it is
            csv.writer(file).writerows(lines)

    write_atomically(path, write)


def _shown(value: str | float | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:g}"


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
            yield [_text(one.student), one.assignment, cell, _shown(points), _shown(one.most[cell]), _text(why)]


def _written(results: Sequence[Graded]) -> Iterable[Sequence[Any]]:
    yield WRITTEN_COLUMNS
    for one in results:
        for cell, answer in one.answers.items():
            yield [
                _text(one.student), one.assignment, cell, _shown(one.most[cell]), _shown(one.points[cell]),
                _text(one.comments.get(cell, "")), _text(answer),
            ]  # fmt: skip


FORMULA = ("=", "+", "-", "@")


def _text(value: str) -> str:
    """A stranger's text in a spreadsheet, where a leading =, +, - or @ would make it a formula."""
    return f"'{value}" if _needs_quote(value) else value


def _plain(value: str) -> str:
    """What :func:`_text` was given."""
    return value[1:] if value.startswith("'") and _needs_quote(value[1:]) else value


def _needs_quote(value: str) -> bool:
    return value.startswith("'") or value.lstrip().startswith(FORMULA)
