"""What code may attempt outside of its process, by the audit events that Python raises for it.

`WHAT` names the events that are watched, and `is_harmless` tells those apart that change and reach
nothing. Both are asked inside of an audit hook about arguments of the user's: no code of theirs may
run here, so that a subclass of `str` is read as the text that it holds.
Source: Python's table of audit events, and `sandbox.unaudited` for what Python leaves out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PosixPath, WindowsPath
from types import MappingProxyType
from typing import Any, Final, cast

_NETWORK = "a network connection"
_LOOKUP = "looking up a host"
_SENDING = "sending over the network"
_PROCESS = "starting a process"
_SIGNAL = "sending a signal"
_CHANGING = "changing a file"
_PRIORITY = "changing the priority of a process"
_DEVICE = "controlling a device"
_SHARED = "changing shared memory"

WHAT: Final = MappingProxyType(
    {
        "socket.connect": _NETWORK,
        "socket.getaddrinfo": _LOOKUP,
        "socket.gethostbyname": _LOOKUP,
        "socket.gethostbyaddr": _LOOKUP,
        "socket.getnameinfo": _LOOKUP,
        "socket.sendto": _SENDING,
        "socket.sendmsg": _SENDING,
        "socket.bind": "listening on the network",
        "socket.listen": "listening on the network",
        "socket.sethostname": "changing the name of the host",
        "syslog.syslog": "writing to the system's log",
        "subprocess.Popen": _PROCESS,
        "os.system": _PROCESS,
        "os.exec": _PROCESS,
        "os.spawn": _PROCESS,
        "os.posix_spawn": _PROCESS,
        "os.fork": _PROCESS,
        "os.forkpty": _PROCESS,
        "os.startfile": _PROCESS,
        "os.startfile/2": _PROCESS,
        "pty.spawn": _PROCESS,
        "_posixsubprocess.fork_exec": _PROCESS,
        "cpython.PyInterpreterState_New": "starting an interpreter",
        "os.kill": _SIGNAL,
        "os.killpg": _SIGNAL,
        "signal.pthread_kill": _SIGNAL,
        "signal.pidfd_send_signal": _SIGNAL,
        "os.setpriority": _PRIORITY,
        "os.nice": _PRIORITY,
        "os.sched_setaffinity": _PRIORITY,
        "os.sched_setparam": _PRIORITY,
        "os.sched_setscheduler": _PRIORITY,
        "os.tcsetpgrp": "changing a process group",
        "os.unshare": "changing namespaces",
        "os.setns": "changing namespaces",
        "resource.prlimit": "changing the limits of a process",
        "time.clock_settime": "setting the clock",
        "time.clock_settime_ns": "setting the clock",
        "os.remove": "removing a file",
        "os.rename": "renaming a file",
        "os.mkdir": "making a folder",
        "os.rmdir": "removing a folder",
        "os.mkfifo": "making a pipe",
        "os.mknod": "making a file",
        "os.chroot": "changing the root folder",
        "os.truncate": _CHANGING,
        "os.chmod": _CHANGING,
        "os.chown": _CHANGING,
        "os.chflags": _CHANGING,
        "os.utime": _CHANGING,
        "os.setxattr": _CHANGING,
        "os.removexattr": _CHANGING,
        "os.link": "making a link",
        "os.symlink": "making a link",
        "os.lockf": "locking a file",
        "fcntl.flock": "locking a file",
        "fcntl.lockf": "locking a file",
        "fcntl.ioctl": _DEVICE,
        "termios.tcsetattr": _DEVICE,
        "termios.tcsendbreak": _DEVICE,
        "termios.tcflush": _DEVICE,
        "termios.tcflow": _DEVICE,
        "termios.tcsetwinsize": _DEVICE,
        "_posixshmem.shm_open": _SHARED,
        "_posixshmem.shm_unlink": _SHARED,
        "_multiprocessing.SemLock": "making a semaphore of processes",
        "sqlite3.connect": "opening a database",
        "_gdbm.open": "opening a database",
        "_dbm.open": "opening a database",
        "ctypes.dlsym": "a function of the system, by ctypes",
        "ctypes.dlsym/handle": "a function of the system, by ctypes",
        "open": "writing a file",
    }
)
"""The events that are watched, and what each is an attempt of."""

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WRITING: Final = frozenset("wax+")

_FUNCTIONS_OF_C = """
    system popen fork vfork clone execl execle execlp execv execve execvp execvpe fexecve
    posix_spawn posix_spawnp syscall ptrace process_vm_writev
    open openat openat2 creat fopen freopen mkstemp mkostemp mkdtemp
    unlink unlinkat remove rename renameat renameat2 rmdir mkdir mkdirat mkfifo mkfifoat mknod
    mknodat link linkat symlink symlinkat truncate chmod fchmodat chown lchown fchownat
    utime utimes utimensat setxattr lsetxattr removexattr shm_open shm_unlink sem_open sem_unlink
    mq_open mq_unlink shmget msgget semget
    socket connect bind listen sendto sendmsg sendmmsg getaddrinfo gethostbyname
    kill killpg tkill tgkill sigqueue pidfd_send_signal raise
    setpriority nice sched_setaffinity sched_setscheduler sched_setparam setrlimit prlimit
    mount umount umount2 chroot pivot_root unshare setns reboot sethostname settimeofday
    clock_settime adjtimex bpf keyctl add_key init_module
    PySys_ClearAuditHooks Py_NewInterpreter Py_NewInterpreterFromConfig
"""
_SYSTEM: Final = frozenset(_FUNCTIONS_OF_C.split())
"""Functions of C that do what is refused, or get round who refuses it."""

_ASKING: Final = frozenset({0x5401, 0x5413, 0x5421, 0x541B, 0x5450, 0x5451})
"""ioctl requests that read, or that change how this process uses a descriptor: TCGETS, TIOCGWINSZ,
FIONBIO, FIONREAD, FIONCLEX, FIOCLEX (Linux's `asm-generic/ioctls.h`)."""
_ASKING_BSD: Final = frozenset({0x40087468, 0x4004667F, 0x8004667E, 0x20006601, 0x20006602})

METADATA_HOSTS: Final = frozenset(
    {"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"}
)
"""Where AWS's SDKs look for credentials when a client is made. Source: botocore's `utils.py`."""


def is_harmless(event: str, args: tuple[Any, ...]) -> bool:
    """Return True for what changes nothing outside of the process, and reaches nothing there."""
    asked = _HARMLESS.get(event)
    return asked is not None and asked(args)


def is_of_clients(event: str, args: tuple[Any, ...], function: str) -> bool:
    """Return True for what clients of AWS's APIs do when they are imported or made, and are none
    the worse for not getting: they look for credentials, and for IPv6. `function` is who does it.
    """
    if event == "socket.getaddrinfo":
        return text_of(args[0]) in METADATA_HOSTS
    address = args[1] if event in ("socket.connect", "socket.bind") else None
    if type(address) is not tuple or not address:
        return False
    if event == "socket.bind":
        return function == "_has_ipv6" and address[1] == 0  # urllib3's `util/connection.py`
    return text_of(address[0]) in METADATA_HOSTS


def is_code(args: tuple[Any, ...]) -> bool:
    """Return True where a file is read since something is imported."""
    return (text_of(args[0]) or "").endswith((".py", ".pyc", ".so"))


def described(event: str, args: tuple[Any, ...]) -> str:
    """Return what is attempted, with what of its arguments says it best."""
    told = args[1:] if event in _ABOUT_THE_SECOND else args
    text = ", ".join(filter(None, map(_word, told[:2])))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"{WHAT[event]} ({text})" if text else WHAT[event]


_LONGEST: Final = 120
_ABOUT_THE_SECOND: Final = frozenset(
    {"os.kill", "os.killpg", "signal.pthread_kill", "signal.pidfd_send_signal", "ctypes.dlsym"}
    | {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
)


# -- what changes nothing ----------------------------------------------------------------------


def _only_reads(args: tuple[Any, ...]) -> bool:
    path, mode, flags = args[:3]
    if type(mode) is str and not _WRITING.isdisjoint(mode):
        return type(path) is int or text_of(path) == os.devnull
    if type(flags) is int and flags & _WRITES:
        return type(path) is int or text_of(path) == os.devnull
    return True


def _is_there(args: tuple[Any, ...]) -> bool:
    """Return True where a folder is to be made that is there: `makedirs` asks so whether it is."""
    path = text_of(args[0])
    return path is not None and args[2:3] in ((), (-1,)) and os.path.isdir(path)  # noqa: PTH112


def _is_plain_function(args: tuple[Any, ...]) -> bool:
    name = (text_of(args[-1]) or "").strip(
        "_"
    )  # `__open`, `__libc_open64`, `_IO_fopen` are others'
    for prefix in ("libc_", "IO_"):
        name = name.removeprefix(prefix)
    return name.removesuffix("64") not in _SYSTEM


def _only_asks(args: tuple[Any, ...]) -> bool:
    return args[1] in (_ASKING if os.name == "posix" and _IS_LINUX else _ASKING_BSD)


_IS_LINUX: Final = os.uname().sysname == "Linux" if hasattr(os, "uname") else False

_HARMLESS: Final[dict[str, Callable[[tuple[Any, ...]], bool]]] = {
    "open": _only_reads,
    "os.mkdir": _is_there,
    "ctypes.dlsym": _is_plain_function,
    "ctypes.dlsym/handle": _is_plain_function,
    "fcntl.ioctl": _only_asks,
    "_posixshmem.shm_open": lambda args: not args[1] & _WRITES,
}


# -- text of the user's objects, without running their code ------------------------------------


def text_of(value: object) -> str | None:
    """Return the text of a path; None for what is none."""
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(cast(str, value))
    if issubclass(kind, bytes):
        return os.fsdecode(bytes.__getitem__(cast(bytes, value), slice(None)))
    return str(value) if kind in (PosixPath, WindowsPath) else None


def _word(value: object) -> str | None:
    """Return a value as it is told; None: it isn't."""
    if value is None:
        return None
    text = text_of(value)
    if text is not None:
        return text
    kind = type(value)
    if kind in (int, float, bool):
        return repr(value)
    if kind in (tuple, list):
        inside = ", ".join(map(_inner_word, value))  # type: ignore[call-overload]
        return f"[{inside}]" if kind is list else f"({inside})"
    return None


def _inner_word(value: object) -> str:
    text = text_of(value)
    if text is not None:
        return repr(text)
    return repr(value) if type(value) in (int, float, bool, type(None)) else "..."
