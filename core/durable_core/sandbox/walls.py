"""Raising the walls around this process, before it imports any code of the user's."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from socket import send_fds, socket
from typing import Final

from durable_core.frozen import dataclass
from durable_core.sandbox import landlock, seccomp
from durable_core.sandbox.rules import Check, Rules, checks
from durable_core.sandbox.system_calls import ARCHITECTURES, SystemCallTable, give_up_privileges

SWITCHED_OFF: Final = "DURABLE_WALLS_WITHOUT"
"""An environment variable for tests: which walls are absent (`landlock`, `seccomp`), as they are on
another system. What is absent is reported like any other."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What holds from now on. `missing` says what doesn't, and why, in one phrase each.
    `is_watched`: the watcher hears of what is refused."""

    missing: tuple[str, ...] = ()
    is_watched: bool = False


def raise_walls(
    scratch: str | None,
    *,
    watcher: socket | None = None,
    newest_landlock: int | None = None,
) -> Walls:
    """Give up, for good, what this process may do to the world outside; as much as the system can.

    From now on nothing is changed outside of `scratch` and no connection, program, process or
    signal to others comes from this process, whoever tries. To be called while it has one thread:
    Landlock holds for those that are started later only. `watcher` is where another process hears
    of what is refused (`watcher_of`), if the kernel has that. `newest_landlock`: use no newer
    version. Never raises.
    """
    if not sys.platform.startswith("linux"):
        return Walls((f"this system ({sys.platform}) has no Landlock and no seccomp",))
    machine = os.uname().machine
    architecture = ARCHITECTURES.get(machine)
    if architecture is None or sys.maxsize < 2**32:
        return Walls((f"the system calls of this machine ({machine}) aren't known",))
    try:
        give_up_privileges(architecture.numbers)
    except OSError as error:
        return Walls((f"privileges can't be given up: {error.strerror}",))
    version, files = _hold_files(scratch, newest_landlock)
    is_watched, calls = _hold_calls(architecture, version, watcher)
    return Walls(tuple(each for each in (files, calls) if each is not None), is_watched)


def _hold_files(scratch: str | None, newest: int | None) -> tuple[int, str | None]:
    """Return the version of Landlock in use (0: none), and what is missing."""
    if "landlock" in _switched_off():
        return 0, "changes of files: Landlock is switched off"
    if _threads() > 1:
        return 0, "changes of files: threads were running before the walls were raised"
    try:
        version = min(landlock.version(), newest or landlock.NEWEST)
        landlock.restrict_files(version, scratch)
    except OSError as error:
        return 0, f"changes of files: {_absent('Landlock', error)}"
    return version, None


def _hold_calls(
    architecture: SystemCallTable, version: int, watcher: socket | None
) -> tuple[bool, str | None]:
    """Return whether the watcher hears of it, and what is missing."""
    if "seccomp" in _switched_off():
        return False, "connections, processes and signals: seccomp is switched off"
    also = () if version == 0 or version >= landlock.TRUNCATES_SINCE else ("truncate",)
    rules = checks(os.getpid())
    # The answer to go on, which a watcher gives, came with Linux 5.5: before Landlock.
    if watcher is not None and version > 0 and _is_watched(architecture, rules, also, watcher):
        return True, None
    try:
        code = seccomp.program(architecture, rules, seccomp.UNWATCHED, also)
        seccomp.install(architecture, code)
    except OSError as error:
        return False, f"connections, processes and signals: {_absent('seccomp', error)}"
    return False, None


def _is_watched(
    architecture: SystemCallTable, rules: Rules, also: tuple[str, ...], watcher: socket
) -> bool:
    """Filter the calls and hand over where a watcher hears of them. Return False where the kernel
    hasn't that, or somebody around us watches already."""
    handing_over: Rules = {
        "sendmsg": (Check(0, (watcher.fileno(),)),),
        "seccomp": (Check(0, (seccomp.SET_MODE_FILTER,)),),
    }
    code = seccomp.program(architecture, {**rules, **handing_over}, seccomp.WATCHED, also)
    try:
        listener = seccomp.install(architecture, code, listens=True)
    except OSError:
        return False
    send_fds(watcher, [b"."], [listener])
    os.close(listener)
    seccomp.install(architecture, seccomp.refusing(architecture, handing_over))
    return True


def _absent(wall: str, error: OSError) -> str:
    if error.errno == errno.ENOSYS:
        return f"this kernel has no {wall}"
    if error.errno == errno.EOPNOTSUPP:
        return f"this kernel runs without {wall}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"the container that this runs in forbids {wall}"
    return f"{wall}: {error.strerror}"


def _switched_off() -> list[str]:
    return os.environ.get(SWITCHED_OFF, "").split(",")


def _threads() -> int:
    """Return how many threads this process has, whoever started them."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        import threading

        return threading.active_count()
