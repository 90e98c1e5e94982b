"""python -m lineage.course.confine USER COMMAND...: become USER for good, and run the command without any privilege.

Linux only; the last step into a sandbox, when its file system stands.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any

from lineage.course.sandbox import lower

MOST_TASKS = 2000  # processes and threads, of all together
# linux/prctl.h, linux/capability.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 23, 24, 38
CAPABILITY_VERSION, CAP_SETPCAP = 0x20080522, 8
CLONE_NEW = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # linux/sched.h
FAMILIES = {1, 2, 10, 16}  # of sockets: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; those above 16 know no namespaces
AF_NETLINK, NETLINK_ROUTE = 16, 0  # which addresses there are; its other protocols are for administrators
# What no exercise needs of the kernel: each has been somebody's way out, or is about the whole machine.
REFUSED = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount",
    "fsconfig", "fspick", "mount_setattr", "open_by_handle_at", "name_to_handle_at", "fanotify_init", "quotactl",
    "quotactl_fd", "swapon", "swapoff", "acct",
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "move_pages",
    "migrate_pages",
    "add_key", "request_key", "keyctl",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "perf_event_open", "bpf",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "syslog", "iopl",
    "ioperm", "modify_ldt", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname",
    "setdomainname", "vhangup",
    # Memory that is in no file system and on no process's account.
    "memfd_create", "memfd_secret", "shmget", "msgget", "semget", "mq_open",
)  # fmt: skip


def confine(user: int) -> None:
    """Have no privilege any more, and no way to one: neither for this process nor for any that it starts.

    Raises:
        OSError: the system refuses it.
        ImportError: pyseccomp is missing. RuntimeError: the system's libseccomp is.
    """
    found = _filter()
    change = user != os.geteuid()
    if change:
        os.setgroups([])
        os.setresgid(user, user, user)
    if _has(CAP_SETPCAP):  # who has not cannot get what is in the bounding set, either: see PR_SET_NO_NEW_PRIVS
        for capability in range(64):
            if _libc().prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
                _checked(_libc().prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
    if change:
        os.setresuid(user, user, user)
    lower("NPROC", MOST_TASKS)  # here, since elsewhere all of a user's count
    _checked(_libc().capset(struct.pack("Ii", CAPABILITY_VERSION, 0), bytes(24)))
    _checked(_libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))  # who becomes another user has lost it
    found.load()


def hide() -> None:
    """Let no other process of the same user look into this one, or at what it has open."""
    if sys.platform == "linux":
        _checked(_libc().prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))


def _filter() -> Any:
    """What the kernel is asked for and answers with an error. A call of a foreign architecture ends the process."""
    import pyseccomp as seccomp  # looks for the system's library: not where limits alone are set

    refuse = seccomp.ERRNO(errno.EPERM)
    found = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in REFUSED:
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) != -1:  # newer than the system's library
            found.add_rule(refuse, name)
    for flag in CLONE_NEW:
        found.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    found.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags cannot be read; the C library then calls clone
    for call in ("socket", "socketpair"):
        for family in set(range(max(FAMILIES))) - FAMILIES:
            found.add_rule(refuse, call, seccomp.Arg(0, seccomp.EQ, family))
        found.add_rule(refuse, call, seccomp.Arg(0, seccomp.GT, max(FAMILIES)))
        other = seccomp.Arg(0, seccomp.EQ, AF_NETLINK), seccomp.Arg(2, seccomp.NE, NETLINK_ROUTE)
        found.add_rule(refuse, call, *other)
    return found


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _has(capability: int) -> bool:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    effective = next(line for line in lines if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> capability & 1)


def _checked(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    confine(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
