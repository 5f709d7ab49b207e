"""Python's clocks, such that code which is served by a clock of ours reads that one.

Changed are the functions of `time`, the methods of `datetime.datetime` and `datetime.date` that
read the time, and the waits that only let time pass. Which thread is served, and by which clock, is
said by `served_by`, or for all of a process by `serve_all`; any other reads the real time. A thread
is served as the one that started it.

The methods of `datetime` are changed in the types themselves, which Python doesn't provide for: a
class put in their place is another type, so that `type(x) is datetime`, pickles, models of pydantic
and names that were imported before go wrong.
"""

from __future__ import annotations

import datetime as datetime_module
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from types import FrameType, ModuleType
from typing import Any, Final, Protocol, TypeVar

REAL_TIME: Final = frozenset(
    {"asyncio", "aws_durable_execution_sdk_python", "boto3", "botocore", "concurrent"}
    | {"durable_cli", "durable_core", "multiprocessing", "queue", "selectors", "socket", "ssl"}
    | {"subprocess", "threading", "urllib3"}
)
"""Packages whose code goes on reading the real time, and waits in it: they wait for what is outside
of the process, sign requests, or are ours."""
_THROUGH: Final = frozenset({__name__, "datetime", "durable_core.sandbox.threads.patches", "time"})
"""Modules through which the time is read: who called them is the one who reads."""


Function = TypeVar("Function", bound=Callable[..., Any])


class Clock(Protocol):
    """What serves code with the time. `function` is what was called: `time.time`."""

    def seconds(self, function: str) -> float | None:
        """Return the seconds since 1970; None: the code has to read the real time."""

    def monotonic(self, function: str) -> float | None:
        """Return the seconds of a clock that counts from any beginning; None as of `seconds`."""

    def nanoseconds(self, seconds: float) -> int:
        """Return what was read, in nanoseconds."""

    def sleep(self, seconds: float) -> bool:
        """Let the time pass. Return False where the code has to wait really."""

    def wait(self, seconds: float) -> bool:
        """Let the time pass for a wait that another thread could end. Return False as `sleep`."""


# -- who is served -----------------------------------------------------------------------------


class _Service:
    """The clock of a thread and of those that it starts; None between invocations."""

    __slots__ = ("clock",)

    def __init__(self, clock: Clock | None) -> None:
        self.clock = clock


_services: dict[int, _Service] = {}
_for_all: Clock | None = None


@contextmanager
def served_by(clock: Clock | None) -> Iterator[None]:
    """Serve this thread, and those that it starts, with a clock while the block runs."""
    service = _services.get(get_ident())
    if service is None:
        service = _services[get_ident()] = _Service(None)
        before = None
        is_first = True
    else:
        before, is_first = service.clock, False
    service.clock = clock
    try:
        with in_place():
            yield
    finally:
        service.clock = before
        if is_first:
            _services.pop(get_ident(), None)


def clock_of_thread() -> Clock | None:
    """Return the clock that `served_by` gives to this thread, or None."""
    service = _services.get(get_ident())
    return None if service is None else service.clock


def serve_all(clock: Clock) -> None:
    """Serve all code of this process with a clock, for good. It may ask `clock_of_thread`."""
    global _for_all
    _put_in_place()
    _for_all = clock


def _serving() -> Clock | None:
    return _for_all if _for_all is not None else clock_of_thread()


def is_alone() -> bool:
    """Return True when no thread runs beside this one that is served with it."""
    mine = _services.get(get_ident())
    return sum(each is mine for each in list(_services.values())) <= 1


def caller() -> FrameType | None:
    """Return the frame that reads the time, to be asked by what a clock is asked for."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") != __name__:
        frame = frame.f_back
    while frame is not None and frame.f_globals.get("__name__") in _THROUGH:
        frame = frame.f_back
    return frame


def reads_real_time(frame: FrameType | None) -> bool:
    """Return True for code that goes on reading the real time."""
    return frame is None or package_of(frame) in REAL_TIME


def package_of(frame: FrameType) -> str:
    """Return the package, or the module that is in none, whose code a frame runs."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


# -- putting it in place -----------------------------------------------------------------------

_depth = 0
_undo: list[Callable[[], None]] = []
_lock = threading.Lock()


@contextmanager
def in_place() -> Iterator[None]:
    """Have the clocks changed while the block runs. Names that are imported in it stay changed:
    they read the real time again where no clock serves them."""
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _put_in_place()
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and _for_all is None:
                while _undo:
                    _undo.pop()()


def _put_in_place() -> None:
    if _undo:
        return
    replaced: dict[int, tuple[Any, Any]] = {}
    for owner, name, make in _PLACES:
        real = getattr(owner, name)
        function = _made_for(real, make)
        _put(owner, name, function)
        if owner is time:
            replaced[id(real)] = (real, function)
    for kind, name, method in _METHODS:
        _put_in_type(kind, name, method)
    _put_in_modules(replaced)


_made: dict[Any, Any] = {}


def _made_for(real: Any, make: Callable[[Any], Any]) -> Any:
    """Return what takes the place of a function: made once, since that takes time."""
    if real not in _made:
        _made[real] = _like(real, make(real))
    return _made[real]


def _put(owner: Any, name: str, value: Any) -> None:
    before = getattr(owner, name)

    def undo() -> None:
        if getattr(owner, name) is value:
            setattr(owner, name, before)

    setattr(owner, name, value)
    _undo.append(undo)


def _put_in_type(kind: type, name: str, value: Any) -> None:
    """Change a method of a type that is written in C."""
    import ctypes

    members: dict[str, Any] = gc.get_referents(kind.__dict__)[0]
    before = members[name]
    _REAL[kind, name] = before

    def put(method: Any) -> None:
        members[name] = method
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))

    put(value)
    _undo.append(lambda: put(before))


_REAL: Final[dict[tuple[type, str], Any]] = {}

_scanned: dict[str, ModuleType] = {}
_holding: dict[str, ModuleType] = {}


def _put_in_modules(replaced: dict[int, tuple[Any, Any]]) -> None:
    """Change names such as those of `from time import time` too, in the modules of the user's own
    that were imported before."""
    for name in sys.modules.keys() - _scanned.keys():
        module = _scanned[name] = sys.modules[name]
        if _may_hold(name, module) and any(id(each) in replaced for each in vars(module).values()):
            _holding[name] = module
    for module in list(_holding.values()):
        for name, value in list(vars(module).items()):
            if id(value) in replaced and replaced[id(value)][0] is value:
                _put(module, name, replaced[id(value)][1])


def _may_hold(name: str, module: ModuleType) -> bool:
    root = name.partition(".")[0]
    return isinstance(module, ModuleType) and not (
        root in sys.stdlib_module_names or root in REAL_TIME
    )


# -- what is put there -------------------------------------------------------------------------


def _reading(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return what takes the place of a function that reads a clock, or the one that it is given."""
    name = real.__name__
    function, is_exact = f"time.{name}", name.endswith("_ns")
    is_date = name.startswith("time")

    def read(*which: int) -> Any:
        clock = _serving()
        seconds: float | None = None
        if clock is not None and (is_date or which == (_REALTIME,)):
            seconds = clock.seconds(function)
        elif clock is not None:
            seconds = clock.monotonic(function)
        if clock is None or seconds is None:
            return real(*which)
        return clock.nanoseconds(seconds) if is_exact else seconds

    return read


_REALTIME: Final = getattr(time, "CLOCK_REALTIME", None)


def _calendar(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return what takes the place of a function to which the time may be given."""
    function, local = f"time.{real.__name__}", time.localtime
    position = 1 if real.__name__ == "strftime" else 0
    takes_tuple = real.__name__ in ("strftime", "asctime")

    def read(*args: Any) -> Any:
        is_given = len(args) > position and (takes_tuple or args[position] is not None)
        clock = None if is_given else _serving()
        seconds = None if clock is None else clock.seconds(function)
        if seconds is None:
            return real(*args)
        return real(*args[:position], local(seconds) if takes_tuple else seconds)

    return read


def _sleeping(real: Callable[[float], None]) -> Callable[[float], None]:
    def sleep(seconds: float, /) -> None:
        clock = _serving()
        if clock is None or not _is_time(seconds) or not clock.sleep(float(seconds)):
            real(seconds)

    return sleep


def _is_time(seconds: object) -> bool:
    """Return False for what `sleep` refuses."""
    try:
        return 0 <= float(seconds) < 2**31  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _waiting(real: Callable[..., bool]) -> Callable[..., bool]:
    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        clock = None if timeout is None or self.is_set() else _serving()
        if clock is not None and _is_time(timeout) and clock.wait(float(timeout or 0)):
            return self.is_set()
        return real(self, timeout)

    return wait


def _starting(real: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    def start(self: threading.Thread) -> None:
        service = _services.get(get_ident())
        if service is not None:
            self.run = _served(self.run, service)  # type: ignore[method-assign]
        real(self)

    return start


def _served(run: Callable[[], None], service: _Service) -> Callable[[], None]:
    def served() -> None:
        _services[get_ident()] = service
        try:
            run()
        finally:
            _services.pop(get_ident(), None)

    return served


def _now(cls: Any, tz: datetime_module.tzinfo | None = None) -> Any:
    clock = _serving()
    seconds = None if clock is None else clock.seconds("datetime.now")
    if seconds is None:
        return _REAL[datetime_module.datetime, "now"].__get__(None, cls)(tz)
    return cls.fromtimestamp(seconds, tz)


def _utcnow(cls: Any) -> Any:
    clock = _serving()
    seconds = None if clock is None else clock.seconds("datetime.utcnow")
    if seconds is None:
        return _REAL[datetime_module.datetime, "utcnow"].__get__(None, cls)()
    return cls.fromtimestamp(seconds, datetime_module.UTC).replace(tzinfo=None)


def _today(cls: Any) -> Any:
    clock = _serving()
    kind = "datetime" if issubclass(cls, datetime_module.datetime) else "date"
    seconds = None if clock is None else clock.seconds(f"{kind}.today")
    if seconds is None:
        return _REAL[datetime_module.date, "today"].__get__(None, cls)()
    return cls.fromtimestamp(seconds)


_CLOCKS: Final = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
_READ: Final = (*_CLOCKS, *(f"{name}_ns" for name in (*_CLOCKS, "clock_gettime")), "clock_gettime")
_PLACES: Final[tuple[tuple[Any, str, Callable[[Any], Any]], ...]] = (
    *((time, name, _reading) for name in _READ if hasattr(time, name)),
    *((time, name, _calendar) for name in ("localtime", "gmtime", "ctime", "asctime", "strftime")),
    (time, "sleep", _sleeping),
    (threading.Event, "wait", _waiting),
    (threading.Thread, "start", _starting),
)
_METHODS: Final[tuple[tuple[type, str, Any], ...]] = (
    (datetime_module.datetime, "now", classmethod(_now)),
    (datetime_module.datetime, "utcnow", classmethod(_utcnow)),
    (datetime_module.date, "today", classmethod(_today)),
)


def _like(real: Any, function: Function) -> Function:
    """Give a function the names of what it takes the place of, by which pickle finds it."""
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        if (value := getattr(real, name, None)) is not None:
            setattr(function, name, value)
    return function
