"""Where a stranger's code runs: its own folder to write in, no network, no sight of others' work, limited memory.

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
from collections.abc import Sequence
from pathlib import Path

ISOLATED = "LINEAGE_ISOLATED"  # set for a process that runs in namespaces of its own
# linux/mount.h, linux/prctl.h, linux/if.h
MS_BIND = 0x1000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 0x1
PR_CAPBSET_DROP, LAST_CAPABILITY = 24, 40
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
LARGEST_FILE = 2**28  # bytes


@functools.cache
def isolates() -> bool:
    """Whether this system lets a user isolate a process."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*_unshare(), "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return tried.returncode == 0


def isolated(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command that starts another in namespaces of its own, and what its environment needs.

    The other one must begin with :func:`enter`. Killing it kills everything that it has started.
    """
    return ([*_unshare(), *command], {ISOLATED: "1"}) if isolates() else (list(command), {})


def _unshare() -> list[str]:
    return ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]


def enter(folder: Path, hidden: Sequence[Path], memory: int) -> None:
    """Give up what the code that is now going to run shall not have.

    Args:
        folder: all that stays writable. hidden: folders that shall look empty. memory: bytes of data a process.
    Raises:
        OSError: the system refuses it.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ISOLATED not in os.environ:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _mount(libc, folder, folder, None, MS_BIND)
    _set_read_only(libc, Path("/"), True, AT_RECURSIVE)
    _set_read_only(libc, folder, False, 0)
    for other in hidden:
        if other.is_dir():  # and not inside another one, hidden already
            _mount(libc, Path("none"), other, b"tmpfs", 0)
    # A kernel talks through the loopback; in a network of its own nobody else is there.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    # Whatever is started from here on cannot undo this.
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def _mount(libc: ctypes.CDLL, source: Path, target: Path, kind: bytes | None, flags: int) -> None:
    _checked(libc.mount(os.fsencode(source), os.fsencode(target), kind, flags, None), target)


def _set_read_only(libc: ctypes.CDLL, path: Path, yes: bool, flags: int) -> None:
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY * yes, MOUNT_ATTR_RDONLY * (not yes), 0, 0)
    _checked(libc.syscall(MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags, attributes, len(attributes)), path)


def _checked(status: int, path: Path) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
