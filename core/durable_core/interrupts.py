"""Ctrl-C, told apart from a KeyboardInterrupt that a handler's own code raises.

Both are the same exception. Here the signal is noted when it arrives, before the exception that it
becomes is raised.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


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
