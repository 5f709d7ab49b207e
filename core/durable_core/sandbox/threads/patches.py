"""Python's own modules, such that threads of a scheduler wait in it. Others wait as ever.

Everything in Python that blocks a thread for another one is built on few things: the lock that a
`threading.Condition` makes for each wait, `Thread.start` and `join`, `queue.SimpleQueue`,
`time.sleep`, and selectors, in which event loops wait. Those are replaced while something is inside
of `in_place`, and each replacement does what was there before for any thread that isn't scheduled.
"""

from __future__ import annotations

import _queue
import asyncio.base_events
import concurrent.futures._base as futures
import concurrent.futures.thread as pools
import logging
import queue
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from durable_core.sandbox.handler_clock import monotonic_of
from durable_core.sandbox.process_clocks import in_place as clocks_in_place
from durable_core.sandbox.threads.primitives import Lock, SimpleQueue, new_rlock, waiter
from durable_core.sandbox.threads.tasks import A_PROCESS, SECOND, TaskEnded, current_task, task_of

Put = tuple[Any, str, Any, Any]
"""An object, the name of an attribute, what was there and what takes its place."""

_MISSING: Final = object()
_REAL_MONOTONIC: Final = time.monotonic


@contextmanager
def schedulable() -> Iterator[None]:
    """Have all replacements in place, and below them those by which code reads virtual time."""
    with clocks_in_place(), in_place():
        yield


@contextmanager
def in_place() -> Iterator[None]:
    """Have all replacements in place, in this process."""
    global _users, _undo
    if _users == 0:
        _number_futures_and_threads()
        _undo = [_put(*each) for each in _replacements()]
    _users += 1
    try:
        yield
    finally:
        _users -= 1
        if _users == 0:
            for owner, name, before, ours in reversed(_undo):
                if owner.__dict__.get(name) is ours:
                    _set(owner, name, before)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], TaskEnded)


futures.LOGGER.addFilter(_is_worth_logging)  # a pool logs whatever ends its threads

_users = 0
_undo: list[Put] = []


def _put(owner: Any, name: str, ours: Any) -> Put:
    before = owner.__dict__.get(name, _MISSING)
    setattr(owner, name, ours)
    return owner, name, before, ours


def _set(owner: Any, name: str, value: Any) -> None:
    if value is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


_made: dict[tuple[Any, Any], Any] = {}


def _once(make: Callable[[Any], Any], real: Any) -> Any:
    """Return what takes the place of something: made once, as others may put theirs around it."""
    if (make, real) not in _made:
        _made[make, real] = make(real)
    return _made[make, real]


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    thread = threading.Thread
    yield threading, "_allocate_lock", waiter
    yield threading, "Lock", Lock
    yield threading, "RLock", new_rlock
    yield threading, "_time", _once(_clock, _REAL_MONOTONIC)
    yield queue, "time", _once(_clock, _REAL_MONOTONIC)
    yield queue, "SimpleQueue", SimpleQueue
    yield futures, "time", _TIME
    yield thread, "start", _once(_started, thread.start)
    yield thread, "join", _once(_joined, thread.join)
    yield thread, "is_alive", _once(_alive, thread.is_alive)
    yield time, "sleep", _once(_sleeping, time.sleep)
    pool = pools.ThreadPoolExecutor
    yield pool, "_adjust_thread_count", _once(_adjusted, pool._adjust_thread_count)
    loop = asyncio.base_events.BaseEventLoop
    yield loop, "time", _once(_loop_time, loop.time)
    for name in ("SelectSelector", "_PollLikeSelector", "EpollSelector", "KqueueSelector"):
        selector = getattr(selectors, name, None)
        if selector is not None:
            yield selector, "select", _once(_selecting, selector.select)
    yield subprocess.Popen, "__init__", _once(_noting_a_process, subprocess.Popen.__init__)


# -- clocks ------------------------------------------------------------------------------------


def _clock(real: Callable[..., float]) -> Callable[..., float]:
    def clock(*args: Any) -> float:
        task = current_task()
        return real(*args) if task is None else monotonic_of(task.scheduler.now / SECOND)

    return clock


def _loop_time(real: Callable[..., float]) -> Callable[..., float]:
    def clock(self: Any) -> float:
        task = current_task()
        if task is None:
            return real(self)
        # At numbers as large as these the clock's own would be rounded away, and a timer that is
        # due now would never be found to be.
        self._clock_resolution = 1 / SECOND
        return monotonic_of(task.scheduler.now / SECOND)

    return clock


class _Monotonic:
    """The module `time` as `concurrent.futures` uses it."""

    def __init__(self) -> None:
        self.monotonic = _clock(_REAL_MONOTONIC)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


_TIME: Final = _Monotonic()


def _sleeping(real: Callable[[float], None]) -> Callable[[float], None]:
    def sleep(seconds: float, /) -> None:
        task = current_task()
        if task is None or not isinstance(seconds, int | float) or seconds < 0:
            real(seconds)
        else:
            task.scheduler.sleep(seconds)

    return sleep


# -- threads -----------------------------------------------------------------------------------


def _started(real: Callable[[Any], None]) -> Callable[[Any], None]:
    def start(self: threading.Thread) -> None:
        task = current_task()
        if task is None or self._started.is_set():  # type: ignore[attr-defined]
            real(self)
        elif _serves_processes(self):
            task.scheduler.start_freely(self, "a pool of processes works in real time")
        else:
            task.scheduler.start(self, real)

    return start


def _serves_processes(thread: threading.Thread) -> bool:
    """Return True for the threads of `multiprocessing` and `ProcessPoolExecutor` that wait for
    pipes."""
    target = getattr(thread, "_target", None)
    modules = {type(thread).__module__, getattr(target, "__module__", "")}
    if modules & {"concurrent.futures.process", "multiprocessing.queues"}:
        return True
    if "multiprocessing.pool" not in modules:
        return False
    given = getattr(thread, "_args", ())
    kinds = {type(getattr(each, "__self__", each)).__module__ for each in given}
    return "multiprocessing.connection" in kinds


def _joined(real: Callable[..., None]) -> Callable[..., None]:
    def join(self: threading.Thread, timeout: float | None = None) -> None:
        task, other = current_task(), task_of(self)
        if task is None or other is None or other is task or other.scheduler is not task.scheduler:
            return real(self, timeout)
        if task.scheduler.join(task, other, timeout):
            real(self)  # in a moment: it does nothing any more
        return None

    return join


def _alive(real: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def is_alive(self: threading.Thread) -> bool:
        other = task_of(self)
        if other is not None and other.ended and other.ident != threading.get_ident():
            return False
        return real(self)

    return is_alive


def _adjusted(real: Callable[[Any], None]) -> Callable[[Any], None]:
    def adjust(self: Any) -> None:
        """Give a pool that was made before, and has no threads yet, a queue to be scheduled at."""
        if current_task() is not None and not self._threads:
            before = self._work_queue
            if type(before) is _queue.SimpleQueue:
                self._work_queue = SimpleQueue()
                while not before.empty():
                    self._work_queue.put(before.get_nowait())
        real(self)

    return adjust


def _number_futures_and_threads() -> None:
    """Let sets of futures and of threads have the same order in every process. Stays for good:
    whatever has been put into a set must keep its hash."""
    kinds: tuple[Any, ...] = (futures.Future, threading.Thread)
    for kind in kinds:
        if kind.__hash__ is not _numbered_hash:
            kind.__init__ = _numbering(kind.__init__)
            kind.__hash__ = _numbered_hash


def _numbering(init: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **keywords: Any) -> None:
        task = current_task()
        if task is not None:
            task.scheduler.made += 1
            self.__dict__["_durable_cli_number"] = task.scheduler.made
        init(self, *args, **keywords)

    return __init__


def _numbered_hash(self: Any) -> int:
    number: int | None = self.__dict__.get("_durable_cli_number")
    return object.__hash__(self) if number is None else number


# -- what comes from outside of the process ----------------------------------------------------


def _selecting(real: Callable[..., Any]) -> Callable[..., Any]:
    def select(self: Any, timeout: float | None = None) -> Any:
        task = current_task()
        ready = real(self, 0 if task is not None else timeout)
        if task is None or ready or (timeout is not None and timeout <= 0):
            return ready
        found: list[Any] = []

        def is_done() -> bool:
            found[:] = found or real(self, 0)
            return bool(found)

        is_outside = not all(_wakes_loop(each) for each in self.get_map().values())
        task.scheduler.select(is_done, timeout, outside=is_outside)
        return found

    return select


def _wakes_loop(key: selectors.SelectorKey) -> bool:
    """Return True for the file through which other threads wake an event loop."""
    reader = key.data[0] if isinstance(key.data, tuple) and key.data else None
    callback = getattr(reader, "_callback", None)
    return getattr(callback, "__name__", None) == "_read_from_self"


def _noting_a_process(real: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **keywords: Any) -> None:
        task = current_task()
        if task is not None:
            task.scheduler.note(A_PROCESS)
        real(self, *args, **keywords)

    return __init__
