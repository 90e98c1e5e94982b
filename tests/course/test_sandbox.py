"""What runs in a sandbox sees Python and the package, writes to its own folder, and has no more than it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from boxed import CASES, CHECKOUT, inside, run, whole
from coursework import SOURCE

from lineage.course import worker
from lineage.course.sandbox import KINDS, LARGEST_FILE, why_not

each_kind = pytest.mark.parametrize(("kind", "who"), CASES)


@each_kind
def test_of_the_checkout_only_the_package_is_there(kind, who):
    if Path(sys.prefix) in (CHECKOUT, *CHECKOUT.parents):
        pytest.skip("the package is installed among Python's own")
    said = whole(f"found = [os.listdir({str(CHECKOUT)!r}), os.listdir(os.path.dirname(os.getcwd()))]", kind, who)
    assert said["found"] == [["lineage"], [Path(said["folder"]).name]]


@each_kind
def test_only_its_folder_can_be_written_and_nothing_stays(kind, who):
    places = ["/x", "/usr/x", str(CHECKOUT / "lineage" / "x"), "/tmp/x", "/etc/x", "/dev/x", "here", "/dev/shm/x"]
    code = f"""
found = []
for place in {places}:
    try:
        open(place, "w").close()
        found.append(place)
    except OSError:
        pass
"""
    said = whole(code, kind, who)
    assert said["found"] == ["here", "/dev/shm/x"] and said["left"] == []
    assert not os.path.exists("/dev/shm/x")


@each_kind
def test_its_files_have_a_limit_together(kind, who):
    code = """
try:
    for i in range(9):
        with open(str(i), "wb") as file:
            for _ in range(16):
                file.write(bytes(2**24))
except OSError as error:
    found = [i, error.strerror]
"""
    assert inside(code, kind, who) == [4, "No space left on device"]


@each_kind
def test_packages_can_still_be_imported(kind, who):
    code = "import torch, nbclient, lineage.common.boxes\nfound = torch.ones(2).sum().item()"
    assert inside(code, kind, who) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_cannot_look_at_what_runs_it(kind, monkeypatch):
    """Another process of the same user, which has the hidden tests, and where the result goes."""
    if why_not(kind):
        pytest.skip(f"{kind}: {why_not(kind)}")
    monkeypatch.setenv("TOKEN", "secret")
    code = """
import json, os
tried = []
for name in ("mem", "maps", "environ", "fd/0", "fd/3", "root/etc", "cwd/x"):
    try:
        open(f"/proc/1/{name}", "rb")
        tried.append(name)
    except PermissionError:
        pass
try:
    os.listdir("/proc/1/fd")
except PermissionError:
    tried.append("closed")
print(json.dumps([tried, "TOKEN" in os.environ, open("/proc/1/comm").read().strip() != "", os.getpid() == 1]))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    worker.run_apart(notebook, {"seconds": 60, "seconds_a_cell": 60, "memory": 2**31, "sandbox": kind})
    assert json.loads(notebook.cells[0].outputs[0].text) == [["closed"], False, True, False]


def test_limits_of_each_process():
    code = """
import resource, sys
from lineage.course.sandbox import limit
limit(2**31)
print(*(resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in ("DATA", "FSIZE", "NOFILE")))
bytearray(2**31)
"""
    done = run(["-c", code], "root" if os.geteuid() == 0 else "user")
    data, size, files = map(int, done.stdout.split())
    assert data <= 2**31 and size <= LARGEST_FILE and files <= 1024
    assert "MemoryError" in done.stderr


def test_root_does_not_grade_where_no_sandbox_works(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can be root")
    (tmp_path / "bin").mkdir()  # no unshare, no bwrap
    done = subprocess.run(
        [sys.executable, "-m", "lineage.course", "grade", str(tmp_path), "--source", str(SOURCE)],
        capture_output=True, text=True, env={**os.environ, "PATH": str(tmp_path / "bin"), "COLUMNS": "500"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "this is root, and no sandbox works here (bubblewrap: there is no bwrap; namespaces:" in done.stdout
