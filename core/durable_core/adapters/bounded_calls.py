"""Calls of a server that may never end its answer, or send more of it than there is memory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

from durable_core.adapters.large_text import is_too_dense
from durable_core.limits import MIB

MOST_ANSWER_BYTES: Final = 64 * MIB
"""The largest answer that is read: the service answers with 6 MiB at most."""

DRIP_FACTOR: Final = 5
"""How many times the timeout of a read a whole answer may take: each byte may come in time."""

T = TypeVar("T")


class TooMuch(Exception):
    """The answer has more bytes than any of the service's; the text says how many at least."""


class TooSlow(Exception):
    """The answer goes on and on: it didn't end in time."""


class Sent:
    """When the request that is being answered was sent; None: none was yet."""

    def __init__(self) -> None:
        self.at: float | None = None

    def now(self) -> None:
        """Note that it is sent."""
        self.at = time.monotonic()


def ended_within(seconds: float, call: Callable[[Sent], T]) -> T:
    """Return what a call returns, made in a thread of its own.

    Raises what the call raises, and TooSlow so long after its last request was sent: the thread is
    left to itself then.
    """
    done: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
    sent = Sent()

    def run() -> None:
        try:
            found = call(sent)
            done.put(lambda: found)
        except BaseException as error:
            raised = error

            def fail() -> T:
                raise raised

            done.put(fail)

    threading.Thread(target=run, daemon=True, name="durable-request").start()
    while True:
        left = _LOOK_SECONDS if sent.at is None else sent.at + seconds - time.monotonic()
        try:
            outcome = done.get(timeout=max(0.0, min(left, _LOOK_SECONDS)))
        except queue.Empty:
            if sent.at is not None and time.monotonic() >= sent.at + seconds:
                raise TooSlow from None
            continue
        return outcome()


_LOOK_SECONDS: Final = 1.0


class Streamed(Protocol):
    """A body that comes piece by piece."""

    def stream(self, amount: int) -> Iterator[bytes]:
        """Yield its pieces."""
        ...


def body_of(raw: Streamed) -> bytes:
    """Return a body. Raises TooMuch."""
    found = bytearray()
    for piece in raw.stream(65_536):
        found += piece
        if len(found) > MOST_ANSWER_BYTES:
            raise TooMuch(f"more than {MOST_ANSWER_BYTES // MIB} MiB")
    body = bytes(found)
    if is_too_dense(body, 0, len(body)):
        raise TooMuch("so many small values that they would take many times its memory")
    return body
