"""Locks and the simple queue, for threads that are scheduled and for those that are not.

Python's own are C, which blocks where no scheduler sees it. These do what Python's do, but a thread
of a scheduler that would block gives up its turn.
"""

from __future__ import annotations

import _thread
import queue
import sys
import threading
from collections import deque
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from durable_core.sandbox.threads.tasks import Waiter, current_task, offer_turn
from durable_core.sandbox.user_code import is_users

REAL_LOCK: Final = _thread.allocate_lock
REAL_RLOCK: Final = threading.RLock
_LOCK_TYPE: Final = type(REAL_LOCK())
_THREADING: Final = threading.__file__


def waiter() -> Any:
    """Return a new lock for one wait of the current thread, as `threading.Condition` needs one."""
    task = current_task()
    return REAL_LOCK() if task is None or task.starts_another else Waiter(task)


class UsersLock:
    """A lock of the user's code, which may be held while its thread waits."""

    def __init__(self) -> None:
        self._lock = REAL_LOCK()
        self._waiting: deque[Waiter] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.Lock.acquire`."""
        task = current_task()
        if task is None or task.starts_another:
            return self._lock.acquire(blocking, timeout)
        if self._lock.acquire(False):
            return True
        if not blocking:
            return False
        scheduler = task.scheduler
        until = None if timeout < 0 else scheduler.now + timeout * 1e6
        while True:
            mine = Waiter(task)
            mine.acquire()
            self._waiting.append(mine)
            if self._lock.acquire(False):
                self._leave(mine)
                return True
            left = None if until is None else (until - scheduler.now) / 1e6
            is_released = scheduler.wait(mine, left)
            if not is_released:
                self._leave(mine)
            if self._lock.acquire(False):
                return True
            if not is_released:
                return False

    def _leave(self, mine: Waiter) -> None:
        """Wait no more. Who was released needn't: `release` has taken it out."""
        with suppress(ValueError):
            self._waiting.remove(mine)

    def release(self) -> None:
        """As `threading.Lock.release`."""
        self._lock.release()
        if self._waiting:
            self._waiting.popleft().release()

    def locked(self) -> bool:
        """As `threading.Lock.locked`."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} lock of {__name__}>"


class UsersRLock(threading._PyRLock):  # type: ignore[name-defined,misc]
    """A reentrant lock of the user's code."""

    def __init__(self) -> None:
        super().__init__()
        self._block = UsersLock()


class _LockClass(type):
    """A class that makes locks of either kind, and says of both that they are its instances."""

    kinds: tuple[type, ...]

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.kinds)


class _Lock(metaclass=_LockClass):
    """What takes the place of `threading.Lock` where that is a class."""

    kinds = (_LOCK_TYPE, UsersLock)

    def __new__(cls) -> Any:
        return UsersLock() if _is_for_user(sys._getframe(1)) else REAL_LOCK()


def _new_lock() -> Any:
    """What takes the place of `threading.Lock` where that is a function, before Python 3.13."""
    return UsersLock() if _is_for_user(sys._getframe(1)) else REAL_LOCK()


Lock: Final[Any] = _Lock if isinstance(threading.Lock, type) else _new_lock


def new_rlock() -> Any:
    """What takes the place of `threading.RLock`, a function up to Python 3.13 at least."""
    return UsersRLock() if _is_for_user(sys._getframe(1)) else REAL_RLOCK()


def _is_for_user(frame: FrameType | None) -> bool:
    """Return True where the user's code makes a lock, or a condition or the like that has one.

    Those of Python and of AWS's SDK are never held while their thread waits.
    """
    file = frame.f_code.co_filename if frame is not None else ""
    while frame is not None and file == _THREADING:
        frame = frame.f_back
        file = frame.f_code.co_filename if frame is not None else ""
    return bool(file) and is_users(file)


class SimpleQueue:
    """What takes the place of `queue.SimpleQueue`. Needs no lock: a deque's methods are atomic."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiting: deque[Any] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; never blocks."""
        self._items.append(item)
        if self._waiting:
            try:
                mine = self._waiting.popleft()
            except IndexError:  # whoever waited has looked again meanwhile
                return
            mine.release()

    def put_nowait(self, item: Any) -> None:
        """Add an item."""
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item, waiting for it. Raises queue.Empty and ValueError."""
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        while True:
            try:
                item = self._items.popleft()
            except IndexError:
                if not block:
                    raise queue.Empty from None
            else:
                offer_turn(takes_up=True)
                return item
            mine = waiter()
            mine.acquire()
            self._waiting.append(mine)
            if self._items:
                self._leave(mine)
            elif not mine.acquire(True, -1 if timeout is None else timeout):
                self._leave(mine)
                block = False  # a last look

    def _leave(self, mine: Any) -> None:
        """Wait no more. Who was released needn't: `put` has taken it out."""
        with suppress(ValueError):
            self._waiting.remove(mine)

    def get_nowait(self) -> Any:
        """Return the next item. Raises queue.Empty."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Return True while it has no item."""
        return not self._items

    def qsize(self) -> int:
        """Return how many items it has."""
        return len(self._items)

    def __class_getitem__(cls, item: Any) -> Any:
        return cls


class LightEvent:
    """What takes the place of `threading.Event` where one is made for each step that a thread
    takes: it has no condition and no lock, whose making takes most of the time of the original's.
    Needs none: a list's methods are atomic."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[Any] = []

    def is_set(self) -> bool:
        """As `threading.Event.is_set`."""
        return self._is_set

    def set(self) -> None:
        """As `threading.Event.set`."""
        self._is_set = True
        while self._waiting:
            try:
                mine = self._waiting.pop(0)
            except IndexError:  # whoever waited has looked again meanwhile
                break
            mine.release()

    def clear(self) -> None:
        """As `threading.Event.clear`."""
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event.wait`."""
        if self._is_set:
            return True
        mine = waiter()
        mine.acquire()
        self._waiting.append(mine)
        if not self._is_set and mine.acquire(True, -1 if timeout is None else max(timeout, 0)):
            return True
        with suppress(ValueError):
            self._waiting.remove(mine)
        return self._is_set
