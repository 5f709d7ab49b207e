"""What code may attempt outside of its process, by the audit events that Python raises for it.

`WHAT` names the events that are watched, and `is_harmless` tells those apart that change and reach
nothing. Both are asked inside of an audit hook about arguments of the user's: no code of theirs may
run here, so that a subclass of `str` is read as the text that it holds.
Source: Python's table of audit events, and `sandbox.unaudited` for what Python leaves out.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import PosixPath, WindowsPath
from types import FrameType, MappingProxyType, ModuleType
from typing import Any, Final, cast

from durable_core.frozen import dataclass


class ReachesOut(BaseException):
    """A SerDes was refused what it was about to do outside: nothing of its own handles that."""


@dataclass(slots=True)
class Reach:
    """What a SerDes was seen to attempt outside of the process: the first that was refused, and the
    first file that it read."""

    refused: str | None = None
    loaded: str | None = None


_NETWORK = "a network connection"
_LOOKUP = "looking up a host"
_SENDING = "sending over the network"
_PROCESS = "starting a process"
_SIGNAL = "sending a signal"
_CHANGING = "changing a file"
_PRIORITY = "changing the priority of a process"
_DEVICE = "controlling a device"
_SHARED = "changing shared memory"
_TERMINAL = "making a terminal"
_DATABASE = "opening a database"
_OBJECTS = "going through the objects of the process"
_HISTORY = "writing a file of readline's"

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
        "os.setpgid": "changing a process group",
        "os.openpty": _TERMINAL,
        "os.posix_openpt": _TERMINAL,
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
        "fcntl.fcntl": "locking a file, or asking for signals",
        "fcntl.ioctl": _DEVICE,
        "termios.tcsetattr": _DEVICE,
        "termios.tcsendbreak": _DEVICE,
        "termios.tcflush": _DEVICE,
        "termios.tcflow": _DEVICE,
        "termios.tcsetwinsize": _DEVICE,
        "_posixshmem.shm_open": _SHARED,
        "_posixshmem.shm_unlink": _SHARED,
        "_multiprocessing.SemLock": "making a semaphore of processes",
        "sqlite3.connect": _DATABASE,
        "sqlite3.attach": _DATABASE,
        "_gdbm.open": _DATABASE,
        "_dbm.open": _DATABASE,
        "readline.write_history_file": _HISTORY,
        "readline.append_history_file": _HISTORY,
        "_tkinter.create": "starting an interpreter of Tcl",
        "_cffi_backend.load_library": "functions of the system, by cffi",
        "gc.get_objects": _OBJECTS,
        "gc.get_referrers": _OBJECTS,
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
    PySys_ClearAuditHooks Py_NewInterpreter Py_NewInterpreterFromConfig Py_open_noraise
    wordexp daemon forkpty pidfd_spawn pidfd_spawnp openpty posix_openpt getpt login_tty
    mkstemps mkostemps fchmod fchown lchmod futimes futimens lutimes fsetxattr fremovexattr
    ftruncate fallocate posix_fallocate gzopen sqlite3_open sqlite3_open_v2
    gethostbyname_r gethostbyname2 gethostbyaddr getnameinfo getaddrinfo_a res_query res_search
    res_send syslog vsyslog openlog dlopen dlmopen dlsym dlvsym
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


def is_of_libraries(event: str, args: tuple[Any, ...], frame: FrameType | None) -> bool:
    """Return True for what libraries do by themselves when they are imported, or clients made, and
    are none the worse for not getting: AWS's look for credentials, urllib3 for IPv6, and Python for
    the name of the processor. `frame` is who does it."""
    found = _OF_LIBRARIES.get(event)
    if found is None:
        return False
    packages, function = found
    if not function and _host_of(event, args) not in METADATA_HOSTS:
        return False
    while frame is not None:
        name = _module_of(frame)
        if name.startswith(packages) and function in ("", frame.f_code.co_name):
            return True
        frame = frame.f_back
    return False


def _module_of(frame: FrameType) -> str:
    """Return the name of the module that runs; of code that only says it is a module's, none."""
    name = dict.get(frame.f_globals, "__name__")
    module = sys.modules.get(name) if type(name) is str else None
    is_its = type(module) is ModuleType and vars(module) is frame.f_globals
    return cast(str, name) if is_its else ""


_SDKS_OF_AWS: Final = (("botocore.", "aiobotocore."), "")
_OF_LIBRARIES: Final = {
    "socket.getaddrinfo": _SDKS_OF_AWS,
    "socket.connect": _SDKS_OF_AWS,
    "socket.bind": (("urllib3.util.connection",), "_has_ipv6"),
    "subprocess.Popen": (("platform",), "from_subprocess"),  # `uname -p`
}
"""Of which modules, and by which function of theirs; any where it is about a metadata host."""


def _host_of(event: str, args: tuple[Any, ...]) -> str | None:
    if event == "socket.getaddrinfo":
        return text_of(args[0])
    address = args[1]
    return text_of(address[0]) if type(address) is tuple and address else None


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
    | {"gc.get_objects", "gc.get_referrers"}
)


# -- what changes nothing ----------------------------------------------------------------------


# Taken when this is imported, before any code that could change them.
_NULL: Final = os.devnull
_is_folder: Final = os.path.isdir


def _only_reads(args: tuple[Any, ...]) -> bool:
    path, mode, flags = args[:3]
    if type(mode) is str and not _WRITING.isdisjoint(mode):
        return type(path) is int or text_of(path) == _NULL
    if type(flags) is int and flags & _WRITES:
        return type(path) is int or text_of(path) == _NULL
    return True


def _is_there(args: tuple[Any, ...]) -> bool:
    """Return True where a folder is to be made that is there: `makedirs` asks so whether it is."""
    path = text_of(args[0])
    return path is not None and args[2:3] in ((), (-1,)) and _is_folder(path)


_NO_FILE_WRITTEN: Final = re.compile(
    r":memory:|file::memory:(?:\?cache=\w+)?"
    r"|file:[^?#%]*\?(?:(?:cache=\w+|immutable=1)&)*mode=(?:ro|memory)"
    r"(?:&(?:cache=\w+|immutable=1))*"
)
"""Names of databases that are in memory, or opened to be read. Source: SQLite's `uri.html`."""


def _is_read_or_in_memory(args: tuple[Any, ...]) -> bool:
    return _NO_FILE_WRITTEN.fullmatch(text_of(args[0]) or "") is not None


def _is_no_c_library(args: tuple[Any, ...]) -> bool:
    name = text_of(args[0]) if args else None
    return name is not None and not os.path.basename(name).startswith("libc.")  # noqa: PTH119


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

_LOCKS_AND_SIGNALS: Final = frozenset({6, 7, 8, 10, 15, 37, 38, 1024, 1026})
"""fcntl commands: F_SETLK, F_SETLKW, F_SETOWN, F_SETSIG, F_SETOWN_EX, F_OFD_SETLK, F_OFD_SETLKW,
F_SETLEASE, F_NOTIFY (Linux's `asm-generic/fcntl.h`)."""
_LOCKS_AND_SIGNALS_BSD: Final = frozenset({6, 8, 9, 90, 91})


def _only_asks_or_sets_flags(args: tuple[Any, ...]) -> bool:
    return args[1] not in (_LOCKS_AND_SIGNALS if _IS_LINUX else _LOCKS_AND_SIGNALS_BSD)


_HARMLESS: Final[dict[str, Callable[[tuple[Any, ...]], bool]]] = {
    "open": _only_reads,
    "os.mkdir": _is_there,
    "ctypes.dlsym": _is_plain_function,
    "ctypes.dlsym/handle": _is_plain_function,
    "fcntl.fcntl": _only_asks_or_sets_flags,
    "fcntl.ioctl": _only_asks,
    "sqlite3.connect": _is_read_or_in_memory,
    "sqlite3.attach": _is_read_or_in_memory,
    "_cffi_backend.load_library": _is_no_c_library,
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
