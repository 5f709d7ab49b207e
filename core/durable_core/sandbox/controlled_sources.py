"""Clocks, random numbers and UUIDs that give what we choose, to find who depends on them.

For a process of its own only: Python's modules `time`, `datetime`, `random`, `uuid` and `os` are
changed for good, before the handler is imported. Code of ours, of AWS's SDK and of the parts of
Python that keep their own time goes on reading the real ones.

Outside of steps a source is either *held* (the same values in every run and every invocation) or
*varied* (other ones in each). In the body of a step the values are the same in every run.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection
from random import Random as _RealRandom
from types import FrameType
from typing import Final

from durable_core.sandbox import chance_sources as chance_readings
from durable_core.sandbox import lambda_context, set_orders
from durable_core.sandbox import lambda_sources as lambda_readings
from durable_core.sandbox import process_sources as process_readings
from durable_core.sandbox.handler_clock import HandlerClock, monotonic_of
from durable_core.sandbox.process_clocks import clock_of_thread, serve_all
from durable_core.sandbox.sources import NondeterministicRead, Source
from durable_core.sandbox.step_bodies import running_body
from durable_core.sandbox.user_code import is_installed, is_users

_EXEMPT: Final = frozenset(
    {"aws_durable_execution_sdk_python", "asyncio", "botocore", "concurrent", "durable_core"}
    | {"importlib", "logging", "queue", "selectors", "sched", "socket", "ssl", "subprocess"}
    | {"tempfile", "threading", "urllib3", "weakref", "zipfile", "_strptime"}
)
_INSIDE: Final = frozenset(
    {"datetime", "random", "secrets", "time", "uuid", __name__, serve_all.__module__}
    | {chance_readings.__name__, lambda_readings.__name__, lambda_context.__name__}
    | {process_readings.__name__, set_orders.__name__}
)
"""Modules through which a source is read: who called them is the one who reads."""

_BEGINS_AT: Final = 1_767_225_600.0  # 2026-01-01T00:00:00Z, where simulated executions start
_RUNS_APART: Final = 40 * 86_400 + 7 * 3_600 + 13 * 60 + 17.25
_PAIRS_APART: Final = 3_661.001001
"""On top of it, so that whatever is asked of the time has another answer in a verification's second
run: morning or afternoon, the day of the week, an even or odd hour, minute, second or fraction."""
_READS_APART: Final = 14 * 86_400.0
"""Between one reading of the time and the next: the same weekday, hour, minute and second, so that
what is asked of a later one has another answer too."""
_HASTE_AFTER: Final = 20
_LATE_MILLISECONDS: Final = 437
"""What remains of an invocation that is about to be ended."""


def _ambling(reads: int) -> float:
    """Return how much later it is after some readings where next to no time goes by: a verification
    has one run in which it takes next to nothing between two readings, and one in which it takes
    days. Code that waits for the time to pass gets there nevertheless."""
    return reads * 0.002 + max(0, reads - _HASTE_AFTER) * 60.0


_MIRRORED: Final = 1
"""Of four variations, the one that draws the opposite: a verification's second run."""
_TURNED: Final = (1, 2)
"""Of four variations, those in which orders are turned round."""


def readings_of_verification(run: int) -> ControlledSources:
    """Return the readings of a verification's run, from 0, which vary everything.

    The first and the second draw opposite numbers and walk in opposite orders, and time goes by in
    one of them only.
    """
    return ControlledSources(2 * (run ^ 1) + 1, tuple(Source), slow_clock=run % 2 == 0)


class ControlledSources:
    """The values of one run. `variation` numbers the run, `varied` are the sources to vary.

    `slow_clock`: next to no time goes by between two readings of it; else it is days.
    """

    def __init__(
        self, variation: int, varied: Collection[Source], *, slow_clock: bool = False
    ) -> None:
        self._ambles = slow_clock
        self._variation = variation
        self._varied = frozenset(varied)
        self._counts: Counter[object] = Counter()
        self._numbers: dict[int, tuple[int, object]] = {}
        self._imported: dict[int, tuple[int, object]] | None = None
        self.epoch = 0
        self.invocation = 0
        """Which invocation runs, from 1; 0 while modules are imported."""
        self.is_read = False
        """True once something is read that may tell two runs apart; while modules are imported,
        once one of the user's own project does."""
        self._is_read_by_import = False
        self._reads: dict[NondeterministicRead, None] = {}

    @property
    def reads(self) -> tuple[NondeterministicRead, ...]:
        """The places outside of steps that read something, in the order of their first time."""
        return tuple(self._reads)

    def new_invocation(self) -> None:
        """Let held sources begin again: an invocation that repeats another reads the same."""
        self._imported_all()
        self.invocation += 1
        for source in Source:
            if source not in self._varied:
                del self._counts[source]

    def begin_again(self) -> None:
        """Let all sources begin again: what is read doesn't depend on what was read before."""
        self._counts.clear()
        self._imported_all()
        self.is_read = self._is_read_by_import
        if self._imported is None:
            self._imported = dict(self._numbers)
        self._numbers = dict(self._imported)
        self.epoch += 1
        self.invocation = 1

    def _imported_all(self) -> None:
        if self.invocation == 0:
            self._is_read_by_import = self.is_read

    def forget_reads(self) -> tuple[NondeterministicRead, ...]:
        """Return the places noted so far, to note none of them from now on but those read again."""
        reads = self.reads
        self._reads.clear()
        return reads

    # -- what is read --------------------------------------------------------------------------

    def _number(self, source: Source) -> tuple[str, int]:
        """Return which series of values is read, and how many have been before."""
        body = running_body.get()
        key: object = source if body is None else (source, body)
        count = self._counts[key]
        self._counts[key] += 1
        if body is not None:
            return body, count
        return (str(self._variation) if source in self._varied else "held"), count

    def seconds(self) -> float:
        """Return the time as seconds since 1970."""
        series, count = self._number(Source.TIME)
        if series == str(self._variation) and Source.TIME in self._varied:
            later = _ambling(count) if self._ambles else count * _READS_APART
            return self.began_at(Source.TIME) + later
        return self._base(count)

    @staticmethod
    def _base(reads: int) -> float:
        """Return the time that is varied: the virtual one of a simulation; where there is none, it
        passes by being read."""
        clock = clock_of_thread()
        return clock.now() if isinstance(clock, HandlerClock) else _BEGINS_AT + reads * 0.001

    def began_at(self, source: Source) -> float:
        """Return the time before any was read, as seconds since 1970, where `source` tells it."""
        if source not in self._varied:
            return self._base(0)
        apart = self._variation * _RUNS_APART + self._variation // 2 * _PAIRS_APART
        return self._base(0) + apart

    def milliseconds_left(self, most: int) -> int:
        """Return how long an invocation may go on that may take `most` milliseconds: next to
        nothing in a verification's second run; less with every reading, as in `_ambling`."""
        series, count = self._number(Source.INVOCATION)
        is_late = series.isdecimal() and int(series) % 4 in _TURNED
        left = _LATE_MILLISECONDS if is_late else most
        return max(0, left - int(_ambling(count) * 1000))

    def nanoseconds(self, seconds: float) -> int:
        """Return the time in nanoseconds; the last of them is another one too."""
        return int(seconds * 1_000_000_000) + self._variation // 2

    def fraction(self) -> float:
        """Return a number from 0 up to 1: the first near an end, in the next run near the other."""
        series, count = self._number(Source.RANDOM)
        spread = count * 0.7548776662466927
        if not series.isdecimal():
            return (_RealRandom(series).random() + spread) % 1.0
        pair, kind = divmod(int(series), 4)
        low = (0.015 + 0.131 * pair + (0.3 if kind == 2 else 0.0) + spread) % 1.0
        return min(1.0 - low, 1.0 - 2**-53) if kind == _MIRRORED else low

    def random_bytes(self, count: int, source: Source) -> bytes:
        """Return random bytes; in the next run of a verification every bit is the other one."""
        series, number = self._number(source)
        return self._bytes(count, source, series, str(number))

    def octets_of(self, what: str, count: int, source: Source) -> bytes:
        """Return random bytes that stand for something which is the same as long as an invocation
        takes, or an environment lives; mirrored like `random_bytes`."""
        is_varied = source in self._varied
        number = self.invocation if is_varied and source is Source.INVOCATION else 0
        series = str(self._variation) if is_varied else "held"
        return self._bytes(count, source, series, f"{what}/{number}")

    @staticmethod
    def _bytes(count: int, source: Source, series: str, what: str) -> bytes:
        mirrored = series.isdecimal() and int(series) % 4 == _MIRRORED
        if mirrored:
            series = str(int(series) + 2)
        drawn = _RealRandom(f"{source}/{series}/{what}").randbytes(count)
        return bytes(255 - each for each in drawn) if mirrored else drawn

    # -- who reads it --------------------------------------------------------------------------

    def note(
        self,
        source: Source,
        function: str,
        *,
        by_users: bool = False,
        directly: bool = False,
        unless: str = "",
    ) -> bool:
        """Note who reads a source. Return False for one who has to get the real thing.

        Of what Python itself does the line is told that has it done. `by_users`: only those read it
        who do so by a line of the user's own project; `directly`: not through Python's modules.
        A line that is noted as reading `unless`, all of something, isn't for each part of it.
        """
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and _module_of(frame) in _INSIDE:
            frame = frame.f_back
        if frame is None or self.is_exempt(frame):
            return False
        top = reader = frame
        while frame is not None and not is_users(frame.f_code.co_filename):
            frame = frame.f_back
        reader = frame or reader
        file = reader.f_code.co_filename
        if (by_users or directly) and (frame is None or is_installed(file) or file[0] == "<"):
            return False
        if directly and reader is not top:
            return False
        if running_body.get() is None:
            line = reader.f_lineno
            self.is_read |= self.invocation > 0 or not is_installed(file)
            if not unless or NondeterministicRead(source, unless, file, line) not in self._reads:
                self._reads.setdefault(NondeterministicRead(source, function, file, line))
        return True

    @staticmethod
    def is_exempt(frame: FrameType) -> bool:
        """Return True for code that goes on reading the real things."""
        return _module_of(frame).partition(".")[0] in _EXEMPT

    # -- in which order ------------------------------------------------------------------------

    def reversed_order(self, source: Source, *, in_bodies: bool = False) -> bool:
        """Return True in a run in which orders are the other way round: every other one of them,
        not where the source is held, nor in the body of a step unless `in_bodies`."""
        reversed_order = source in self._varied and self._variation % 4 in _TURNED
        return reversed_order and (in_bodies or running_body.get() is None)

    def number(self, thing: object) -> int:
        """Return a number for an object: in the order in which they are first asked about.

        Objects that were numbered while the handler was imported keep theirs.
        """
        found = self._numbers.get(_real_id(thing))
        if found is None or found[1] is not thing:
            found = self._numbers[_real_id(thing)] = (len(self._numbers) + 1, thing)
        return found[0]

    # -- putting it in place -------------------------------------------------------------------

    def install(self) -> None:
        """Change Python's modules. Can't be undone."""
        serve_all(_ReadTime(self))
        chance_readings.install(self)
        set_orders.install(self)
        process_readings.install(self)
        lambda_readings.install(self)


class _ReadTime:
    """Serves a process with the time of its readings: Python's clocks ask it."""

    def __init__(self, readings: ControlledSources) -> None:
        self._readings = readings

    def seconds(self, function: str) -> float | None:
        """Return the time as seconds since 1970, and note who reads it."""
        noted = self._readings.note(Source.TIME, function)
        return self._readings.seconds() if noted else None

    def monotonic(self, function: str) -> float | None:
        """Return the time of a clock that counts from any beginning, and note who reads it."""
        seconds = self.seconds(function)
        return None if seconds is None else monotonic_of(seconds)

    def nanoseconds(self, seconds: float) -> int:
        """Return what was read, in nanoseconds."""
        return self._readings.nanoseconds(seconds)

    def sleep(self, seconds: float) -> bool:
        """Let virtual time pass where there is one."""
        clock = clock_of_thread()
        return clock is not None and clock.sleep(seconds)

    def wait(self, seconds: float) -> bool:
        """Let virtual time pass where there is one."""
        clock = clock_of_thread()
        return clock is not None and clock.wait(seconds)


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


_real_id = id
