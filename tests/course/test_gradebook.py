"""What a person gives in written.csv is kept, whatever a spreadsheet or a student makes of it."""

from __future__ import annotations

import csv
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.course import gradebook
from lineage.course.gradebook import Graded, record_path, write_tables
from lineage.course.report import write_report


def record(out, student="ada", answer="Because.", **changes):
    fields = {
        "points": {"iou": 3.0, "why": None}, "most": {"iou": 3.0, "why": 2.0}, "failures": {},
        "answers": {"why": answer}, "remarks": [], "digest": "x",
    }  # fmt: skip
    path = record_path(out, student, "A1")
    path.parent.mkdir(parents=True, exist_ok=True)
    Graded(student=student, assignment="A1", **{**fields, **changes}).write(path)


def lines(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def give(out, points, comment="", encoding="utf-8-sig"):
    """What a person does with a spreadsheet."""
    table = lines(out / "written.csv")
    for line in table:
        line["points"], line["comment"] = points, comment
    with (out / "written.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, gradebook.WRITTEN_COLUMNS)
        writer.writeheader()
        writer.writerows(table)


@pytest.mark.parametrize(
    "answer",
    ["Because.", "x" * 200_000, "'=' is my answer", "=1+1", "''", "- 1\n- 2", "\t=cmd()", "Zürich “quoted”", "a;b,c"],
)
def test_points_stay_with_their_answer(tmp_path, answer):
    record(tmp_path, answer=answer)
    write_tables(tmp_path)
    assert not lines(tmp_path / "written.csv")[0]["answer"].lstrip().startswith(gradebook.FORMULA)
    give(tmp_path, "1,5", "half of it")
    for _ in range(2):
        (one,) = write_tables(tmp_path)
        assert one.points["why"] == 1.5 and one.comments["why"] == "half of it" and one.total == 4.5
    assert not (tmp_path / "outdated.csv").exists()


@given(st.text())
def test_quoting_is_undone(text):
    assert gradebook._plain(gradebook._text(text)) == text


def test_points_of_an_answer_that_has_changed_are_kept_apart(tmp_path, caplog):
    for number, answer in enumerate(("First.", "Second.", "Third.")):
        record(tmp_path, answer=answer)
        (one,) = write_tables(tmp_path)
        assert one.to_read == ["why"]
        assert len(caplog.messages) == number
        give(tmp_path, number, f"{answer} well")
    assert "outdated.csv" in caplog.messages[-1]
    kept = [(line["answer"], line["points"], line["comment"]) for line in lines(tmp_path / "outdated.csv")]
    assert kept == [("First.", "0", "First. well"), ("Second.", "1", "Second. well")]


def test_a_file_in_another_encoding_is_refused_by_name_and_left_alone(tmp_path):
    record(tmp_path, answer="Zürich")
    write_tables(tmp_path)
    give(tmp_path, "1", encoding="cp1252")
    before = (tmp_path / "written.csv").read_bytes()
    with pytest.raises(ValueError, match=r"written\.csv: not in UTF-8; save it as CSV UTF-8"):
        write_tables(tmp_path)
    assert (tmp_path / "written.csv").read_bytes() == before


def test_no_more_points_than_there_are_now(tmp_path):
    record(tmp_path)
    write_tables(tmp_path)
    give(tmp_path, "2")
    record(tmp_path, most={"iou": 3.0, "why": 1.0})
    (one,) = write_tables(tmp_path)
    assert one.points["why"] == 1


def test_a_report_of_two_versions_of_an_assignment(tmp_path):
    record(tmp_path)
    more = {"points": {"iou": 0.0, "more": 1.0, "none": 0.0}, "most": {"iou": 3.0, "more": 2.0, "none": 0.0}}
    record(tmp_path, "bo", failures={"iou": "no"}, answers={}, **more)
    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = " ".join(re.sub("<[^>]*>", " ", page).split())
    for row in ("iou 3 50 %", "why 2 not read", "more 2 50 %", "none 0 0 %"):
        assert row in text
