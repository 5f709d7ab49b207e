"""Hears, in another process, of what the walls refuse a process: it can't hide that from there.

The in-process guard tells what Python's own functions attempt, before it gets as far as the kernel.
What comes to be heard here went past it. The process waits in its system call for the answer.
Of calls that Landlock judges, the answer is to go on to it: what the path says may change after it
was read, so that here it is told only. Source: seccomp_unotify(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from durable_core.errors import printable
from durable_core.sandbox.rules import ASKED, OPENS, truncates_to_read
from durable_core.sandbox.system_calls import ARCHITECTURES

_RECEIVE: Final = 0xC0502100  # SECCOMP_IOCTL_NOTIF_RECV
_SEND: Final = 0xC0182101  # SECCOMP_IOCTL_NOTIF_SEND
_NOTIFICATION: Final = "=QIIiIQ6Q"
_ANSWER: Final = "=QqiI"
_GO_ON: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE

_PATHS: Final = {
    **dict.fromkeys(("open", "creat", "mkdir", "rmdir", "unlink", "truncate"), (None, 0)),
    **dict.fromkeys(("rename", "link", "symlink"), (None, 1)),
    **dict.fromkeys(("chmod", "chown", "lchown", "utime", "utimes", "mknod"), (None, 0)),
    **dict.fromkeys(("setxattr", "lsetxattr", "removexattr", "lremovexattr"), (None, 0)),
    **dict.fromkeys(("openat", "mkdirat", "mknodat", "unlinkat"), (0, 1)),
    **dict.fromkeys(("fchmodat", "fchmodat2", "fchownat", "futimesat", "utimensat"), (0, 1)),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), (2, 3)),
    "symlinkat": (1, 2),
    "execve": (None, 0),
    "execveat": (0, 1),
}
"""Which argument of a call is the folder that its path begins at, and which the path that tells
most: where it changes something."""
_ADDRESSES: Final = {"connect": 1, "sendto": 4}

_LONGEST: Final = 4096


def watcher_of(process: socket.socket, scratch: str | None) -> Watcher:
    """Return what hears of the process at the other end, which has raised its walls and is watched.
    Raises OSError where that has ended meanwhile."""
    _, listeners, _, _ = socket.recv_fds(process, 1, 1)
    if not listeners:
        raise ConnectionError("nothing was handed over")
    return Watcher(listeners[0], scratch)


class Watcher:
    """The listening end. `scratch` is where the process may write, of which nothing is told."""

    def __init__(self, listener: int, scratch: str | None) -> None:
        self._listener = listener
        self._scratch = scratch
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self.is_over = False
        """True when there is nobody left to hear of."""
        numbers = ARCHITECTURES[os.uname().machine].numbers
        self._names = {number: name for name, number in numbers.items()}

    def fileno(self) -> int:
        """Return the descriptor that can be read when there is something to hear."""
        return self._listener

    def close(self) -> None:
        """Listen no more: calls that would be told are refused from now on."""
        os.close(self._listener)

    def hear(self) -> str | None:
        """Answer the next call, if any. Return what it attempts, or None where that is of no
        interest. Never waits."""
        events = sum(each for _, each in self._poll.poll(0))
        if not events & select.POLLIN:
            self.is_over = bool(events)
            return None
        held = bytearray(struct.calcsize(_NOTIFICATION))
        try:
            fcntl.ioctl(self._listener, _RECEIVE, held, True)
        except OSError:
            return None  # it has ended meanwhile
        id_, process, _, number, _, _, *arguments = struct.unpack(_NOTIFICATION, held)
        name = self._names.get(number, f"system call {number}")
        try:
            return self._told(process, name, arguments)
        finally:
            answer = (0, 0, _GO_ON) if _is_asked(name, arguments) else (0, -errno.EPERM, 0)
            with suppress(OSError):
                fcntl.ioctl(self._listener, _SEND, struct.pack(_ANSWER, id_, *answer))

    def _told(self, process: int, name: str, arguments: list[int]) -> str | None:
        where = _argument(process, name, arguments)
        if where is None and _is_asked(name, arguments):
            return None  # its memory can't be read here: it may be the null device
        if where is not None and is_harmless(name, where, self._scratch):
            return None
        return attempt_text(name, where)


def _is_asked(name: str, arguments: list[int]) -> bool:
    if name in OPENS:
        return not truncates_to_read(arguments[OPENS[name]])
    return name in ASKED


# -- what the arguments say -----------------------------------------------------------------------


def _argument(process: int, name: str, arguments: list[int]) -> str | None:
    """Return the path or address that a call is about; None where it has none, or can't be read."""
    try:
        if name in _PATHS:
            folder, path = _PATHS[name]
            at = None if folder is None else arguments[folder]
            return _path(process, at, _memory(process, arguments[path]))
        if name in _ADDRESSES:
            return _address(_memory(process, arguments[_ADDRESSES[name]], 128))
    except (OSError, ValueError, struct.error):
        pass
    return None


def _memory(process: int, address: int, size: int = _LONGEST) -> bytes:
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        read = b""
        while len(read) < size:  # up to the end of a page: the next one may not be there
            memory.seek(address + len(read))
            left = size - len(read)
            page = memory.read(min(left, _LONGEST - (address + len(read)) % _LONGEST))
            read += page
            if not page or (size == _LONGEST and b"\0" in page):
                break
        return read


def _path(process: int, folder: int | None, memory: bytes) -> str:
    path = os.fsdecode(memory.partition(b"\0")[0])
    if path.startswith("/"):
        return os.path.normpath(path)
    number = None if folder is None else folder & 0xFFFFFFFF
    is_here = number is None or number == 0xFFFFFF9C  # AT_FDCWD
    start = f"/proc/{process}/cwd" if is_here else f"/proc/{process}/fd/{number}"
    return os.path.normpath(f"{Path(start).readlink()}/{path}")


def _address(memory: bytes) -> str:
    family, port = struct.unpack_from("=H2s", memory)
    number = int.from_bytes(port, "big")
    match family:
        case socket.AF_INET:
            return f"{socket.inet_ntop(family, memory[4:8])}:{number}"
        case socket.AF_INET6:
            return f"[{socket.inet_ntop(family, memory[8:24])}]:{number}"
        case socket.AF_UNIX:
            return os.fsdecode(memory[2:].lstrip(b"\0").partition(b"\0")[0])
    return f"address family {family}"


_ATTEMPTS: Final = {
    "a network connection": "connect",
    "sending over the network": "sendto sendmsg sendmmsg",
    "opening a socket": "socket socketpair",
    "listening on the network": "bind listen accept accept4",
    "starting a program": "execve execveat",
    "starting a process": "clone fork vfork",
    "sending a signal": "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal",
    "asking for signals": "fcntl",
    "writing a file": "open openat creat truncate",
    "making a folder": "mkdir mkdirat",
    "removing a file": "unlink unlinkat",
    "removing a folder": "rmdir",
    "renaming a file": "rename renameat renameat2",
    "making a link": "link linkat symlink symlinkat",
    "making a file": "mknod mknodat",
    "changing a file": "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes "
    "futimesat utimensat setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr "
    "fremovexattr removexattrat file_setattr",
    "reaching into another process": "ptrace process_vm_readv process_vm_writev pidfd_getfd "
    "process_madvise process_mrelease",
    "changing the priority or limits of a process": "setpriority ioprio_set prlimit64",
    "shared memory, semaphores or queues": "shmget shmat shmctl semget semop semctl semtimedop "
    "msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify "
    "mq_getsetattr",
}
_BY_CALL: Final = {name: what for what, names in _ATTEMPTS.items() for name in names.split()}


def attempt_text(call: str, where: str | None) -> str:
    """Return what a refused system call at a path or an address is an attempt of."""
    if where is not None and where.startswith(_SEMAPHORES):
        return "making a semaphore, as multiprocessing does for its locks, queues and pools"
    attempt = _BY_CALL.get(call, "changing the system")
    if where is None:
        return f"{attempt} ({call})"
    cut = where if len(where) <= _LONGEST_PATH else f"{where[:_LONGEST_PATH]}..."
    return f"{attempt} ({call}, {printable(cut)})"


_LONGEST_PATH: Final = 200
_SEMAPHORES: Final = "/dev/shm/sem."
"""Where the C library keeps them; a Lambda environment has no such folder."""
_SERVICES: Final = frozenset(
    {"/var/run/nscd/socket", "/run/nscd/socket", "/run/uuidd/request", "/var/run/uuidd/request"}
)
"""Where the C library asks for users and hosts, and libuuid for UUIDs; they go on without."""
_CLOCK_OF_UUIDS: Final = "/var/lib/libuuid/clock.txt"
_OWN: Final = "/proc/self/"
_MAKES: Final = ("mkdir", "mkdirat")
_REMOVES: Final = ("unlink", "unlinkat", "rmdir")


def is_harmless(call: str, where: str, scratch: str | None) -> bool:
    """Return True where a call at a path or an address needn't be told, refused or not: it changes
    nothing outside, or fails anyway, since what it makes is there, or what it removes isn't."""
    if call == "connect":
        return where in _SERVICES
    if call in _MAKES or call in _REMOVES:
        if os.path.lexists(where) == (call in _MAKES):
            return True
    elif where in (os.devnull, _CLOCK_OF_UUIDS) or where.startswith(_OWN):
        return True
    return scratch is not None and PurePath(where).is_relative_to(scratch)
