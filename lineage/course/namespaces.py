"""python -m lineage.course.namespaces FOLDER USER COMMAND...: a file system and a network of the command's own.

Linux only. A process in new namespaces, which ``unshare`` has made, builds what :mod:`lineage.course.sandbox` shows.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import socket
import struct
import sys
from pathlib import Path

from lineage.course.confine import confine
from lineage.course.sandbox import DEVICES, OWN_FILES, SHARED, hidden, shown

# linux/mount.h, linux/if.h
MS_BIND, MS_REC, MNT_DETACH = 0x1000, 0x4000, 2
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
RDONLY, NOSUID, NODEV = 1, 2, 4  # MOUNT_ATTR_*
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def enter(folder: Path, user: int) -> None:
    """Have nothing below the root but what is shown, and go to the folder, which is the user's.

    Raises:
        OSError: the system refuses it.
    """
    links, paths = shown()
    os.umask(0o022)  # the folders on the way to what is shown are for whoever the user is
    _mount("none", folder, "tmpfs", data="size=16m,mode=755")  # for folders and links
    for path in paths:
        _show(path, folder, RDONLY | NOSUID | NODEV)
    for path, target in links.items():
        if not any(parent in paths for parent in path.parents):
            _inside(folder, path.parent).mkdir(parents=True, exist_ok=True)
            _inside(folder, path).symlink_to(target)
    for name in DEVICES:
        _show(Path(name), folder, RDONLY | NOSUID)
    (folder / "proc").mkdir()
    _mount("none", folder / "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for path in hidden(folder / "proc"):
        _cover(path)
    for own, size in ((Path("/dev/shm"), SHARED), (folder, OWN_FILES)):
        inside = _inside(folder, own)
        inside.mkdir(parents=True, exist_ok=True)
        _mount("none", inside, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},mode=700,uid={user},gid={user}")
    _set(folder, RDONLY | NOSUID | NODEV)
    home = str(folder)
    os.chdir(folder)
    _checked(_libc().pivot_root(b".", b"."), folder)  # the old root now lies over the new one
    _checked(_libc().umount2(b".", MNT_DETACH), folder)
    # A kernel talks through the loopback; in a network of its own nobody else is there.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    os.chdir(home)


def _show(path: Path, root: Path, attributes: int) -> None:
    there = _inside(root, path)
    there.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        there.mkdir(exist_ok=True)
    else:
        there.touch()
    _mount(str(path), there, flags=MS_BIND | MS_REC)
    _set(there, attributes, AT_RECURSIVE)


def _cover(path: Path) -> None:
    """Nothing is to be seen, or written, where a folder or file of the kernel's is."""
    if path.is_dir():
        _mount("none", path, "tmpfs", data="size=4k")
    else:
        _mount("/dev/null", path, flags=MS_BIND)
    _set(path, RDONLY | NOSUID | NODEV)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    arguments = [os.fsencode(text) for text in (source, target, kind)]
    _checked(_libc().mount(*arguments, flags, os.fsencode(data)), target)


def _set(path: Path, attributes: int, flags: int = 0) -> None:
    packed = struct.pack("QQQQ", attributes, 0, 0, 0)
    _checked(_libc().syscall(MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags, packed, len(packed)), path)


def _checked(status: int, path: Path) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


if __name__ == "__main__":
    user = int(sys.argv[2])
    enter(Path(sys.argv[1]), user)
    confine(user)
    os.execv(sys.argv[3], sys.argv[3:])
