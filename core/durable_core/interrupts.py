"""Ctrl-C, told apart from a KeyboardInterrupt that a handler's own code raises.

Both are the same exception. Here the signal is noted when it arrives, before the exception that it
becomes is raised.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_depth = 0
_pressed = False


@contextmanager
def noting_interrupts() -> Iterator[None]:
    """Note that SIGINT arrives while the block runs; what it does otherwise stays the same.

    Signals reach Python's main thread only: in any other this does nothing.
    """
    global _depth, _pressed
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        global _pressed
        _pressed = True
        before(number, frame)

    if _depth == 0:
        _pressed = False
    _depth += 1
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        _depth -= 1
        signal.signal(signal.SIGINT, before)


def is_interrupted() -> bool:
    """Return True when SIGINT has arrived since the outermost block of `noting_interrupts` began:
    a KeyboardInterrupt is the user's Ctrl-C then."""
    return _depth > 0 and _pressed
