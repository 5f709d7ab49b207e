"""A process of ours together with those that the handler starts in there: they end together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess


def lead_group(*, outlives_parent: bool = True) -> None:
    """Let this process have children, which belong to its group; to be called first in there.

    It was started as a daemon, so that it ends with its parent; a daemon may have no children.
    Where it doesn't outlive its parent it also ends, with its group, where that was killed.
    """
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method(None, force=True)  # ours is none of the handler's business
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    parent = multiprocessing.parent_process()
    if parent is not None and not outlives_parent:
        arguments = (parent.sentinel, os.getpid())
        threading.Thread(target=_end_with, args=arguments, daemon=True).start()


def _end_with(sentinel: int, group: int) -> None:
    wait([sentinel])
    os.killpg(group, signal.SIGKILL)


def end_group(process: BaseProcess) -> None:
    """Kill a process and what it has left running, and wait for it."""
    if hasattr(os, "killpg") and process.pid is not None:
        with suppress(ProcessLookupError, PermissionError):  # no such group, or nobody left in it
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
