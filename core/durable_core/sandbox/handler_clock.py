"""The clock that a handler reads while it is simulated: the virtual one of its execution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from threading import local
from typing import Final

from durable_core.sandbox.process_clocks import caller, clock_of_thread, is_alone, reads_real_time

STARTS_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulated execution starts."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TO_MONOTONIC: Final = 1_000 - int(STARTS_AT.timestamp())
_READS: Final = 1_000
_TAKES_NO_TIME: Final = nullcontext()
_real_seconds: Final = time.monotonic


def monotonic_of(seconds: float) -> float:
    """Return what clocks that count from any beginning, an event loop's too, show at a time that is
    given as seconds since 1970.

    They count on through all of an execution's invocations.
    """
    return seconds + _TO_MONOTONIC


class HandlerClock:
    """Serves the code of one invocation with virtual time.

    `elapsed` returns the virtual seconds since the invocation `began`; `pass_time` lets some pass.
    No two readings are the same: a microsecond lies between them, of which the service knows once
    they make a millisecond. Code that reads the time on and on waits for it to pass: after 1,000
    readings at one moment, each lets a millisecond pass.
    `real_durations`: what a body takes in real time passes too.
    """

    def __init__(
        self,
        began: datetime,
        elapsed: Callable[[], float],
        pass_time: Callable[[float], None],
        *,
        real_durations: bool = False,
    ) -> None:
        self._began = (began - _EPOCH) // _MICROSECOND
        self._elapsed = elapsed
        self._pass_time = pass_time
        self._real_durations = real_durations
        self._bodies = local()
        self._moment = 0
        self._reads = 0
        self._ahead = 0

    def seconds(self, function: str) -> float | None:
        """Return the virtual time as seconds since 1970."""
        return None if reads_real_time(caller()) else self._read() / 1_000_000

    def monotonic(self, function: str) -> float | None:
        """Return the virtual time as an event loop counts it."""
        if reads_real_time(caller()):
            return None
        return (self._read() + _TO_MONOTONIC * 1_000_000) / 1_000_000

    def now(self) -> float:
        """Return the virtual time as seconds since 1970, whoever asks."""
        return self._read() / 1_000_000

    def nanoseconds(self, seconds: float) -> int:
        """Return what was read, in nanoseconds."""
        return round(seconds * 1_000_000) * 1_000

    def sleep(self, seconds: float) -> bool:
        """Let virtual time pass."""
        if reads_real_time(caller()):
            return False
        self._pass_time(seconds)
        return True

    def wait(self, seconds: float) -> bool:
        """Let virtual time pass where no other thread could end the wait."""
        return is_alone() and self.sleep(seconds)

    def running(self) -> AbstractContextManager[None]:
        """Let what the block takes in real time pass, where real durations are wanted."""
        if not self._real_durations or getattr(self._bodies, "began", None) is not None:
            return _TAKES_NO_TIME
        return self._measured()

    @contextmanager
    def _measured(self) -> Iterator[None]:
        self._bodies.began = _real_seconds()
        try:
            yield
        finally:
            took, self._bodies.began = _real_seconds() - self._bodies.began, None
            self._pass_time(took)

    def _read(self) -> int:
        """Return the time in microseconds since 1970."""
        moment = self._now()
        self._reads = self._reads + 1 if moment == self._moment else 1
        self._ahead += 1
        is_waiting, self._moment = self._reads > _READS, moment
        if is_waiting or self._ahead >= _READS:
            self._pass_time(_READS / 1_000_000)
            self._ahead -= 0 if is_waiting else _READS
            self._moment = self._now()
        return self._moment + self._ahead

    def _now(self) -> int:
        elapsed = self._elapsed()
        began = getattr(self._bodies, "began", None)
        if began is not None:
            elapsed += _real_seconds() - began
        return self._began + round(elapsed * 1_000_000)


class StandingClock(HandlerClock):
    """Serves code that runs at a moment and outside of any invocation; `passed` are the seconds
    that it let pass: when a handler is imported, in a plain function."""

    def __init__(self, moment: datetime) -> None:
        self.passed = 0.0
        super().__init__(moment, lambda: self.passed, self._let_pass)

    def _let_pass(self, seconds: float) -> None:
        self.passed += seconds


def body_takes_time() -> AbstractContextManager[None]:
    """Run the body of a step or check: it takes real time where real durations are wanted."""
    clock = clock_of_thread()
    return clock.running() if isinstance(clock, HandlerClock) else _TAKES_NO_TIME
