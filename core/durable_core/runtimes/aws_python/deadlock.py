"""What AWS's SDK, or the handler's own threads, would wait for without end, and how that is found.

Nothing here goes by the time that something takes: when every thread of an invocation waits, and
nothing is due at any moment, none of them can ever go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from durable_core.errors import DurableError, printable
from durable_core.sandbox.threads.standing import users_line
from durable_core.sandbox.threads.tasks import Stuck, Wait, Waiter, current_task


class HandlerStuck(DurableError):
    """AWS's SDK waits for ever, for `operation`; `why` says what for.

    In the cloud the invocation runs into its timeout.
    """

    is_finding = True

    def __init__(self, operation: str, why: str) -> None:
        super().__init__(operation, why)
        self.operation = operation
        self.why = why

    def __str__(self) -> str:
        return printable(
            f"{self.operation}: {self.why}; in the cloud the invocation would time out"
        )


def threads_stuck(stuck: Stuck) -> HandlerStuck:
    """Return what to say of threads that wait for each other: where, in the user's code."""
    places = {}
    for name, frame in stuck.waiting:
        line = users_line(frame)
        if line is not None:
            places[name] = f"{name} at {line}" + (f" ({line.text})" if line.text else "")
    where = ", ".join(places.values()) or "none of them in the handler's code"
    return HandlerStuck("the handler", f"all of its threads wait, and nothing ends that: {where}")


class UnitsEnded(threading.Event):
    """What a map or parallel of SDK 1.x waits for: that its units have ended.

    It doesn't learn of a unit that ended with a BaseException, as every thread does that waits for
    a checkpoint which fails, and waits on. Here it learns of it, as from 2.0 on, when no thread of
    the invocation can go on any more: the other units may be enough for its completion policy.
    Seen in 1.0.0 and 1.7.0 (`ConcurrentExecutor._on_task_complete`).
    """

    def __init__(self, is_lost: Callable[[], bool], lost: Callable[[], BaseException]) -> None:
        super().__init__()
        self._is_lost = is_lost
        self._lost = lost
        self._waits = False
        self.has_ended = False

    def set(self) -> None:
        """Tell whoever waits that the units have ended."""
        self.has_ended = True
        super().set()

    def give_up(self) -> bool:
        """Tell whoever waits that the units won't all end, where one was lost; return whether
        anybody was told."""
        is_told = self._waits and self._is_lost()
        if is_told:
            super().set()
        return is_told

    def wait(self, timeout: float | None = None) -> bool:
        """Return when the units have ended. Raises what there is to raise if they never will."""
        self._waits = True
        try:
            super().wait(timeout)
        finally:
            self._waits = False
        if not self.has_ended:
            raise self._lost()
        return True


class TimersEnded(threading.Event):
    """What the thread that resumes units in SDK 1.x looks at every 0.1 s: whether it is to end.

    While no unit is to be resumed nothing is due, however often it looks.
    """

    def __init__(self, is_due: Callable[[], bool]) -> None:
        super().__init__()
        self._is_due = is_due
        self._looking: Waiter | None = None

    def set(self) -> None:
        """Tell the thread that it is to end."""
        super().set()
        if self._looking is not None:
            self._looking.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait as an event does; without a unit to resume, until something else has happened."""
        task: Any = current_task()
        if task is None or self._is_due() or self.is_set():
            return super().wait(timeout)
        waiter = self._looking = Waiter(task)
        waiter.acquire()
        task.scheduler.wait(waiter, kind=Wait.POLLING)
        self._looking = None
        return self.is_set()
