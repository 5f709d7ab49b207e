"""What each system call comes to behind the walls: a table, from which `seccomp` makes a filter.

What isn't listed as harmless is refused, so that a call that nobody thought of is refused too, and
one that is newer than the table is answered as an older kernel would (ENOSYS). Calls that change
files by their path are let through: they are Landlock's to judge, which knows the path. What it has
no rights for (modes, owners, times, attributes) is refused here.

Refused is always an error number, never a signal: Python raises PermissionError, and code that can
do without goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from durable_core.frozen import dataclass


class Action(IntEnum):
    """What the kernel does with a call."""

    ALLOW = 0
    REFUSE = 1
    """EPERM, without a word: libraries try such calls and go on without them."""
    TELL = 2
    """EPERM, and whoever watches over the process is told, where it has a watcher."""
    ASK = 3
    """Landlock judges it; the watcher is told."""
    ABSENT = 4
    """ENOSYS, as on an older kernel: the C library uses an older call instead."""


@dataclass(frozen=True, slots=True)
class Check:
    """What an argument must be, after `mask`. The filter sees 64 bits in two halves: the low one,
    or with `high` the other. What fails the check comes to `otherwise`."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    high: bool = False
    otherwise: Action = Action.TELL


Rules = Mapping[str, tuple[Check, ...]]
"""The checks of calls by their names."""


def checks(pid: int) -> Rules:
    """Return the calls that depend on their arguments: all checks must hold. `pid` is this process,
    which leads a process group of its own."""
    own = (pid, -pid & 0xFFFFFFFF)
    itself = (0, pid)
    return {
        **_CHECKS,
        "kill": (Check(0, own),),
        "tkill": (Check(0, own),),
        "tgkill": (Check(0, own),),
        "rt_sigqueueinfo": (Check(0, own),),
        "rt_tgsigqueueinfo": (Check(0, own),),
        "prlimit64": (Check(0, itself),),
        "sched_setaffinity": (Check(0, itself, otherwise=Action.REFUSE),),
    }


_CLONE_THREAD: Final = 0x00010000
_CLONE_NAMESPACES: Final = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME (linux/sched.h)."""

_O_TRUNC: Final = 0o1000
_OPEN_FOR_CHANGE: Final = 0o1103
"""O_WRONLY, O_RDWR, O_CREAT and O_TRUNC, the same on both architectures."""


OPENS: Final = {"open": 1, "openat": 2}
"""Which argument the flags are."""


def truncates_to_read(flags: int) -> bool:
    """Return True for flags by which a file is emptied and opened to be read."""
    return flags & (_O_TRUNC | 3) == _O_TRUNC


def _opens(flags: int) -> tuple[Check, ...]:
    """Return what holds of the flags of an open: a file that is opened to be read isn't truncated
    (Landlock before its version 3 doesn't see that)."""
    accesses = range(4)  # the two lowest bits: to read, to write, both, neither
    fine = [each | more for each in accesses for more in (0, _O_TRUNC)]
    return (
        Check(flags, tuple(each for each in fine if not truncates_to_read(each)), _O_TRUNC | 3),
        Check(flags, (0,), _OPEN_FOR_CHANGE, otherwise=Action.ASK),
    )


_FCNTL_COMMANDS: Final = (
    *(0, 1, 2, 3, 4),  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL
    *(5, 6, 7, 36, 37, 38),  # locks
    *(9, 11, 16),  # F_GETOWN, F_GETSIG, F_GETOWN_EX; setting these sends signals to others
    *(1025, 1027, 1028, 1030),  # F_GETLEASE, F_DUPFD_QUERY, F_CREATED_QUERY, F_DUPFD_CLOEXEC
    *(1031, 1032, 1033, 1034, 1035, 1037),  # pipe sizes, seals of a memfd, F_GET_RW_HINT
)
_IOCTLS: Final = (
    *(0x5401, 0x802C542A, 0x5413, 0x540F, 0x5429),  # TCGETS, TCGETS2, TIOCGWINSZ, -PGRP, -SID
    *(0x5411, 0x541B, 0x5421, 0x5450, 0x5451),  # TIOCOUTQ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
    *(0x8910, 0x8912, 0x8913, 0x8915, 0x8919, 0x891B, 0x8921, 0x8927, 0x8933),  # SIOCGIF...
    0x80086601,  # FS_IOC_GETFLAGS
)
"""Those that only read, or change nothing but a descriptor. Others change files through descriptors
that are open for reading (FS_IOC_SETFLAGS), type into terminals (TIOCSTI), set up interfaces."""
_PRCTLS: Final = (
    *(2, 3, 15, 16, 21, 23, 27, 29, 30, 38, 39, 42),  # getters, PR_SET_NAME, PR_SET_TIMERSLACK
    0x53564D41,  # PR_SET_VMA: names of memory, by which malloc calls its own
)
"""Not PR_SET_PDEATHSIG: what ends this process with its parent stays."""

_LOCAL_SOCKETS: Final = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_KINDS_OF_SOCKETS: Final = (1, 2)  # SOCK_STREAM, SOCK_DGRAM

_CHECKS: Final[Rules] = {
    "clone": (Check(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NAMESPACES),),
    # Clients make sockets when they are created; none can be connected.
    "socket": (
        Check(0, _LOCAL_SOCKETS, otherwise=Action.REFUSE),
        Check(1, _KINDS_OF_SOCKETS, 0xF),
    ),
    "socketpair": (Check(0, (1,)),),
    "setsockopt": (Check(1, (1, 6), otherwise=Action.REFUSE),),  # SOL_SOCKET, IPPROTO_TCP
    "sendto": (Check(4, (0,)), Check(4, (0,), high=True)),  # to whom it is connected: a socketpair
    **{name: _opens(flags) for name, flags in OPENS.items()},
    "fcntl": (Check(1, _FCNTL_COMMANDS),),
    "ioctl": (Check(1, _IOCTLS, otherwise=Action.REFUSE),),
    "prctl": (Check(0, _PRCTLS, otherwise=Action.REFUSE),),
    "personality": (Check(0, (0xFFFFFFFF,)),),  # what it is
}


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


ABSENT: Final = _names("clone3 openat2 io_uring_setup io_uring_enter io_uring_register")
"""What the arguments of these mean is in memory, which a filter can't see."""

QUIET: Final = _names(
    """
    mlock mlock2 mlockall bind sched_setscheduler sched_setparam sched_setattr
    set_mempolicy_home_node migrate_pages move_pages seccomp setsid setpgid adjtimex clock_adjtime
    syslog modify_ldt kcmp get_kernel_syms query_module _sysctl uselib
    """
)
"""Refused without a word: harmless ones that libraries try, or that do nothing by themselves."""

ASKED: Final = _names(
    """
    creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink
    symlinkat truncate
    """
)
"""What changes files by their path."""

ALLOWED: Final = _names(
    """
    read write close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction
    rt_sigprocmask rt_sigreturn pread64 pwrite64 readv writev access pipe select sched_yield
    mremap msync mincore madvise dup dup2 pause nanosleep getitimer alarm setitimer getpid sendfile
    recvfrom recvmsg shutdown getsockname getpeername getsockopt exit wait4 uname shmdt flock fsync
    fdatasync ftruncate getdents getcwd chdir fchdir readlink umask gettimeofday getrlimit setrlimit
    getrusage sysinfo times getuid getgid geteuid getegid getppid getpgrp getgroups getresuid
    getresgid getpgid getsid capget rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack ustat
    statfs fstatfs sysfs getpriority sched_getparam sched_getscheduler sched_get_priority_max
    sched_get_priority_min sched_rr_get_interval munlock munlockall arch_prctl sync gettid readahead
    getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr time futex sched_getaffinity
    set_thread_area get_thread_area epoll_create epoll_ctl_old epoll_wait_old remap_file_pages
    getdents64 set_tid_address restart_syscall fadvise64 timer_create timer_settime timer_gettime
    timer_getoverrun timer_delete clock_gettime clock_getres clock_nanosleep exit_group epoll_wait
    epoll_ctl mbind set_mempolicy get_mempolicy waitid ioprio_get inotify_init inotify_add_watch
    inotify_rm_watch newfstatat readlinkat faccessat pselect6 ppoll set_robust_list get_robust_list
    splice tee sync_file_range vmsplice epoll_pwait signalfd timerfd_create eventfd fallocate
    timerfd_settime timerfd_gettime signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv
    pwritev recvmmsg name_to_handle_at syncfs getcpu sched_getattr getrandom memfd_create membarrier
    copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx rseq pidfd_open
    close_range faccessat2 epoll_pwait2 landlock_create_ruleset landlock_add_rule
    landlock_restrict_self futex_waitv cachestat map_shadow_stack futex_wake futex_wait
    futex_requeue statmount listmount lsm_get_self_attr lsm_list_modules mseal getxattrat
    listxattrat file_getattr
    """
)
"""What reads, waits, or works on memory and on what is open already."""


def action_of(name: str) -> Action:
    """Return what a call comes to that depends on no argument."""
    if name in ALLOWED:
        return Action.ALLOW
    if name in ABSENT:
        return Action.ABSENT
    if name in ASKED:
        return Action.ASK
    return Action.REFUSE if name in QUIET else Action.TELL
