"""What students get."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from coursework import PATHS, SOURCE, course


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    out = tmp_path_factory.mktemp("course") / "release"
    done = course("release", "--source", SOURCE, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"written: {out / path.stem / path.name}" for path in PATHS]
    return out


def cells_of(path):
    return {c["metadata"]["nbgrader"]["grade_id"]: "".join(c["source"]) for c in json.loads(path.read_text())["cells"]}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_students_get_stubs_and_shown_tests_and_nothing_else(path, released):
    ours, theirs = cells_of(path), cells_of(released / path.stem / path.name)
    assert ours.keys() == theirs.keys()
    for name, source in ours.items():
        if "### BEGIN SOLUTION" in source:
            assert "YOUR" in theirs[name]
        elif "### BEGIN HIDDEN TESTS" in source:
            assert theirs[name].strip() == source.split("### BEGIN HIDDEN TESTS")[0].strip()
        else:
            assert theirs[name] == source
    text = (released / path.stem / path.name).read_text()
    assert "SOLUTION" not in text and "HIDDEN" not in text
    assert all(source.strip() for source in theirs.values())
    assert sorted(p.name for p in (released / path.stem).iterdir()) == [path.name]


def test_a_venv_that_is_not_activated_is_enough(tmp_path, monkeypatch):
    """nbgrader calls a program of its own, which is beside Python."""
    shutil.copytree(PATHS[0].parent, tmp_path / "source" / PATHS[0].stem)
    kept = [path for path in os.environ["PATH"].split(os.pathsep) if shutil.which("alembic", path=path) is None]
    monkeypatch.setenv("PATH", os.pathsep.join(kept))
    done = course("release", "--source", tmp_path / "source", "--out", tmp_path / "release")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_release_is_replaced_as_a_whole(released):
    name = PATHS[0].stem
    edited = released / name / f"{name}.ipynb"
    before = cells_of(edited)
    edited.write_text("edited")
    (released / name / "more.txt").write_text("more")
    assert course("release", "--source", SOURCE, "--out", released).returncode == 0
    assert cells_of(edited) == before
    assert not (released / name / "more.txt").exists()


def test_no_assignment_and_a_broken_one_are_one_clear_message(tmp_path):
    done = course("release", "--source", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 1 and f"error: {tmp_path}: has no assignment" in " ".join(done.stdout.split())
    broken = tmp_path / "A0" / "A0.ipynb"
    broken.parent.mkdir()
    broken.write_text("{not json")
    done = course("release", "--source", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 1 and "A0: nbgrader cannot release it" in " ".join(done.stdout.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", [".", "A1_boxes", "A1_boxes/release", "..", "../.."])
def test_a_release_never_takes_its_sources_place(tmp_path, out):
    source = tmp_path / "A1_boxes" / "A1_boxes"  # so that "../.." has a folder of the assignment's name, too
    shutil.copytree(PATHS[0].parent, source / PATHS[0].stem)
    notebook = source / PATHS[0].stem / PATHS[0].name
    before = notebook.read_bytes()
    done = course("release", "--source", source, "--out", source / out)
    assert done.returncode == 1 and "would take the place of its own source" in done.stdout
    assert notebook.read_bytes() == before


def test_the_package_that_is_installed_has_no_solutions():
    package = SOURCE.parents[2] / "lineage"
    assert not [path for path in package.rglob("*") if path.suffix == ".ipynb"]
    assert not [path for path in package.rglob("*.py") if "BEGIN SOLUTION" in path.read_text(encoding="utf-8")]
