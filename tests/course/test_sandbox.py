"""What runs in the sandbox sees Python and the package, writes to its own folder, and has no more than it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lineage
from lineage.course.sandbox import isolated, isolates

pytestmark = pytest.mark.skipif(not isolates(), reason="this system has no namespaces for users (unshare)")
ENTER = """
import json, os, pathlib, subprocess, sys
from lineage.course.sandbox import enter
enter(pathlib.Path(sys.argv[1]), 2**31)
"""


def inside(folder, code):
    """What the code, run in the sandbox, has assigned to ``found``."""
    command, environment = isolated([sys.executable, "-c", f"{ENTER}{code}\nprint(json.dumps(found))", str(folder)])
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def child(code):
    """The same in a process that it starts: that one has no privilege left."""
    return f"found = subprocess.run([sys.executable, '-c', {code!r}], capture_output=True, text=True).stdout"


def test_of_the_checkout_only_the_package_is_there(tmp_path):
    checkout = Path(lineage.__file__).parents[1]
    if checkout == Path(sys.prefix) or Path(sys.prefix) in checkout.parents:
        pytest.skip("the package is installed among Python's own")
    found = inside(tmp_path, f"found = [os.listdir({str(checkout)!r}), os.listdir({str(tmp_path.parent)!r})]")
    assert found == [["lineage"], [tmp_path.name]]


def test_no_files_of_others(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    (tmp_path / "own").mkdir()
    places = [str(secret), "/etc/shadow", "/run", str(Path.home() / ".ssh"), f"/proc/{os.getpid()}"]
    assert inside(tmp_path / "own", f"found = [os.path.exists(place) for place in {places}]") == [False] * 5


def test_only_its_folder_can_be_written_and_nothing_stays(tmp_path):
    places = ["/x", "/usr/x", str(Path(lineage.__file__).parent / "x"), "/tmp/x", "/etc/x", "here"]
    code = f"""
import os
for place in {places}:
    try:
        open(place, "w").close()
        print(place)
    except OSError:
        pass
"""
    assert inside(tmp_path, child(code)).split() == ["here"]
    assert list(tmp_path.iterdir()) == []


def test_its_files_have_a_limit_together(tmp_path):
    code = """
try:
    for i in range(9):
        open(str(i), "wb").write(bytes(2**28 - 1))
except OSError as error:
    print(i, error.strerror)
"""
    assert inside(tmp_path, child(code)) == "4 No space left on device\n"


def test_a_process_that_it_starts_has_no_privilege(tmp_path):
    code = "import os\nprint(open('/proc/self/status').read())\nos.chroot('.')"
    said = inside(tmp_path, child(code))
    assert "CapPrm:\t0000000000000000" in said and "CapBnd:\t0000000000000000" in said


def test_packages_can_still_be_imported(tmp_path):
    assert (
        inside(tmp_path, child("import torch, nbclient, lineage.common.boxes\nprint(torch.ones(2).sum())"))
        == "tensor(2.)\n"
    )
