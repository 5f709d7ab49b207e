"""What a refused system call is an attempt of, in words."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

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


def what_is_attempted(call: str) -> str:
    """Return what a system call that is refused would do."""
    return _BY_CALL.get(call, "changing the system")


_NAME_SERVICE: Final = "nscd/socket"
"""Where the C library asks for users and hosts; it goes on without it."""
_OWN: Final = "/proc/self/"


def harmless_place(call: str, where: str, scratch: str | None) -> bool:
    """Return True where a call at a path or an address needn't be told, refused or not."""
    if call == "connect":
        return where.endswith(_NAME_SERVICE)
    if where == "/dev/null" or where.startswith(_OWN):
        return True
    return scratch is not None and PurePath(where).is_relative_to(scratch)
