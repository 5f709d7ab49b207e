"""What `os._exit` does while a handler runs: it ends the invocation, after what is queued is sent.

AWS's SDK queues the START of a step that runs at least once, and sends it up to 0.1 s later. On
virtual time that is no time at all: what was queued when the process ended has been sent. Otherwise
it would be a matter of chance whether the attempt that died is recorded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from durable_core.sandbox.user_code import calling_line, shown
from durable_core.verifying.verification import CodeLine

exit_for_real: Final = os._exit
"""Python's own: it ends this process, also while a handler runs."""

NEEDS_ISOLATION: Final = (
    "the handler ended its process, after which this version of AWS's SDK can't go on here: use "
    "--isolate, which gives each invocation a process of its own"
)
WRONG_USAGE: Final = 2
"""The exit code for it: the command was called in a way that can't work."""

Ending = Callable[[int], NoReturn]

_ending: tuple[int, Ending] | None = None
"""In which process an invocation runs, and what ends it there."""


def _exit(status: int) -> NoReturn:
    if _ending is None or _ending[0] != os.getpid():  # the handler's own child processes end
        exit_for_real(status)
    _ending[1](status)


def watch_exits() -> None:
    """Put ours in place of `os._exit`. It does the same while no invocation runs.

    To be called before a handler's module is imported, for those that say `from os import _exit`.
    """
    os._exit = _exit


@contextmanager
def exit_ends_invocation(send_queued: Callable[[int], None]) -> Iterator[None]:
    """Let `os._exit` end the invocation that runs inside, not this process."""

    def end(status: int) -> NoReturn:
        send_queued(status & 0xFF)
        raise SystemExit(status)

    with _ended_by(end):
        yield


class ExitAtImport(BaseException):
    """What `os._exit` raises while the handler's module is imported: there is nothing to end yet.

    No SystemExit, since its text says what was called.
    """


@contextmanager
def exit_fails_import() -> Iterator[None]:
    """Let `os._exit` raise ExitAtImport instead of ending this process."""

    def end(status: int) -> NoReturn:
        raise ExitAtImport(f"os._exit({status})")

    with _ended_by(end):
        yield


@contextmanager
def exit_is_refused() -> Iterator[None]:
    """Let `os._exit` end this process with a line that says how to go on: it can't be unwound."""

    def end(status: int) -> NoReturn:
        print(NEEDS_ISOLATION, file=sys.__stderr__, flush=True)
        exit_for_real(WRONG_USAGE)

    with _ended_by(end):
        yield


@contextmanager
def exit_sends_queued(send_queued: Callable[[int], None]) -> Iterator[None]:
    """Let `os._exit` end this process, which is the invocation's own, after a last request."""

    def end(status: int) -> NoReturn:
        send_queued(status)
        exit_for_real(status)

    with _ended_by(end):
        yield


@contextmanager
def exit_is_told(tell: Callable[[int, CodeLine | None], None]) -> Iterator[None]:
    """Let `os._exit` end this process after `tell` got the status and the line that calls it."""

    def end(status: int) -> NoReturn:
        tell(status, shown(calling_line()))
        exit_for_real(status)

    with _ended_by(end):
        yield


@contextmanager
def _ended_by(end: Ending) -> Iterator[None]:
    global _ending
    before, _ending = _ending, (os.getpid(), end)
    try:
        yield
    finally:
        _ending = before
