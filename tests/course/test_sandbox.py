"""What runs in a sandbox sees Python and the package, writes to its own folder, and has no more than it is given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from boxed import CASES, CHECKOUT, USER, WHO, inside, run, run_cells, whole
from coursework import SOURCE

from lineage.course.grade import grade
from lineage.course.sandbox import LARGEST_FILE, sandbox

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


@each_kind
def test_a_notebook_cannot_look_at_what_runs_it_or_at_cells_to_come(kind, who):
    """Another process of the same user has them, and where the result goes."""
    code = """
import json, os
tried = []
for name in ("mem", "maps", "environ", *(f"fd/{number}" for number in range(9)), "root/etc", "cwd/x"):
    try:
        open(f"/proc/1/{name}", "rb")
        tried.append(name)
    except PermissionError:
        pass
places = [f"/proc/{one}/{name}" for one in os.listdir("/proc") if one.isdigit() for name in ("cmdline", "environ")]
places += [f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd")]
for home in (os.getcwd(), "/dev/shm"):
    places += [os.path.join(top, one) for top, _, files in os.walk(home) for one in files]
read = {}
for place in places:
    if os.path.isfile(place):
        try:
            with open(place, "rb") as file:
                read[place] = file.read()
        except OSError:
            pass
told = [place for place, text in read.items() if b"to" + b"-come" in text]
print(json.dumps([tried, told, len(read) > 3, "TOKEN" in os.environ, os.getpid() == 1]))
"""
    _, (found, _) = run_cells([code, "'to-come'"], kind, who)
    assert json.loads(found) == [[], [], True, False, False]


@each_kind
def test_a_sandbox_ends_with_who_has_started_it(kind, who):
    """Also where that one is killed, and can clear nothing up."""
    mark = f"5678{CASES.index((kind, who))}.{os.getpid()}"  # seconds
    killer = f"""
import os, psutil, threading, time
def wait():
    while not any("{mark}" in (one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])): time.sleep(0.1)
    os.kill(os.getpid(), 9)
threading.Thread(target=wait, daemon=True).start()
"""
    status, _ = run_cells([f"import subprocess\nsubprocess.run(['sleep', '{mark}'])"], kind, who, killer)
    assert status == -signal.SIGKILL
    for _ in range(60):
        there = subprocess.run(["ps", "ax", "-o", "ppid,etimes,stat,args"], capture_output=True, text=True).stdout
        if mark not in there:
            return
        time.sleep(1)
    raise AssertionError(next(line for line in there.splitlines() if mark in line))


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


# Programs are looked for in PATH; who is confined is refused any namespace, as by a system that forbids them.
NOTHING = "import os, sys; os.environ['PATH'] = '/nowhere'; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
WITHOUT = {
    "nothing installed": (["-c", NOTHING], "bubblewrap: there is no bwrap; namespaces: there is no unshare"),
    "namespaces forbidden": (
        ["-m", "lineage.course.confine", str(USER if os.geteuid() == 0 else os.geteuid()), sys.executable],
        "namespaces: unshare: unshare failed: Operation not permitted",
    ),
}


@pytest.mark.parametrize("words", WITHOUT)
@pytest.mark.parametrize("who", WHO)
def test_without_a_sandbox_nobody_grades_but_who_says_so_and_is_not_root(words, who):
    if (words, who) == ("namespaces forbidden", "root"):
        pytest.skip("root that is confined is another user")
    before, reason = WITHOUT[words]
    command = [*before, "-m", "lineage.course", "grade", "/nowhere", "--source", str(SOURCE)]
    done = run(command, who)
    said = " ".join(done.stdout.split())
    assert done.returncode == 1 and "error: no sandbox works here (" in said and reason in said, done.stderr
    done = run([*command, "--unprotected"], who)
    said = " ".join(done.stdout.split())
    assert done.returncode == 1 and ("error: /nowhere" in said) == (who == "user"), said
    assert ("root does not grade without one" in said) == (who == "root")


def test_nothing_of_a_class_lies_where_submissions_can_look(tmp_path):
    if sandbox() is None:
        pytest.skip("there is no sandbox")
    inside_package = CHECKOUT / "lineage" / "graded"
    for places in (
        [inside_package, tmp_path, tmp_path],
        [SOURCE, inside_package, tmp_path],
        [SOURCE, tmp_path, inside_package],
    ):
        with pytest.raises(ValueError, match="lineage/graded: submissions could read what is there"):
            grade(*places)
    assert not inside_package.exists()
