"""Ways out of the sandbox that somebody might try. None is gone through: each is only asked for.

What is asked would change nothing even outside a sandbox: access is looked up (``os.access``, a mount's flags), signal
0 is sent, a call gets arguments with which it must fail - and has to be refused before they are looked at.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from boxed import CASES, inside

from lineage.course.sandbox import DEVICES, PROC

PROBE = """
import ctypes, errno, resource, socket, stat
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
import pyseccomp

def call(name, *arguments):
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    status = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return "allowed" if status != -1 else errno.errorcode[ctypes.get_errno()]

def tried(function, *arguments):
    try:
        function(*arguments)
        return "allowed"
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)

def there(*paths):
    return [path for path in paths if os.path.lexists(path)]

def writable(paths):
    return [path for path in paths if os.access(path, os.W_OK)]

def below(top):
    return [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]

def connected(family, address):
    with socket.socket(family) as one:
        one.settimeout(5)
        one.connect(address)

status = dict(line.split(":", 1) for line in open("/proc/self/status"))
mounts = [line.split()[1:4] for line in open("/proc/mounts")]
proc = os.stat("/proc").st_dev
own = [path for path in ("/proc/" + name for name in os.listdir("/proc")) if os.lstat(path).st_dev == proc]
found = {}
"""
# By idea: what is asked inside, and the one answer that keeps the stranger in. What is in capitals comes from outside.
IDEAS = {
    "files of others": ("there('/etc/shadow', '/root/.ssh', '/home', '/run', '/var', '/boot', *PLACES)", []),
    "writing to the submissions, the gradebook, the package, the system": (
        "[place for place, kind, flags in mounts if place not in (os.getcwd(), '/dev/shm', '/proc', *DEVICES)"
        " and 'ro' not in flags.split(',')]", [],
    ),
    "programs that run as root": (
        "[place for place, kind, flags in mounts if 'nosuid' not in flags.split(',')]"
        " + [status['NoNewPrivs'].strip()]", ["1"],
    ),
    "being root": ("tried(os.setresuid, UID, UID, UID) in ('EPERM', 'EINVAL')", True),
    "being another user": ("tried(os.setresuid, 12345, 12345, 12345) in ('EPERM', 'EINVAL')", True),
    "other groups": ("tried(os.setgroups, [0])", "EPERM"),
    "capabilities": (
        "{status[name].strip() for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')} == {'0' * 16}", True,
    ),
    "settings of the kernel (/proc/sys: core_pattern, modprobe)": (
        "[sorted(path for path in own if not path[6:].isdigit()), there('/proc/sys/kernel', '/proc/sys/vm')]",
        [["/proc/" + name for name in sorted(PROC)], []],
    ),
    "its memory and log (kcore, kmsg, kallsyms)": (
        "[path for path in there('/proc/kcore', '/proc/kmsg', '/proc/kallsyms', '/proc/keys', '/proc/config.gz')"
        " if os.stat(path).st_rdev != os.stat('/dev/null').st_rdev]", [],
    ),
    "the keys of the console (sysrq-trigger)": (
        "[path for path in own if 'sysrq' in path] + writable(below('/sys'))", [],
    ),
    "its devices in /sys, control groups": ("there('/sys/fs', '/sys/kernel', '/sys/firmware', '/sys/module')", []),
    "modules": ("[call('init_module', 0, 0, 0), call('finit_module', -1, 0, 0), call('delete_module', 0, 0)]",
                ["EPERM"] * 3),
    "another kernel": ("[call('kexec_load', 0, 0, 0, -1), call('bpf', -1, 0, 0), call('perf_event_open', 0)]",
                       ["EPERM"] * 3),
    "devices that are there": (
        "sorted(set(os.listdir('/dev')) - {'fd', 'stdin', 'stdout', 'stderr'})",
        ["full", "null", "random", "shm", "urandom", "zero"],
    ),
    "devices of one's own": ("tried(os.mknod, 'memory', stat.S_IFCHR | 0o600, os.makedev(1, 1))", "EPERM"),
    "mounts": (
        "[call('mount', 0, 0, 0, 0, 0), call('umount2', 0, 0), call('move_mount', -1, 0, -1, 0, 0),"
        " call('fsopen', 0, 0), call('open_tree', -1, 0, 0), call('mount_setattr', -1, 0, 0, 0, 0)]", ["EPERM"] * 6,
    ),
    "a root of one's own, or the old one": (
        "[call('chroot', 0), call('pivot_root', 0, 0), os.path.samefile('/', '/..')]", ["EPERM", "EPERM", True],
    ),
    "a file by its number": ("[call('open_by_handle_at', -1, 0, 0), call('name_to_handle_at', -1, 0, 0, 0, 0)]",
                             ["EPERM"] * 2),
    "namespaces": (
        "[call('unshare', 1 << 28), call('unshare', 1 << 17), call('setns', -1, 0), call('clone3', 0, 0),"
        " call('clone', 1 << 28 | 1 << 16, 0, 0, 0, 0)]",  # CLONE_THREAD alone must fail with EINVAL
        ["EPERM", "EPERM", "EPERM", "ENOSYS", "EPERM"],
    ),
    "other processes: their list": ("there(f'/proc/{PID}') + [name for name in os.listdir('/proc') if name.isdigit()]",
                                    ["1"]),
    "other processes: signals": ("tried(os.kill, PID, 0)", "ESRCH"),
    "other processes: ptrace and their memory": (
        "[call('ptrace', 16, PID, 0, 0), call('process_vm_readv', PID, 0, 0, 0, 0, 0),"
        " call('process_vm_writev', PID, 0, 0, 0, 0, 0), call('kcmp', PID, PID, 0, 0, 0),"
        " call('pidfd_getfd', -1, 0, 0)]", ["EPERM"] * 5,
    ),
    "the network": ("tried(connected, socket.AF_INET, ('127.0.0.1', PORT))", "ECONNREFUSED"),
    "the network: other machines": ("tried(connected, socket.AF_INET, ('192.0.2.1', 9))", "ENETUNREACH"),
    "sockets in the file system": ("tried(connected, socket.AF_UNIX, SOCKET)", "ENOENT"),
    "abstract sockets": ("tried(connected, socket.AF_UNIX, '\\0' + ABSTRACT)", "ECONNREFUSED"),
    "sockets that know no namespaces (vsock, the kernel's ciphers, packets)": (
        "[call('socket', family, 3, 0) for family in (3, 9, 15, 17, 38, 40, 44, 1 << 32 | 40)]", ["EPERM"] * 8,
    ),
    "pairs of such sockets, and the kernel's own protocols": (
        "[call('socketpair', 30, 1, 0, 0), call('socketpair', 40, 1, 0, 0), call('socket', 16, 3, 9),"
        " call('socket', 16, 3, 15), tried(socket.if_nameindex)]", ["EPERM"] * 4 + ["allowed"],
    ),
    "keyrings": ("[call('keyctl', -1, 0), call('add_key', 0, 0, 0, 0, 0), call('request_key', 0, 0, 0, 0)]",
                 ["EPERM"] * 3),
    "io_uring and userfaultfd": (
        "[call('io_uring_setup', 0, 0), call('io_uring_enter', -1, 0, 0, 0), call('userfaultfd', -1)]", ["EPERM"] * 3,
    ),
    "the clock, the name, the power": (
        "[call('clock_settime', -1, 0), call('sethostname', 0, -1), call('reboot', 0, 0, 0), call('swapon', 0, 0)]",
        ["EPERM"] * 4,
    ),
    "descriptors that were left open": ("sorted(os.listdir('/proc/self/fd'), key=int)[:-1]", ["0", "1", "2"]),
    "the terminal": ("tried(os.open, '/dev/tty', os.O_RDWR)", "ENOENT"),
    "memory in no file system (memfd, System V, queues)": (
        "[call('memfd_create', 0, 0), call('shmget', 0, 0, 0), call('msgget', 12345, 0), call('mq_open', 0, 0, 0, 0)]",
        ["EPERM"] * 4,
    ),
    "any number of processes": ("resource.getrlimit(resource.RLIMIT_NPROC)", [2000, 2000]),
    "filling memory with files": (
        "[os.statvfs(path).f_blocks * os.statvfs(path).f_frsize for path in ('.', '/dev/shm')]", [2**30, 2**26],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """What a stranger could reach for on this machine, by the name that the ideas call it."""
    folder = tmp_path_factory.mktemp("outside")
    path, abstract = folder / "socket", f"lineage-{os.getpid()}"
    places = [
        folder,
        Path(__file__).parent,
        Path(__file__).parents[2] / ".git",
        Path(__file__).parents[2] / "notebooks",
    ]
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as unnamed,
    ):  # fmt: skip
        for one, address in ((named, str(path)), (unnamed, f"\0{abstract}")):
            one.bind(address)
            one.listen()
        yield {
            "PID": os.getpid(), "PORT": server.getsockname()[1], "SOCKET": str(path), "ABSTRACT": abstract,
            "DEVICES": DEVICES, "PLACES": list(map(str, places)),
        }  # fmt: skip


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def answers(request, outside):
    """The answers to all that is asked, by idea."""
    kind, who = request.param
    names = {**outside, "UID": 1 if (kind, who) == ("namespaces", "user") else 0}  # there, 0 is the user itself
    lines = [PROBE, *(f"{name} = {value!r}" for name, value in names.items())]
    lines += [f"found[{idea!r}] = {code}" for idea, (code, _) in IDEAS.items()]
    return inside("\n".join(lines), kind, who)


@pytest.mark.parametrize("idea", IDEAS)
def test_an_idea_leads_nowhere(answers, idea):
    assert answers[idea] == IDEAS[idea][1]
