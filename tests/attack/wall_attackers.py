"""Code that tries to get out of a process whose walls are raised; run as a program, in one process.

`python wall_attackers.py raise|none OUTSIDE SCRATCH VICTIM PORTS [LANDLOCK]`: raises the walls (or
doesn't, to see that attackers do what they are for), makes each attempt and prints, as JSON, what
came of each by its name. `OUTSIDE` is a folder that is to stay as it is, `VICTIM` the id of a
process that is, `PORTS` are those at which the caller listens, and `LANDLOCK` is the newest version
to use.
There is no in-process guard here.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODE, OUTSIDE, SCRATCH, VICTIM, PORTS = sys.argv[1:6]
OUT = Path(OUTSIDE)
FILE = OUT / "file"
VICTIM_ID = int(VICTIM)
TCP, UDP = map(int, PORTS.split(","))
ABSTRACT = f"\0durable-attack-{VICTIM}"

libc = ctypes.CDLL(None, use_errno=True)
ATTACKERS: dict[str, Callable[[], Any]] = {}
HARMS: set[str] = set()
"""Those that would do lasting harm to the machine if they got through."""
BY_MACHINE = {
    # name: (x86_64, aarch64)
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "unlinkat": (263, 35),
    "renameat2": (316, 276),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "fchmodat": (268, 53),
    "clone": (56, 220),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "ioprio_set": (251, 30),
    "io_setup": (206, 0),
    "sendto": (44, 206),
    "sendmmsg": (307, 269),
    "connect": (42, 203),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "pivot_root": (155, 41),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "mlockall": (151, 230),
    "personality": (135, 92),
    "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "syslog": (103, 116),
    "acct": (163, 89),
    "swapon": (167, 224),
    "prctl": (157, 167),
    "init_module": (175, 105),
    "sched_setattr": (314, 274),
}
MACHINE = ("x86_64", "aarch64").index(os.uname().machine)


def attacker(function: Callable[[], Any]) -> Callable[[], Any]:
    ATTACKERS[function.__name__] = function
    return function


def harmful(function: Callable[[], Any]) -> Callable[[], Any]:
    HARMS.add(function.__name__)
    return attacker(function)


def call(name: str | int, *arguments: Any) -> int:
    """Make a system call by its number. Raises OSError."""
    number = name if isinstance(name, int) else BY_MACHINE[name][MACHINE]
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return checked(libc.syscall(ctypes.c_long(number), *wide))


def checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def text(path: object) -> bytes:
    return os.fsencode(str(path))


AT_CWD = -100


# -- files ----------------------------------------------------------------------------------------


@attacker
def opens_to_write() -> None:
    FILE.write_text("changed")


@attacker
def opens_to_append() -> None:
    with FILE.open("a") as file:
        file.write("more")


@attacker
def opens_to_change() -> None:
    with FILE.open("r+") as file:
        file.write("X")


@attacker
def creates() -> None:
    os.close(os.open(OUT / "new", os.O_CREAT | os.O_EXCL | os.O_WRONLY))


@attacker
def creates_to_read() -> None:
    os.close(os.open(OUT / "new-read", os.O_CREAT | os.O_RDONLY))


@attacker
def truncates_what_it_opens_to_read() -> None:
    os.close(os.open(OUT / "truncated", os.O_TRUNC | os.O_RDONLY))


@attacker
def truncates_by_path() -> None:
    os.truncate(OUT / "truncated", 1)


@attacker
def makes_a_file_without_a_name() -> None:
    at = os.open(OUT, os.O_TMPFILE | os.O_RDWR)
    os.write(at, b"x")
    checked(libc.linkat(AT_CWD, b"/proc/self/fd/%d" % at, AT_CWD, text(OUT / "linked"), 0x400))


@attacker
def opens_by_number() -> None:
    os.write(call("openat", AT_CWD, text(OUT / "number"), os.O_CREAT | os.O_WRONLY, 0o644), b"x")


@attacker
def opens_by_openat2() -> None:
    how = struct.pack("=QQQ", os.O_CREAT | os.O_WRONLY, 0o644, 0)
    call(437, AT_CWD, text(OUT / "openat2"), how, len(how))


@attacker
def opens_by_the_c_library() -> None:
    checked(libc.open(text(OUT / "c"), os.O_CREAT | os.O_WRONLY, 0o644))


@attacker
def opens_by_stdio() -> None:
    libc.fopen.restype = ctypes.c_void_p
    if not libc.fopen(text(OUT / "stdio"), b"w"):
        raise OSError(ctypes.get_errno(), "fopen")


@attacker
def opens_relative_to_a_folder() -> None:
    at = os.open(OUT, os.O_RDONLY)
    os.close(os.open("relative", os.O_CREAT | os.O_WRONLY, dir_fd=at))


@attacker
def opens_after_changing_the_folder() -> None:
    before = Path.cwd()
    os.chdir(OUT)
    try:
        os.close(os.open("here", os.O_CREAT | os.O_WRONLY))
    finally:
        os.chdir(before)


@attacker
def opens_again_what_is_open_to_read() -> None:
    at = os.open(FILE, os.O_RDONLY)
    os.write(os.open(f"/proc/self/fd/{at}", os.O_WRONLY), b"X")


@attacker
def writes_through_a_link_in_the_scratch_folder() -> None:
    link = Path(SCRATCH) / "link"
    link.symlink_to(FILE)
    link.write_text("changed")


@attacker
def writes_from_a_thread() -> None:
    raised: list[OSError] = []

    def write() -> None:
        try:
            (OUT / "thread").write_text("x")
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


@attacker
def maps_a_file_to_write() -> None:
    at = os.open(FILE, os.O_RDWR)
    mmap.mmap(at, 4)[0] = 88


@attacker
def maps_what_is_open_to_read() -> None:
    at = os.open(FILE, os.O_RDONLY)
    mapped = mmap.mmap(at, 4, mmap.MAP_SHARED, mmap.PROT_READ)
    assert mapped[0]
    mmap.mmap(at, 4, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


@attacker
def removes() -> None:
    (OUT / "removed").unlink()


@attacker
def removes_by_number() -> None:
    call("unlinkat", AT_CWD, text(OUT / "removed-2"), 0)


@attacker
def removes_a_folder() -> None:
    (OUT / "folder").rmdir()


@attacker
def makes_a_folder() -> None:
    (OUT / "made").mkdir()


@attacker
def makes_a_folder_by_number() -> None:
    call("mkdirat", AT_CWD, text(OUT / "made-2"), 0o755)


@attacker
def renames() -> None:
    (OUT / "removed-3").rename(OUT / "renamed")


@attacker
def moves_into_the_scratch_folder() -> None:
    (OUT / "removed-4").rename(Path(SCRATCH) / "moved")


@attacker
def moves_out_of_the_scratch_folder() -> None:
    mine = Path(SCRATCH) / "mine"
    mine.write_text("x")
    mine.rename(OUT / "mine")


@attacker
def exchanges() -> None:
    mine = Path(SCRATCH) / "exchanged"
    mine.write_text("x")
    call("renameat2", AT_CWD, text(mine), AT_CWD, text(FILE), 2)


@attacker
def links_into_the_scratch_folder() -> None:
    os.link(FILE, Path(SCRATCH) / "hard")
    (Path(SCRATCH) / "hard").write_text("changed")


@attacker
def links_by_number() -> None:
    call("linkat", AT_CWD, text(FILE), AT_CWD, text(OUT / "hard"), 0)


@attacker
def makes_a_symbolic_link() -> None:
    (OUT / "symbolic").symlink_to("/")


@attacker
def makes_a_symbolic_link_by_number() -> None:
    call("symlinkat", b"/", AT_CWD, text(OUT / "symbolic-2"))


@attacker
def makes_a_pipe() -> None:
    os.mkfifo(OUT / "fifo")


@attacker
def makes_a_pipe_by_the_c_library() -> None:
    checked(libc.mkfifo(text(OUT / "fifo-2"), 0o644))


@attacker
def makes_a_device() -> None:
    os.mknod(Path(SCRATCH) / "null", 0o20666, os.makedev(1, 3))


@attacker
def makes_a_file_by_mknod() -> None:
    os.mknod(OUT / "node", 0o100644)


@attacker
def changes_the_mode() -> None:
    FILE.chmod(0o777)


@attacker
def changes_the_mode_of_what_is_open_to_read() -> None:
    os.fchmod(os.open(FILE, os.O_RDONLY), 0o777)


@attacker
def changes_the_mode_by_number() -> None:
    call("fchmodat", AT_CWD, text(FILE), 0o777)


@attacker
def changes_the_mode_by_the_newest_call() -> None:
    call(452, AT_CWD, text(FILE), 0o777, 0)


@attacker
def changes_the_owner() -> None:
    os.chown(FILE, 12, 12)


@attacker
def changes_the_times() -> None:
    os.utime(FILE, (1, 1))


@attacker
def changes_the_times_of_what_is_open_to_read() -> None:
    os.utime(os.open(FILE, os.O_RDONLY), (1, 1))


@attacker
def sets_an_attribute() -> None:
    os.setxattr(FILE, "user.durable", b"x")


@attacker
def sets_an_attribute_of_what_is_open_to_read() -> None:
    os.setxattr(os.open(FILE, os.O_RDONLY), "user.durable", b"x")


@attacker
def sets_the_flags_of_what_is_open_to_read() -> None:
    at = os.open(FILE, os.O_RDONLY)
    fcntl.ioctl(at, 0x40086602, struct.pack("=q", 0x80))  # FS_IOC_SETFLAGS, "no access times"


@attacker
def opens_a_database() -> None:
    import sqlite3

    try:
        sqlite3.connect(OUT / "database").execute("create table t (x)")
    except sqlite3.OperationalError as error:
        raise PermissionError(errno.EACCES, str(error)) from None


@harmful
def writes_to_the_kernel() -> None:
    Path("/proc/sys/kernel/domainname").write_text("durable")


@attacker
def writes_its_own_memory_as_a_file() -> None:
    os.close(os.open("/proc/self/mem", os.O_RDWR))


@attacker
def writes_its_parents_memory() -> None:
    os.close(os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR))


@attacker
def asks_to_be_killed_last() -> None:
    Path("/proc/self/oom_score_adj").write_text("1")


@attacker
def writes_to_a_terminal() -> None:
    os.close(os.open("/dev/ptmx", os.O_RDWR))


@attacker
def types_into_a_terminal() -> None:
    fcntl.ioctl(2, 0x5412, b"x")


@harmful
def shares_memory() -> None:
    checked(libc.shm_open(b"/durable-attack", os.O_CREAT | os.O_RDWR, 0o600))


@harmful
def shares_memory_of_system_v() -> None:
    call("shmget", 0x4455, 4096, 0o1600)


@harmful
def makes_semaphores() -> None:
    call("semget", 0x4455, 1, 0o1600)


@harmful
def makes_a_message_queue() -> None:
    call("msgget", 0x4455, 0o1600)


@harmful
def opens_a_message_queue() -> None:
    call("mq_open", b"durable-attack", os.O_CREAT | os.O_RDWR, 0o600, None)


@attacker
def makes_a_lock_of_multiprocessing() -> None:
    import multiprocessing

    multiprocessing.Lock()


@attacker
def opens_by_a_handle() -> None:
    handle = ctypes.create_string_buffer(struct.pack("=II", 120, 0), 128)
    mount = ctypes.c_int()
    call("name_to_handle_at", AT_CWD, text(FILE), handle, ctypes.byref(mount), 0)
    at = os.open(OUT, os.O_RDONLY)
    os.write(call("open_by_handle_at", at, handle, os.O_WRONLY), b"X")


@attacker
def submits_to_io_uring() -> None:
    call(425, 8, ctypes.create_string_buffer(120))


@attacker
def submits_input_and_output() -> None:
    call("io_setup", 1, ctypes.byref(ctypes.c_ulong()))


@attacker
def copies_into_a_file() -> None:
    source = os.open(FILE, os.O_RDONLY)
    os.copy_file_range(source, os.open(OUT / "truncated", os.O_WRONLY), 1)


@attacker
def notifies_everybody_of_a_folder() -> None:
    call("fanotify_init", 0, os.O_RDONLY)


# -- programs and processes -----------------------------------------------------------------------


def _ends(process: int) -> None:
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)


@attacker
def forks() -> None:
    _ends(os.fork())


@attacker
def forks_with_a_terminal() -> None:
    _ends(os.forkpty()[0])


@attacker
def forks_by_number() -> None:
    _ends(call("clone", signal.SIGCHLD, 0, 0, 0, 0))


@attacker
def forks_by_clone3() -> None:
    arguments = struct.pack("=8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    _ends(call(435, arguments, len(arguments)))


@attacker
def clones_into_a_namespace() -> None:
    _ends(call("clone", signal.SIGCHLD | 0x10000000, 0, 0, 0, 0))


@harmful
def executes() -> None:
    os.execv("/bin/true", ["true"])


@attacker
def executes_what_is_in_memory() -> None:
    at = os.memfd_create("program", 0)
    os.write(at, Path("/bin/true").read_bytes())
    if MODE == "raise":
        call("execveat", at, b"", None, None, 0x1000)


@attacker
def spawns() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


@attacker
def spawns_without_an_audit_event() -> None:
    import subprocess

    audit, sys.audit = sys.audit, lambda *event: None
    try:
        subprocess.run(["/bin/true"], check=True, close_fds=True)
    finally:
        sys.audit = audit


@attacker
def spawns_below_subprocess() -> None:
    import subprocess

    whole = subprocess._fork_exec
    taken: list[Any] = []

    def take(*arguments: Any) -> int:
        taken.append(arguments)
        return whole(*arguments)

    subprocess._fork_exec = take
    try:
        subprocess.Popen(["/bin/true"], cwd="/").wait()
    finally:
        subprocess._fork_exec = whole
    assert taken


@attacker
def runs_a_shell() -> None:
    import subprocess

    subprocess.run(["true"], check=True)


@attacker
def runs_a_shell_by_the_c_library() -> None:
    checked(-1 if libc.system(b"true") else 0)


@attacker
def starts_a_process_of_multiprocessing() -> None:
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()


# -- others ---------------------------------------------------------------------------------------


@attacker
def signals() -> None:
    os.kill(VICTIM_ID, signal.SIGUSR1)


@attacker
def signals_its_parent() -> None:
    os.kill(os.getppid(), 0)


@attacker
def signals_everybody() -> None:
    os.kill(-1, 0)


@attacker
def signals_a_group() -> None:
    os.killpg(os.getpgid(VICTIM_ID), 0)


@attacker
def signals_by_number() -> None:
    call("kill", VICTIM_ID, signal.SIGUSR1)


@attacker
def signals_a_thread() -> None:
    call("tgkill", VICTIM_ID, VICTIM_ID, signal.SIGUSR1)


@attacker
def signals_a_thread_by_the_old_call() -> None:
    call("tkill", VICTIM_ID, signal.SIGUSR1)


@attacker
def queues_a_signal() -> None:
    call("rt_sigqueueinfo", VICTIM_ID, signal.SIGUSR1, struct.pack("=iii", 10, 0, -1) + bytes(116))


@attacker
def signals_by_a_descriptor() -> None:
    signal.pidfd_send_signal(os.pidfd_open(VICTIM_ID), signal.SIGUSR1)


@attacker
def has_a_pipe_signal_others() -> None:
    reads, _ = os.pipe()
    fcntl.fcntl(reads, fcntl.F_SETOWN, VICTIM_ID)


@attacker
def has_a_pipe_signal_others_by_the_newer_command() -> None:
    reads, _ = os.pipe()
    fcntl.fcntl(reads, 15, struct.pack("=ii", 1, VICTIM_ID))


@attacker
def has_a_socket_signal_others() -> None:
    one, _ = socket.socketpair()
    fcntl.ioctl(one, 0x8902, struct.pack("=i", VICTIM_ID))


@attacker
def has_a_folder_signal_it() -> None:
    fcntl.fcntl(os.open(OUT, os.O_RDONLY), 1026, 0x2)


@attacker
def takes_a_lease() -> None:
    fcntl.fcntl(os.open(FILE, os.O_RDONLY), 1024, fcntl.F_RDLCK)


@attacker
def traces() -> None:
    call("ptrace", 16, VICTIM_ID, 0, 0)


@attacker
def writes_the_memory_of_others() -> None:
    byte = ctypes.create_string_buffer(1)
    part = struct.pack("=QQ", ctypes.addressof(byte), 1)
    call("process_vm_writev", VICTIM_ID, part, 1, part, 1, 0)


@attacker
def takes_a_descriptor_of_others() -> None:
    call(438, os.pidfd_open(VICTIM_ID), 0, 0)


@attacker
def changes_a_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, VICTIM_ID, 7)


@attacker
def changes_the_priority_of_a_user() -> None:
    os.setpriority(os.PRIO_USER, os.getuid(), os.getpriority(os.PRIO_USER, os.getuid()))


@attacker
def changes_a_priority_of_input() -> None:
    call("ioprio_set", 1, VICTIM_ID, 3 << 13)


@attacker
def changes_the_processors_of_others() -> None:
    os.sched_setaffinity(VICTIM_ID, {min(os.sched_getaffinity(VICTIM_ID))})


@attacker
def changes_the_scheduling_of_others() -> None:
    os.sched_setscheduler(VICTIM_ID, os.SCHED_BATCH, os.sched_param(0))


@attacker
def changes_the_scheduling_by_number() -> None:
    attributes = struct.pack("=IIQiIQQQ", 48, 3, 0, 0, 0, 0, 0, 0)
    call("sched_setattr", VICTIM_ID, attributes, 0)


@attacker
def changes_the_limits_of_others() -> None:
    import resource

    resource.prlimit(VICTIM_ID, resource.RLIMIT_CORE, (0, 0))


@attacker
def outlives_its_parent() -> None:
    call("prctl", 1, 0, 0, 0, 0)


# -- the network ----------------------------------------------------------------------------------


@attacker
def connects() -> None:
    socket.create_connection(("127.0.0.1", TCP))


@attacker
def connects_by_number() -> None:
    at = socket.socket()
    address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(TCP), bytes([127, 0, 0, 1]))
    call("connect", at.fileno(), address, len(address))


@attacker
def connects_by_the_c_library() -> None:
    at = socket.socket()
    address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(TCP), bytes([127, 0, 0, 1]))
    checked(libc.connect(at.fileno(), address, len(address)))


@attacker
def connects_with_the_first_bytes() -> None:
    socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", TCP))  # MSG_FASTOPEN


@attacker
def connects_by_asyncio() -> None:
    import asyncio

    asyncio.run(asyncio.wait_for(asyncio.open_connection("127.0.0.1", TCP), 5))


@attacker
def connects_a_unix_socket() -> None:
    at = socket.socket(socket.AF_UNIX)
    at.connect(str(OUT / "socket"))


@attacker
def connects_an_abstract_socket() -> None:
    at = socket.socket(socket.AF_UNIX)
    at.connect(ABSTRACT)


@attacker
def sends_a_datagram() -> None:
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", UDP))


@attacker
def sends_a_datagram_by_a_message() -> None:
    socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, ("127.0.0.1", UDP))


@attacker
def sends_datagrams_by_number() -> None:
    at = socket.socket(type=socket.SOCK_DGRAM)
    call("sendmmsg", at.fileno(), bytes(64), 1, 0)


@attacker
def connects_a_datagram_socket() -> None:
    at = socket.socket(type=socket.SOCK_DGRAM)
    at.connect(("127.0.0.1", UDP))
    at.send(b"x")


@attacker
def passes_a_descriptor() -> None:
    one, _ = socket.socketpair()
    socket.send_fds(one, [b"x"], [0])


@attacker
def listens() -> None:
    at = socket.socket()
    at.bind(("127.0.0.1", 0))
    at.listen()


@attacker
def listens_without_binding() -> None:
    socket.socket().listen()


@attacker
def listens_at_a_path() -> None:
    socket.socket(socket.AF_UNIX).bind(str(OUT / "listening"))


@attacker
def asks_the_kernel_about_routes() -> None:
    socket.socket(16, socket.SOCK_RAW, 0)


@attacker
def opens_a_raw_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)


@attacker
def opens_a_packet_socket() -> None:
    socket.socket(17, socket.SOCK_RAW, 0)


@attacker
def opens_a_socket_of_virtual_machines() -> None:
    socket.socket(40, socket.SOCK_STREAM)


@attacker
def opens_a_socket_of_the_kernels_ciphers() -> None:
    socket.socket(38, socket.SOCK_SEQPACKET)


@attacker
def joins_a_group() -> None:
    at = socket.socket(type=socket.SOCK_DGRAM)
    members = socket.inet_aton("239.1.2.3") + socket.inet_aton("127.0.0.1")
    at.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, members)


@attacker
def sets_up_an_interface() -> None:
    fcntl.ioctl(socket.socket(), 0x8914, struct.pack("=16sh14x", b"lo", 0x49))  # SIOCSIFFLAGS


# -- the system -----------------------------------------------------------------------------------


@harmful
def mounts() -> None:
    call("mount", b"tmpfs", text(OUT), b"tmpfs", 0, None)


@harmful
def opens_a_tree_of_mounts() -> None:
    call(428, AT_CWD, text(OUT), 1)


@harmful
def opens_a_file_system() -> None:
    call(430, b"tmpfs", 0)


@harmful
def leaves_its_namespaces() -> None:
    call("unshare", 0x00020000)


@harmful
def enters_the_namespace_of_others() -> None:
    call("setns", os.open(f"/proc/{VICTIM}/ns/mnt", os.O_RDONLY), 0)


@harmful
def changes_its_root() -> None:
    os.chroot(OUT)


@harmful
def pivots_its_root() -> None:
    call("pivot_root", text(OUT), text(OUT))


@harmful
def changes_its_user() -> None:
    os.setuid(os.getuid())


@harmful
def changes_its_groups() -> None:
    os.setgroups([])


@harmful
def sets_the_clock() -> None:
    import time

    time.clock_settime(time.CLOCK_REALTIME, time.time())


@harmful
def names_the_host() -> None:
    socket.sethostname(socket.gethostname())


@harmful
def adds_a_key() -> None:
    call("add_key", b"user", b"durable", b"x", 1, -3)


@harmful
def controls_keys() -> None:
    call("keyctl", 0, -3, 1)


@harmful
def loads_a_program_into_the_kernel() -> None:
    call("bpf", 0, bytes(128), 128)


@harmful
def loads_a_module_into_the_kernel() -> None:
    call("init_module", bytes(8), 8, b"")


@harmful
def counts_events() -> None:
    call("perf_event_open", bytes(128), 0, -1, -1, 0)


@harmful
def handles_faults() -> None:
    call("userfaultfd", 1)


@harmful
def keeps_all_memory() -> None:
    call("mlockall", 2)


@harmful
def changes_its_personality() -> None:
    call("personality", 0x0040000)


@harmful
def clears_the_log_of_the_kernel() -> None:
    call("syslog", 5, None, 0)


@harmful
def accounts() -> None:
    call("acct", None)


@harmful
def swaps() -> None:
    call("swapon", text(FILE), 0)


@harmful
def makes_secret_memory() -> None:
    call(447, 0)


@harmful
def filters_its_calls() -> None:
    call("prctl", 22, 2, None, 0, 0)


@harmful
def calls_by_the_numbers_of_x32() -> None:
    call(0x40000000 + 39)


@harmful
def makes_a_call_that_is_not_known_yet() -> None:
    call(999)


@harmful
def changes_an_attribute_by_the_newest_call() -> None:
    call(463, AT_CWD, text(FILE), 0, b"user.x", bytes(16), 16)


@harmful
def changes_attributes_of_a_file_by_the_newest_call() -> None:
    call(469, AT_CWD, text(FILE), bytes(24), 24, 0)


def main() -> None:
    missing: tuple[str, ...] = ()
    if MODE == "raise":
        from durable_core.sandbox.walls import raise_walls

        os.setpgid(0, 0)
        newest = int(sys.argv[6]) if len(sys.argv) > 6 else None
        missing = raise_walls(SCRATCH, newest_landlock=newest).missing
    outcomes: dict[str, str | None] = {}
    for name, attack in ATTACKERS.items():
        if MODE != "raise" and name in HARMS:
            continue
        try:
            attack()
        except OSError as error:
            outcomes[name] = errno.errorcode.get(error.errno or 0, str(error))
        except BaseException as error:
            outcomes[name] = repr(error)
        else:
            outcomes[name] = None
    print(json.dumps({"missing": missing, "outcomes": outcomes}))


main()
