"""Ctrl-C while a handler runs: the command ends, whatever the handler does.

Python raises KeyboardInterrupt in the main thread. A handler may catch it there, or keep the main
thread waiting for others of its threads; so it is raised again until it got through, and in the end
the command ends without it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Final, NoReturn

from durable_cli.exits import Exit
from durable_core import interrupts
from durable_core.sandbox.process_exit import exit_for_real

_AGAIN_SECONDS: Final = 0.3
_TIMES: Final = 8
_LEFT: Final = b"\0"


class CtrlC:
    """The block in which Ctrl-C gets through. `give_up` is called with what came of the simulation
    until then, in a thread of its own, where the handler doesn't end; the process ends after it.

    Does nothing outside of the main thread, and where SIGINT does something else already.
    """

    def __init__(self, give_up: Callable[[object], int]) -> None:
        self._give_up = give_up
        self._is_on = False

    def __enter__(self) -> CtrlC:
        is_main = threading.current_thread() is threading.main_thread()
        self._is_on = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._is_on:
            self._streams, self._stdout = (sys.stdout, sys.stderr), _duplicate(1)
            self._reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            self._thread = threading.Thread(target=self._watch, name="ctrl-c", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_on:
            self._is_on = False
            signal.set_wakeup_fd(self._before)
            os.write(self._writer, _LEFT)
            self._thread.join()
            for each in (self._reader, self._writer, self._stdout):
                if each is not None:
                    os.close(each)

    def _watch(self) -> None:
        while (seen := os.read(self._reader, 1)) != _LEFT:
            if seen == bytes((signal.SIGINT,)) and not self._raise_again():
                return

    def _raise_again(self) -> bool:
        """Interrupt the main thread until that got through; return False when the block has ended.

        Its own signal comes back through the pipe, as the handler's others do.
        """
        for _ in range(_TIMES):
            until = time.monotonic() + _AGAIN_SECONDS
            while (left := until - time.monotonic()) > 0:
                ready, _, _ = select.select([self._reader], [], [], left)
                if ready and os.read(self._reader, 1) == _LEFT:
                    return False
            if interrupts.is_taken():
                return True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return self._end()

    def _end(self) -> NoReturn:
        """End the process with a report, although the handler goes on."""
        sys.stdout, sys.stderr = self._streams
        if self._stdout is not None:
            os.dup2(self._stdout, 1)
        status = int(Exit.INTERRUPTED)
        with suppress(BaseException):
            status = self._give_up(interrupts.interrupted_run())
        leave(status)


@contextmanager
def finishing() -> Iterator[list[int]]:
    """Let the block end in spite of Ctrl-C, which is in the list then; a second one ends it."""
    noted: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is not signal.default_int_handler:
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        noted.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def leave(status: int) -> NoReturn:
    """End the process without waiting for its other threads, and the processes that it started."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    with suppress(OSError):
        _end_descendants()
    exit_for_real(status)


def leaves_something() -> bool:
    """Tell whether a handler has left running what would keep this process from ending, or stay
    behind: threads that are waited for, or processes."""
    if any(not each.daemon for each in threading.enumerate()[1:]):
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


_GRACE_SECONDS: Final = 0.5


def _end_descendants() -> None:
    """End what this process started: what doesn't end, when it is told to, is killed."""
    left = _told(_descendants(os.getpid()), signal.SIGTERM)
    until = time.monotonic() + _GRACE_SECONDS
    while left and time.monotonic() < until:
        time.sleep(0.01)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = _told(left, 0)
    if left:
        _told(dict.fromkeys([*_descendants(os.getpid()), *left]), signal.SIGKILL)


def _told(processes: Iterable[int], number: int) -> list[int]:
    """Send a signal to the processes and return those that are still there."""
    there = []
    for each in processes:
        with suppress(OSError):
            os.kill(each, number)
            there.append(each)
    return there


def _descendants(root: int) -> list[int]:
    """Return the processes that a process started, and those that they did."""
    import subprocess

    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="],
        env={"PATH": os.defpath},  # the user's may have the current folder in it
        capture_output=True,
        check=False,
    )
    numbers = [int(each) for each in listed.stdout.split()]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    found = [root]
    for each in found:
        found += [pid for pid, parent in pairs if parent == each]
    return [each for each in found[1:] if each != _tracker()]


def _tracker() -> int | None:
    """Return the process that `multiprocessing` starts beside its own: it ends with this one."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    return getattr(getattr(module, "_resource_tracker", None), "_pid", None)


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:
        return None
