"""A process of ours together with those that the handler starts in there: they end together.

And they end with the process that started it, however that ends: a guardian, which is neither of
them, waits for that. The handler may hold up all threads of its own process.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import select
import signal
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Final

from durable_core.sandbox.descriptors import leave_resource_tracker

IMPORT_SECONDS: Final = 10.0
"""How long a handler's import may take at least, whatever `timeout` an invocation has: as long as
Lambda's init phase."""

START_SECONDS: Final = 30.0
"""How much longer than that a process may take until it begins to import."""


def lead_group() -> None:
    """Let this process have children, which belong to its group; to be called first in there.

    It was started as a daemon; a daemon may have no children. It ends, with its group, where its
    parent does.
    """
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method(None, force=True)  # ours is none of the handler's business
    leave_resource_tracker()
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    parent = multiprocessing.parent_process()
    if parent is not None and isinstance(parent.sentinel, int):
        end_with(parent.sentinel)


def end_with(parent: int) -> None:
    """Have this process and its group killed when nobody holds the other end of a pipe any more.

    `parent` is our end of it. To be called while there is one thread.
    """
    theirs, ours = os.pipe()  # what this process keeps open can't be written to
    group = os.getpgrp()
    child = os.fork()
    if child == 0:
        # Forked twice, so that it is no child of this process, for which the handler could wait.
        if os.fork() == 0:
            _guard(group, parent, ours)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(ours)
    out_of_reach(theirs)  # open as long as this process lives


def _guard(group: int, parent: int, process: int) -> None:
    """Wait until the parent or the process that is guarded ends; kill the group with the parent."""
    try:
        os.setpgid(0, 0)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        _keep_open({parent, process})
        waiting = select.poll()
        waiting.register(parent, select.POLLIN)
        waiting.register(process, 0)  # told of an error, once nobody can read
        ended = {each for each, _ in waiting.poll()}
        waiting.unregister(process)
        while parent not in ended:
            os.killpg(group, 0)  # raises where the group has ended: the parent sees to that
            ended = {each for each, _ in waiting.poll(_LOOK_SECONDS * 1_000)}
        os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)


_LOOK_SECONDS: Final = 1


def _keep_open(kept: set[int]) -> None:
    """Close all other descriptors: whoever waits for their ends must not wait for the guardian."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest = 0
    for each in sorted(kept):
        os.closerange(lowest, each)
        lowest = each + 1
    os.closerange(lowest, most if most != resource.RLIM_INFINITY else 65_536)


def out_of_reach(descriptor: int) -> int:
    """Return the descriptor under a number that code which goes through all of them, to close or to
    write to them, rarely gets to."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest = _HIGH if most == resource.RLIM_INFINITY else min(_HIGH, most - 64)
    if descriptor >= lowest:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(descriptor)
    return moved


_HIGH: Final = 4096


def end_group(process: BaseProcess) -> None:
    """Kill a process and what it has left running, and wait for it."""
    if hasattr(os, "killpg") and process.pid is not None:
        with suppress(ProcessLookupError, PermissionError):  # no such group, or nobody left in it
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
