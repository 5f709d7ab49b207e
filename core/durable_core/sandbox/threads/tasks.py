"""The threads of a scheduler, what one of them waits for, and how a wait ends."""

from __future__ import annotations

import _thread
import os
import threading
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from durable_core.sandbox.threads.scheduler import Scheduler

REAL_LOCK: Final = _thread.allocate_lock

SECOND: Final = 1_000_000
"""Virtual time is counted in whole microseconds, as in a `datetime`."""

A_PROCESS: Final = "a process that was started works in real time"
"""What is noted of it."""


class Stuck(Exception):
    """No thread can go on, ever. `waiting` names each thread, in the order in which they started,
    and the frame in which it waits."""

    def __init__(self, waiting: tuple[tuple[str, Any], ...]) -> None:
        super().__init__(waiting)
        self.waiting = waiting


class TaskEnded(BaseException):
    """Raised in threads that wait when what they belong to has been given up."""


class Wait(IntEnum):
    """What ends a wait besides what is waited for."""

    TIMED = 0
    """Its time, if it has one."""
    PATIENT = 1
    """That no other thread can go on at this moment of virtual time."""
    POLLING = 2
    """Its time, but time doesn't pass for its sake: whoever waits only looks whether it is to
    end."""


class ThreadTask:
    """A thread of a scheduler."""

    __slots__ = (
        "begun",
        "ended",
        "gate",
        "ident",
        "is_detached",
        "is_queued",
        "joiners",
        "name",
        "number",
        "scheduler",
        "starts_another",
        "timed_out",
        "token",
        "waiting",
    )

    def __init__(self, scheduler: Scheduler, number: int, name: str) -> None:
        self.scheduler = scheduler
        self.number = number
        self.name = name
        self.gate = REAL_LOCK()
        self.gate.acquire()
        self.ident = 0
        self.begun = 0
        self.ended = False
        self.is_queued = False
        self.is_detached = False
        self.timed_out = False
        self.starts_another = False
        self.waiting: Waiter | None = None
        self.token = 0
        self.joiners: list[Waiter] = []


TASKS: Final[dict[int, ThreadTask]] = {}
"""The scheduler's threads of this process, by their ids."""


def current_task() -> ThreadTask | None:
    """Return the task that the current thread is; None for a thread that isn't scheduled."""
    return TASKS.get(_thread.get_ident())


def offer_turn(*, takes_up: bool = False) -> None:
    """Let another thread than the current one go first. See `Scheduler.offer_turn`."""
    task = current_task()
    if task is not None:
        task.scheduler.offer_turn(task, takes_up=takes_up)


_forking: list[ThreadTask] = []


def _before_fork() -> None:
    """Let the thread that forks be none of a scheduler's while it does: in the new process it is
    the only one, and waits as any thread."""
    task = TASKS.pop(_thread.get_ident(), None)
    if task is not None:
        task.scheduler.note(A_PROCESS)
        _forking.append(task)


def _after_fork() -> None:
    if _forking:
        task = _forking.pop()
        TASKS[task.ident] = task


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=TASKS.clear)


class Waiter:
    """What one thread waits for once. It is used as the lock that `threading.Condition` makes for
    each wait: acquired by the waiting thread twice, and released by another one in between."""

    __slots__ = ("is_free", "task")

    def __init__(self, task: ThreadTask) -> None:
        self.task = task
        self.is_free = True

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; wait for its release where it is taken. As `threading.Lock.acquire`."""
        if self.is_free:
            self.is_free = False
            return True
        if not blocking:
            return False
        return self.task.scheduler.wait(self, None if timeout < 0 else timeout)

    def release(self) -> None:
        """Let the thread that waits go on. May be called from any thread."""
        self.is_free = True
        self.task.scheduler.wake(self)


class Sleeper(Waiter):
    """What nothing but time ends."""

    __slots__ = ()

    def __init__(self, task: ThreadTask) -> None:
        super().__init__(task)
        self.is_free = False


class Selector(Waiter):
    """What something outside of the process may end before its time."""

    __slots__ = ()


TASK: Final = "_durable_cli_task"
"""The attribute of a `threading.Thread` in which its task is kept."""


def task_of(thread: threading.Thread) -> ThreadTask | None:
    """Return the task that a thread is, or was; None for one that isn't scheduled."""
    return thread.__dict__.get(TASK)


def open_gate(lock: Any) -> None:
    """Release a lock, which may be open already."""
    with suppress(RuntimeError):
        lock.release()
