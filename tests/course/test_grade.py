"""Submissions - right, wrong, hostile - are graded at once, and the gradebook says exactly what was planned."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import planned
import pytest
from coursework import SOURCE, course
from planned import NAME, NEED_ISOLATION, POINTS, Plan

from lineage.course.grade import grade
from lineage.course.release import release
from lineage.course.sandbox import sandbox

GRADE = ("grade", "--unprotected")  # which changes something only where no sandbox works
MARKER = f"98765.{os.getpid()}"  # seconds of a sleep that nobody else sleeps


def rows(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", autouse=True)
def may_grade():
    if sandbox() is None and os.geteuid() == 0:
        pytest.skip("root does not grade without a sandbox")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    out = tmp_path_factory.mktemp("course") / "release"
    release(SOURCE, out)
    return out / NAME / f"{NAME}.ipynb"


@pytest.fixture(scope="module")
def listening():
    """Somebody on this machine whom a submission could call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        yield server


@pytest.fixture(scope="module")
def everything(tmp_path_factory, released, listening):
    """All planned submissions, graded: (folder, what was said, plans by student)."""
    root = tmp_path_factory.mktemp("class")
    private = [SOURCE, SOURCE.parents[2] / "tests", SOURCE.parents[2] / ".git", root / "handed in", root / "graded"]
    private = list(map(str, private))
    plans = planned.plans(listening.getsockname()[1], MARKER, private)
    if sandbox() is None:
        plans = {student: plan for student, plan in plans.items() if student not in NEED_ISOLATION}
    for student, plan in plans.items():
        planned.hand_in(root / "handed in", released, student, plan)
    limits = ("--seconds", 180, "--seconds-a-cell", planned.SECONDS_A_CELL, "--memory", 3)
    done = course(*GRADE, root / "handed in", "--source", SOURCE, "--out", root / "graded", *limits)
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done.stdout, plans


def test_the_gradebook_is_exactly_as_planned(everything):
    root, said, plans = everything
    assert len(plans) >= 30
    found = rows(root / "graded" / "gradebook.csv")
    assert [row["student"] for row in found] == sorted(plans)
    for row in found:
        plan = plans[row["student"]]
        points = sum(most for name, most in POINTS.items() if name not in plan.fails)
        assert row[NAME] == row["total"] == str(points), row
        assert row["to read"] == str(int(plan.written)), row
        assert row["remarks"].startswith(f"{NAME}: {plan.remark}") if plan.remark else not row["remarks"], row
        assert row["student"] in said


def test_every_test_is_as_planned_and_says_why(everything):
    root, _, plans = everything
    found = rows(root / "graded" / "tests.csv")
    lost = {(row["student"], row["cell"]) for row in found if row["points"] == "0" and row["cell"] != "why"}
    assert lost == {(student, cell) for student, plan in plans.items() for cell in plan.fails}
    assert all(row["why"] for row in found if row["points"] == "0")
    by = {(row["student"], row["cell"]): row["why"] for row in found}
    assert "Two boxes apart share nothing" in by["no-clamping", "iou-apart"]
    assert by["ends-python", "hits-shown"] == "NotRun: Python ended in the cell nms"


def test_everybody_whose_notebook_could_be_run_has_a_page(everything):
    root, _, plans = everything
    pages = {path.parent.name: path for path in (root / "graded" / "feedback").glob(f"*/{NAME}.html")}
    assert pages.keys() == {student for student, plan in plans.items() if plan.page}
    text = pages["no-clamping"].read_text(encoding="utf-8")
    assert "Two boxes apart share nothing" in text and "torch.zeros(2, 4)" not in text  # hidden tests stay hidden
    for student in ("writes-a-script", "right-with-a-picture"):
        text = pages[student].read_text(encoding="utf-8")
        assert "steal()" in text and "<script>steal()" not in text
    assert "torch.zeros(2, 4)" not in pages["prints-the-tests"].read_text(encoding="utf-8")
    assert max(page.stat().st_size for page in pages.values()) < 2_000_000


def test_isolation(everything, listening):
    """Nobody called home, left a process, read or deleted others' work (the points say that they could not)."""
    root, _, plans = everything
    if sandbox() is None:
        pytest.skip("no sandbox works here")
    with pytest.raises(TimeoutError):
        listening.accept()
    assert MARKER not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout
    assert {path.name for path in (root / "handed in").iterdir()} == set(plans)
    assert (SOURCE / NAME / f"{NAME}.ipynb").is_file()


def test_a_person_reads_the_written_answers_and_the_report_adds_them_up(everything):
    root, _, plans = everything
    graded = root / "read"
    shutil.copytree(root / "graded", graded)
    with (graded / "written.csv").open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        lines, columns = list(reader), reader.fieldnames
    waiting = [line for line in lines if line["points"] == ""]
    assert {line["student"] for line in waiting} == {student for student, plan in plans.items() if plan.written}
    answers = {plan.changes.get("why", planned.RIGHT["why"]) for plan in plans.values() if plan.written}
    assert {line["answer"] for line in waiting} == answers
    for line in waiting[:2]:
        line["points"], line["comment"] = "1.5", "=and the second half?"
    with (graded / "written.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)
    for _ in range(2):  # nothing is lost by looking again
        done = course("report", graded)
        assert done.returncode == 0, done.stdout
        found = {row["student"]: row for row in rows(graded / "gradebook.csv")}
        for line in waiting:
            student = line["student"]
            automatic = sum(most for name, most in POINTS.items() if name not in plans[student].fails)
            read = line in waiting[:2]
            assert float(found[student]["total"]) == automatic + 1.5 * read
            assert found[student]["to read"] == str(int(not read))
    page = (graded / "feedback" / waiting[0]["student"] / "index.html").read_text(encoding="utf-8")
    assert "and the second half?" in page and f'href="{NAME}.html"' in page
    report = (graded / "report.html").read_text(encoding="utf-8")
    assert f"{NAME}: {len(plans)} handed in" in report and "iou-apart" in report


@pytest.mark.parametrize("given", ["3", "-1", "two", "nan"])
def test_points_that_cannot_be_name_the_line(everything, tmp_path, given):
    root, *_ = everything
    shutil.copytree(root / "graded", tmp_path / "graded")
    path = tmp_path / "graded" / "written.csv"
    path.write_text(path.read_text().replace(",why,2,,", f",why,2,{given},", 1))
    done = course("report", tmp_path / "graded")
    assert done.returncode == 1 and f"'{given}' is no number from 0 to 2" in done.stdout


def test_a_second_call_grades_what_changed_and_keeps_what_was_given(everything, released):
    root, *_ = everything
    first, second, kept = root / "first week", root / "second week", root / "kept"
    for student in ("right", "ties"):
        planned.hand_in(first, released, student, Plan())
    assert course(*GRADE, first, "--source", SOURCE, "--out", kept).returncode == 0
    written = (kept / "written.csv").read_text(encoding="utf-8")
    (kept / "written.csv").write_text(written.replace(",why,2,,", ",why,2,1,"), encoding="utf-8")
    times = {path.parent.name: path.stat().st_mtime_ns for path in (kept / "records").glob("*/*.json")}
    planned.hand_in(second, released, "late", Plan())  # others of the same class, handed in elsewhere
    (first / "ties" / f"{NAME}.ipynb").write_text("{not json")
    for folder in (second, first):
        assert course(*GRADE, folder, "--source", SOURCE, "--out", kept).returncode == 0
    after = {path.parent.name: path.stat().st_mtime_ns for path in (kept / "records").glob("*/*.json")}
    assert after["right"] == times["right"] and after["ties"] > times["ties"]
    assert not (kept / "feedback" / "ties" / f"{NAME}.html").exists()  # no page of an older notebook
    totals = {row["student"]: (row["total"], row["to read"]) for row in rows(kept / "gradebook.csv")}
    assert totals == {"late": ("38", "1"), "right": ("39", "0"), "ties": ("0", "0")}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_ends_at_once_keeps_what_is_done_and_leaves_nobody_behind(tmp_path, released, sent):
    """So does who kills it, but for the time that the others need to notice."""
    sleep = {"iou": f"import subprocess\nsubprocess.run(['sleep', '{MARKER}'])"}
    planned.hand_in(tmp_path / "in", released, "a-right", Plan())
    planned.hand_in(tmp_path / "in", released, "b-sleeps", Plan(sleep))
    places = [tmp_path / "in", "--source", SOURCE, "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "lineage.course", *GRADE, *places, "--jobs", "1"]
    own = {**os.environ, "TMPDIR": str(tmp_path)}  # what a kill leaves there is for the next call, not for the machine
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=own)
    try:
        while MARKER not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.2)
        process.send_signal(sent)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    if sent == signal.SIGINT:
        assert process.returncode == 130 and "the same command goes on from here" in said
    last = time.monotonic() + (60 if sent == signal.SIGKILL else 0)
    while MARKER in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout:
        assert time.monotonic() < last
        time.sleep(0.2)
    assert [path.parent.name for path in (tmp_path / "out" / "records").glob("*/*.json")] == ["a-right"]


def test_what_could_not_be_graded_is_tried_again_and_stops_nobody(tmp_path, released, monkeypatch):
    """A FIFO, a link and a folder in the place of notebooks; a machine on which nothing can be started."""
    for student in ("link", "right"):
        planned.hand_in(tmp_path / "in", released, student, Plan())
    link = tmp_path / "in" / "link" / f"{NAME}.ipynb"
    link.unlink()
    link.symlink_to(released)
    (tmp_path / "in" / "pipe").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe" / f"{NAME}.ipynb")
    (tmp_path / "in" / "folder" / f"{NAME}.ipynb").mkdir(parents=True)
    places = [tmp_path / "in", "--source", SOURCE, "--out", tmp_path / "out"]
    with monkeypatch.context() as broken:
        broken.setattr("lineage.course.grade.GRADING", -599)  # seconds left of twice 300: one
        results = grade(SOURCE, tmp_path / "in", tmp_path / "out", unprotected=True)
    assert {one.student: one.remarks for one in results} == {
        "link": ["a link to another file, not a notebook"], "right": ["could not be graded: took longer than 1 s"],
    }  # fmt: skip
    done = course(*GRADE, *places)
    assert done.returncode == 0 and f"pipe/{NAME}.ipynb" in done.stdout and f"folder/{NAME}.ipynb" in done.stdout
    totals = {row["student"]: row["total"] for row in rows(tmp_path / "out" / "gradebook.csv")}
    assert totals == {"link": "0", "right": "38"}


def test_nothing_to_grade_is_one_clear_message(tmp_path):
    done = course(*GRADE, tmp_path, "--source", SOURCE)
    assert done.returncode == 1 and f"error: {tmp_path}: no submission" in done.stdout
    done = course("report", tmp_path)
    assert done.returncode == 1 and f"error: {tmp_path}: nothing has been graded here" in done.stdout
