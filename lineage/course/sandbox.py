"""Where a stranger's code runs: a file system with Python and this package in it, no network, limited memory.

Linux's namespaces do it, through ``unshare`` and without any privilege of one's own. Where a system has none of them
(macOS; some containers), only the limits of memory and time hold: :func:`isolates` tells.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ISOLATED = "LINEAGE_ISOLATED"  # set for a process that runs in namespaces of its own
# linux/mount.h, linux/prctl.h, linux/if.h
MS_BIND, MS_REC = 0x1000, 0x4000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 0x1
PR_CAPBSET_DROP, LAST_CAPABILITY = 24, 40
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
LARGEST_FILE = 2**28  # bytes
OWN_FILES = "size=1g"  # of all files together, in memory
# What Python needs of the system besides itself. Of /etc as little as possible: whoever grades as root could read all.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix/store", "/sys/devices/system",
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
    "/etc/alternatives", "/etc/fonts", "/etc/group", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd",
)  # fmt: skip


@functools.cache
def isolates() -> bool:
    """Whether this system lets a user isolate a process."""
    if shutil.which("unshare") is None:
        return False
    code = f"import sys, pathlib; from {__name__} import enter; enter(pathlib.Path(sys.argv[1]), 2**30)"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(
            [*_unshare(), sys.executable, "-c", code, folder], env={**os.environ, ISOLATED: "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    return tried.returncode == 0


def isolated(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command that starts another in namespaces of its own, and what its environment needs.

    The other one must begin with :func:`enter`. Killing it kills everything that it has started.
    """
    return [*_unshare(), *command], {ISOLATED: "1"}


def _unshare() -> list[str]:
    return ["unshare", "--user", "--map-root-user", "--net", "--ipc", "--mount", "--pid", "--fork", "--kill-child"]


def enter(folder: Path, memory: int) -> None:
    """Give up what the code that is now going to run shall not have, and go to its folder.

    Args:
        folder: the only one that it can write to; what it writes there is in memory, and gone with it.
        memory: bytes of data a process.
    Raises:
        OSError: the system refuses it.
    """
    for limit, most in (
        (resource.RLIMIT_DATA, memory), (resource.RLIMIT_FSIZE, LARGEST_FILE), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        hard = resource.getrlimit(limit)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    folder = folder.resolve()
    if ISOLATED in os.environ:
        _enter_root(folder)
        # A kernel talks through the loopback; in a network of its own nobody else is there.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        # Whatever is started from here on cannot undo this.
        for capability in range(LAST_CAPABILITY + 1):
            _libc().prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.chdir(folder)


def _enter_root(folder: Path) -> None:
    """Make ``folder`` a root with nothing in it but what is needed to run Python, and a folder of the same name."""
    needed = list(_needed())  # looked up while all is still there
    _mount("none", folder, "tmpfs", data="size=16m")  # for folders and links
    for path in sorted(needed, key=lambda path: len(path.parts)):
        _show(path, folder)
    (folder / "proc").mkdir()
    try:
        _mount("none", folder / "proc", "proc")
    except OSError:  # some containers mask parts of it, and then allow no other
        _mount("/proc", folder / "proc", flags=MS_BIND | MS_REC)
    for own, size in ((Path("/dev/shm"), "size=64m"), (folder, OWN_FILES)):
        inside = _inside(folder, own)
        inside.mkdir(parents=True, exist_ok=True)
        _mount("none", inside, "tmpfs", data=size)
    _set_read_only(folder)
    os.chroot(folder)


def _needed() -> Iterator[Path]:
    """The system's folders, Python's, those of ``sys.path``, and of the one with this package the package alone."""
    package = Path(__file__).resolve().parents[1]
    yield from (path for name in SYSTEM if os.path.lexists(path := Path(name)))
    yield from (Path(sys.prefix), Path(sys.base_prefix), package)
    for path in map(Path, sys.path):
        if path.is_absolute() and path.exists() and path.resolve() not in package.parents:
            yield path


def _show(path: Path, root: Path) -> None:
    """Have ``path`` below ``root``, too, read-only; links on the way to it are links there."""
    for part in [*reversed(path.parents), path]:
        there = _inside(root, part)
        if part.is_symlink():
            if not os.path.lexists(there):
                there.symlink_to(part.readlink())
            _show(Path(os.path.normpath(part.parent / part.readlink() / path.relative_to(part))), root)
            return
    if there.exists():  # inside something that was shown before
        return
    if path.is_dir():
        there.mkdir(parents=True)
    else:
        there.parent.mkdir(parents=True, exist_ok=True)
        there.touch()
    _mount(str(path), there, flags=MS_BIND | MS_REC)
    _set_read_only(there, AT_RECURSIVE)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    arguments = [os.fsencode(text) for text in (source, target, kind)]
    _checked(_libc().mount(*arguments, flags, os.fsencode(data)), target)


def _set_read_only(path: Path, flags: int = 0) -> None:
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    status = _libc().syscall(MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags, attributes, len(attributes))
    _checked(status, path)


def _checked(status: int, path: Path) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
