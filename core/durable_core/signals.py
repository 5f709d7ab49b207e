"""What ends user code from outside of it. All of it passes `except Exception`.

Everything here that asks code to stop is an `asyncio.CancelledError`: `gather`, `TaskGroup` and
`timeout` already know what to do with it, and `finally` blocks run.
"""

from __future__ import annotations

import signal
import threading
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT
from types import FrameType

from durable_core.model import ErrorObject


class InvocationEnding(CancelledError):
    """The invocation is over: suspended, failed or crashed. No operation can be asked for."""


class UnitStopping(CancelledError):
    """The context that the code runs in is complete or short-circuited: its work isn't wanted."""


class ProcessDied(BaseException):
    """The process that ran the invocation is gone: a crash, injected or by the user's exit.

    Nothing can be done about it, so nothing may catch it. `status` is its exit status, `error` what
    ended it where that was an exception of the user's; `timed_out`: it ran into its timeout.
    """

    def __init__(
        self,
        why: str,
        status: int = 1,
        error: ErrorObject | None = None,
        *,
        timed_out: bool = False,
    ) -> None:
        super().__init__(why)
        self.status = status
        self.error = error
        self.timed_out = timed_out


class Overdue(BaseException):
    """The virtual time has come to the invocation's timeout."""


def exit_status(error: BaseException) -> int:
    """Return the exit status of a process whose main program lets this through, negative for the
    signal that Python ends itself with.

    Lambda's runtime for Python answers for an `Exception` only; any other ends its process
    (`awslambdaric` 4.2.2, `bootstrap.handle_event_request`). A SystemExit with a text, which Python
    prints, has status 1.
    """
    if isinstance(error, KeyboardInterrupt):
        return -SIGINT
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


class CheckpointFailed(BaseException):
    """A checkpoint could not be persisted, so nothing that follows could be either.

    `cause` is the error that the invocation ends with.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _State:
    """What is known of the signal while a simulation runs. `runs` are those that run, the outermost
    first: each returns what came of it so far."""

    def __init__(self) -> None:
        self.runs: list[Callable[[], object]] = []
        self.arrived = False
        self.taken = False


_state = _State()


@contextmanager
def noting_interrupts(so_far: Callable[[], object]) -> Iterator[None]:
    """Note that SIGINT arrives while the block runs; what it does otherwise stays the same.

    `so_far` returns what came of the work in the block until now. Signals reach Python's main
    thread only: in any other this does nothing.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        _state.arrived = True
        before(number, frame)

    if not _state.runs:
        _state.arrived = _state.taken = False
    _state.runs.append(so_far)
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _state.runs.pop()


def is_interrupted() -> bool:
    """Return True when SIGINT has arrived in the block of `noting_interrupts` that runs: a
    KeyboardInterrupt is the user's Ctrl-C then."""
    return bool(_state.runs) and _state.arrived


def take_interrupt() -> None:
    """Note that Ctrl-C has got through to what ends the run: it need not be raised again."""
    _state.taken = True


def is_taken() -> bool:
    """Return True when what Ctrl-C ends is about to end."""
    return _state.taken


def interrupted_run() -> object:
    """Return what came of the outermost run until now, or None where none runs."""
    return _state.runs[0]() if _state.runs else None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Start a process that no Ctrl-C reaches: it is for us to say so, and to end it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
