"""How a class did: tables for a terminal, a page for the instructor, a page of results for each student."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table as RichTable

from lineage.common.checkpoint import write_atomically
from lineage.common.tables import Table, drawn
from lineage.course.gradebook import Graded, write_tables

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0 2em; }
th, td { border-bottom: 1px solid #ccc; padding: .25em .8em; text-align: left; vertical-align: top; }
td.number { text-align: right; }
</style></head><body><h1>{{ title }}</h1>
{% for table in tables %}<h2>{{ table.title }}</h2>
{% if table.title in links -%}
<p><a href="{{ links[table.title] }}">your notebook, with what its tests said</a></p>
{%- endif %}
<table><tr>{% for name in table.header %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in table.rows %}<tr>{% for cell in row -%}
<td{% if cell[:1].isdigit() %} class="number"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}</body></html>
"""


def class_table(results: Sequence[Graded]) -> RichTable:
    """A row a student, for a terminal."""
    return drawn(_students(results))


def write_report(out: Path) -> list[RichTable]:
    """Take in ``written.csv``; write the tables again, ``report.html`` and a page a student; the report's tables.

    Raises:
        ValueError: nothing was graded there, or ``written.csv`` cannot be read.
    """
    results = write_tables(out)
    names = sorted({one.assignment for one in results})
    tables = [_students(results), *(_tests(name, [one for one in results if one.assignment == name]) for name in names)]
    _write_page(out / "report.html", "The class", tables)
    for student in sorted({one.student for one in results}):
        own = [one for one in results if one.student == student]
        pages = {_title(one): f"{one.assignment}.html" for one in own}
        there = {title: page for title, page in pages.items() if (out / "feedback" / student / page).is_file()}
        _write_page(out / "feedback" / student / "index.html", student, [_own(one) for one in own], there)
    return [drawn(table) for table in tables]


def _students(results: Sequence[Graded]) -> Table:
    names = sorted({one.assignment for one in results})
    rows = []
    for student in sorted({one.student for one in results}):
        own = {one.assignment: one for one in results if one.student == student}
        points = [_of(own[name]) if name in own else "-" for name in names]
        to_read = sum(len(one.to_read) for one in own.values())
        remarks = "; ".join(remark for one in own.values() for remark in one.remarks)
        rows.append((student, *points, str(to_read) if to_read else "-", remarks))
    return Table("Points", ("student", *names, "answers to read", "remarks"), rows)


def _tests(name: str, results: Sequence[Graded]) -> Table:
    """Which tests cost a class its points, and with which words."""
    totals = [one.total for one in results]
    title = (
        f"{name}: {len(results)} handed in, mean {statistics.fmean(totals):.1f}, median {statistics.median(totals):g}"
    )
    rows = []
    for cell in dict.fromkeys(cell for one in results for cell in one.most):  # of all versions of the assignment
        had = [one for one in results if cell in one.most]
        shares = [given / (one.most[cell] or 1) for one in had if (given := one.points[cell]) is not None]
        words = Counter(one.failures[cell] for one in had if cell in one.failures).most_common(1)
        share = f"{100 * statistics.fmean(shares):.0f} %" if shares else "not read"
        rows.append((cell, f"{had[-1].most[cell]:g}", share, f"{words[0][1]} x {words[0][0]}" if words else ""))
    return Table(title, ("cell", "points", "of them reached", "most frequent failure"), rows)


def _own(one: Graded) -> Table:
    rows = [
        (cell, "not read yet" if points is None else f"{points:g}", f"{one.most[cell]:g}",
         one.comments.get(cell) or one.failures.get(cell, ""))
        for cell, points in one.points.items()
    ]  # fmt: skip
    rows += [("", "", "", remark) for remark in one.remarks]
    return Table(_title(one), ("cell", "points", "of", "why"), rows)


def _title(one: Graded) -> str:
    return f"{one.assignment}: {_of(one)} points"


def _of(one: Graded) -> str:
    return f"{one.total:g} of {sum(one.most.values()):g}"


def _write_page(path: Path, title: str, tables: Sequence[Table], links: dict[str, str] | None = None) -> None:
    from jinja2 import Environment

    page = Environment(autoescape=True).from_string(PAGE).render(title=title, tables=tables, links=links or {})
    write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
