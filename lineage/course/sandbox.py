"""Where a stranger's code runs: a file system with Python and this package in it, no network, no privilege, nobody.

Bubblewrap builds it where it is installed, :mod:`lineage.course.namespaces` elsewhere, with Linux's namespaces;
:mod:`lineage.course.confine` then gives up what privilege is left. Where a system allows neither (macOS; most
containers) there is none: :func:`sandbox` tells, and nothing of a stranger's should be run.
"""

from __future__ import annotations

import functools
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

LARGEST_FILE = 2**28  # bytes
OWN_FILES, SHARED = 2**30, 2**26  # bytes of all files together, and of /dev/shm: both are in memory
MOST_OPEN = 1024  # files and sockets that a process has open
# What Python needs of the system besides itself. Of /etc as little as possible: whoever grades as root could read all.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix/store", "/sys/devices/system/cpu", "/sys/devices/system/node",
    "/etc/alternatives", "/etc/fonts", "/etc/group", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Of /proc besides the processes' own folders; the rest is about, or sets, the whole machine.
PROC = {
    "cpuinfo", "filesystems", "loadavg", "meminfo", "mounts", "net", "self", "stat", "thread-self", "uptime", "version",
}  # fmt: skip
PACKAGES = ("site-packages", "dist-packages")
FIRST_USER, USERS = 61184, 4336  # systemd keeps these numbers for users that come and go: no file is theirs


def sandboxed(command: Sequence[str], folder: Path, kind: str | None) -> list[str]:
    """The command that runs another in a sandbox; see :func:`lineage.course.watch.kill` for its end.

    Args:
        folder: an empty one, the only one that the other can write to, and where it starts. What it writes there is
            in memory, and gone with it.
        kind: of :func:`sandbox`; None runs the command as it is.
    """
    return [*KINDS[kind](folder.resolve()), *command] if kind else list(command)


@functools.cache
def sandbox() -> str | None:
    """The kind of sandbox that works for this user on this system, the better kept first."""
    return next((kind for kind in KINDS if why_not(kind) is None), None)


@functools.cache
def why_not(kind: str) -> str | None:
    """What hinders a kind of sandbox here; None if it works."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            tried = subprocess.run(
                sandboxed([sys.executable, "-c", "import lineage"], Path(folder), kind), capture_output=True, text=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            return f"there is no {error.filename}"
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
    last = [f"exit status {tried.returncode}", *tried.stderr.strip().splitlines()][-1]
    return None if tried.returncode == 0 else last


def limit(memory: int) -> None:
    """Let this process, and each that it starts, have no more than so many bytes of data."""
    lower("DATA", memory)
    lower("FSIZE", LARGEST_FILE)
    lower("NOFILE", MOST_OPEN)
    lower("CORE", 1)  # not 0: a system's own program that takes core dumps is still called then


def lower(limit: str, most: int) -> None:
    """Set one of the resource module's limits, for good, unless it is lower."""
    which = getattr(resource, f"RLIMIT_{limit}")
    hard = resource.getrlimit(which)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


def user() -> int:
    """Who the stranger's code is: for root a user of its own, else nobody can be but oneself."""
    return FIRST_USER + os.getpid() % USERS if os.geteuid() == 0 else os.geteuid()


def shown() -> tuple[dict[Path, Path], list[Path]]:
    """Of the file system: links and where they lead, and the folders and files to show; none is inside another.

    The system's folders, Python's, installed packages, and this one. What else ``sys.path`` has may hold anything: the
    folder with a checkout of this package the solutions, the folder where ``grade`` was called the submissions.
    """
    package = Path(__file__).resolve().parents[1]
    wanted = [path for name in SYSTEM if os.path.lexists(path := Path(name))]
    wanted += [Path(sys.prefix), Path(sys.base_prefix), package]
    wanted += [path for path in map(Path, sys.path) if path.name in PACKAGES and path.is_dir()]
    links: dict[Path, Path] = {}
    found = {_followed(path, links) for path in wanted}
    return links, sorted(path for path in found if not found & {*path.parents})


def _followed(path: Path, links: dict[Path, Path]) -> Path:
    """Where ``path`` leads; the links on the way are added to those known."""
    for part in [*reversed(path.parents), path]:
        if part.is_symlink():
            links[part] = part.readlink()
            return _followed(Path(os.path.normpath(part.parent / part.readlink() / path.relative_to(part))), links)
    return path


def showing(path: Path) -> Path | None:
    """Which of the folders that a sandbox shows has ``path`` in it, so that a stranger could read it there."""
    path = path.resolve()
    return next((top for top in shown()[1] if top in (path, *path.parents)), None)


def hidden(proc: Path) -> list[Path]:
    """Of /proc, mounted there: what a sandbox covers."""
    return [path for path in proc.iterdir() if not path.name.isdigit() and path.name not in PROC]


def _namespaces(folder: Path) -> list[str]:
    # Root needs no namespace of users, and is better off without: in one, its own number would be the stranger's.
    users, who = ([], user()) if os.geteuid() == 0 else (["--user", "--map-root-user"], 0)
    return [
        "unshare", *users, "--net", "--ipc", "--uts", "--cgroup", "--mount", "--pid", "--fork", "--kill-child",
        sys.executable, "-m", "lineage.course.namespaces", str(folder), str(who),
    ]  # fmt: skip


def _bubblewrap(folder: Path) -> list[str]:
    links, paths = shown()
    arguments = ["--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-pid"]
    arguments += ["--die-with-parent", "--new-session", "--as-pid-1"]
    links = {path: target for path, target in links.items() if not any(parent in paths for parent in path.parents)}
    above = {parent for path in (*paths, *links, Path("/dev/shm"), folder) for parent in path.parents[:-1]}
    for path in sorted(above):
        arguments += ["--perms", "755", "--dir", str(path)]
    for path in paths:
        arguments += ["--ro-bind", str(path), str(path)]
    for path, target in links.items():
        arguments += ["--symlink", str(target), str(path)]
    for name in DEVICES:
        arguments += ["--dev-bind", name, name]
    arguments += ["--proc", "/proc"]
    for path in hidden(Path("/proc")):
        folders = ["--tmpfs", str(path), "--remount-ro", str(path)]
        arguments += folders if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]
    for place, size in (("/dev/shm", SHARED), (str(folder), OWN_FILES)):
        arguments += ["--perms", "1777", "--size", str(size), "--tmpfs", place]
    arguments += ["--remount-ro", "/", "--chdir", str(folder)]
    return ["bwrap", *arguments, "--", sys.executable, "-m", "lineage.course.confine", str(user())]


KINDS = {"bubblewrap": _bubblewrap, "namespaces": _namespaces}
