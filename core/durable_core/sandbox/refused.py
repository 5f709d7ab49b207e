"""What a refused system call is an attempt of, in words."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Final

from durable_core.errors import printable

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
    cut = where if len(where) <= _LONGEST else f"{where[:_LONGEST]}..."
    return f"{attempt} ({call}, {printable(cut)})"


_LONGEST: Final = 200
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
