"""Code run in each kind of sandbox, as root and as an ordinary user, and what it has found."""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import lineage
from lineage.course.sandbox import KINDS

USER = 54321  # nobody
CHECKOUT = Path(lineage.__file__).parents[1]
WHO = ("root", "user")
CASES = [(kind, who) for kind in KINDS for who in WHO]
START = """
import json, os, subprocess, sys, tempfile
from pathlib import Path
from lineage.course.sandbox import sandboxed, why_not

kind, code = sys.argv[1:]
os.umask(0o077)  # somebody's may be as strict
if why_not(kind) is None:
    with tempfile.TemporaryDirectory() as folder:
        command = sandboxed([sys.executable, "-c", code], Path(folder), kind)
        done = subprocess.run(command, capture_output=True, text=True)
        left = [path.name for path in Path(folder).iterdir()]
    assert done.returncode == 0, done.stderr
    print(json.dumps({"folder": folder, "left": left, "found": json.loads(done.stdout)}))
else:
    print(json.dumps({"why not": why_not(kind)}))
"""
APART = """
import json, os, sys
import nbformat
from lineage.course import worker
from lineage.course.sandbox import why_not

kind, *cells = sys.argv[1:]
os.environ["TOKEN"] = "secret"
if why_not(kind) is None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    worker.run_apart(notebook, {"seconds": 120, "seconds_a_cell": 120, "memory": 2**31, "sandbox": kind})
    found = ["".join(out.get("text", str(out)) for out in cell.outputs) for cell in notebook.cells]
    print(json.dumps({"found": found}))
else:
    print(json.dumps({"why not": why_not(kind)}))
"""


def inside(code, kind, who):
    """What the code, run in the sandbox, has assigned to ``found``; skips the test where there is no such sandbox."""
    return whole(code, kind, who)["found"]


def whole(code, kind, who):
    """The same, with the path of its folder, and what was left there."""
    done = run(["-c", START, kind, f"import json, os\n{code}\nprint(json.dumps(found))"], who)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    if "why not" in said:
        pytest.skip(f"{kind}: {said['why not']}")
    return said


def run_cells(cells, kind, who, before=""):
    """The exit status of who runs a notebook like a submission, and what each cell has put out as text; may skip.

    Args:
        before: code that it runs first.
    """
    done = run(["-c", before + APART, kind, *cells], who)
    said = json.loads(done.stdout or "{}")
    if "why not" in said:
        pytest.skip(f"{kind}: {said['why not']}")
    assert said or done.returncode < 0, done.stderr
    return done.returncode, said.get("found")


def run(arguments, who):
    """Python with these arguments, as root or as an ordinary user."""
    if who == "root" and os.geteuid() != 0:
        pytest.skip("only root can be root")
    command = [sys.executable, *arguments]
    if who == "user" and os.geteuid() == 0:
        command = [*as_user(), *command]
    # In a folder of everybody's: a user may not be let into root's.
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "HOME": tempfile.gettempdir()}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tempfile.gettempdir())


@functools.cache
def as_user():
    """What root puts before a command so that an ordinary user runs it, who sees Python even if root's home has it.

    The mounts are in a namespace of their own, which ends with the command.
    """
    needed = {Path(sys.prefix), Path(sys.base_prefix), CHECKOUT}
    closed = {parent for path in needed for parent in (path, *path.parents) if not parent.stat().st_mode & 0o001}
    lines = ["set -e", "kept=$(mktemp -d)", "mount -t tmpfs none $kept"]
    for top in sorted(closed):
        below = [path for path in sorted(needed) if top in (path, *path.parents)]
        for number, path in enumerate(below):
            lines += [f"mkdir $kept/{number}", f"mount --bind {shlex.quote(str(path))} $kept/{number}"]
        lines += [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(top))}"]
        for number, path in enumerate(below):
            place = shlex.quote(str(path))
            lines += [f"mkdir -p {place}", f"mount --bind $kept/{number} {place}"]
        break  # the outermost one; what is inside it has been bound
    lines += ["umount -R $kept && rmdir $kept", f'exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"']
    command = ["unshare", "--mount", "sh", "-c", "\n".join(lines), "sh"]
    tried = subprocess.run([*command, sys.executable, "-c", "import lineage"], capture_output=True, text=True, cwd="/")
    if tried.returncode != 0:
        pytest.skip(f"root cannot run Python as an ordinary user here: {tried.stderr.strip()[-300:]}")
    return command
