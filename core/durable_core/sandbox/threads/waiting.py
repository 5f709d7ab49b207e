"""How the threads of a scheduler wait, and are woken."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from durable_core.sandbox.threads.tasks import (
    TASKS,
    Selector,
    Sleeper,
    TaskEnded,
    ThreadTask,
    Wait,
    Waiter,
    current_task,
    open_gate,
)
from durable_core.sandbox.threads.turns import Turns

real_monotonic = time.monotonic


class Waiting(Turns):
    """What a thread asks for that would block, or ends what others wait for."""

    def wait(self, waiter: Waiter, seconds: float | None = None, kind: Wait = Wait.TIMED) -> bool:
        """Let the current thread wait until the waiter is released; return whether it was.

        Raises Ended when all has been given up.
        """
        task = waiter.task
        if self._is_over:
            return self._wait_freely(waiter, seconds)
        if task.is_detached:
            self._come_back(task)
        task.waiting, task.timed_out = waiter, False
        if kind is not Wait.POLLING:
            self._asked = 0
        if kind is Wait.PATIENT:
            self._patient[task] = None
        elif kind is Wait.POLLING:
            self._pollers[task] = None
        elif seconds is not None:
            self._set_timer(task, seconds)
        try:
            while not waiter.is_free and not task.timed_out:
                self._end_turn_of(task)
                if self._is_over:
                    return self._wait_freely(waiter, seconds)
        finally:
            self._forget_wait(task)
        if waiter.is_free:
            waiter.is_free = False
            return True
        return False

    def _forget_wait(self, task: ThreadTask) -> None:
        task.waiting = None
        task.token += 1
        if self._patient:
            self._patient.pop(task, None)
        if self._pollers:
            self._pollers.pop(task, None)
        if task.is_queued:
            task.is_queued = False
            self._ready.remove(task)

    def _wait_freely(self, waiter: Waiter, seconds: float | None) -> bool:
        """Wait as an ordinary thread does."""
        if self._is_given_up:
            raise TaskEnded
        until = None if seconds is None else real_monotonic() + seconds
        waiter.task.waiting = waiter
        while not waiter.is_free:
            left = -1.0 if until is None else until - real_monotonic()
            if until is not None and left <= 0:
                return False
            waiter.task.gate.acquire(timeout=left)
            if self._is_given_up:
                raise TaskEnded
        waiter.is_free = False
        return True

    def wake(self, waiter: Waiter) -> None:
        """Let the thread that waits for this go on when its turn comes."""
        task = waiter.task
        if task.waiting is not waiter:
            return
        if self._is_over:
            open_gate(task.gate)
            return
        self._asked = 0
        self._queue(task)
        ident = _thread.get_ident()
        if ident != self._host_ident and TASKS.get(ident) is not self._holder:
            self._called_from_outside()

    def _called_from_outside(self) -> None:
        task = current_task()
        if task is None or task.scheduler is not self:
            thread = threading.current_thread()
            if thread not in self._free_threads:
                self.note(f"thread {thread.name!r} was not started by the invocation")
        open_gate(self._called)

    def offer_turn(self, task: ThreadTask, *, takes_up: bool) -> None:
        """Let another thread than the current one go first, where the order preempts. `takes_up`:
        it has taken up a new piece of work."""
        if self._is_over or task.is_detached:
            return
        if takes_up:
            self._begun += 1
            task.begun = self._begun
        if self._preempts and self._ready:
            self._queue(task)
            self._end_turn_of(task)

    @contextmanager
    def preferring(self, *tasks: ThreadTask) -> Iterator[None]:
        """Let these threads go first, in this order, whenever they can."""
        before = self._order

        def preferred(ready: Sequence[Any]) -> int:
            for task in tasks:
                if task in ready:
                    return ready.index(task)
            return before(ready)

        self._order = preferred
        try:
            yield
        finally:
            self._order = before

    def sleep(self, seconds: float) -> None:
        """Let the current thread, which must be one of the scheduler's, sleep in virtual time."""
        task = current_task()
        assert task is not None
        self.wait(Sleeper(task), max(0.0, seconds))

    def select(self, is_done: Callable[[], bool], seconds: float | None, *, outside: bool) -> None:
        """Let the current thread wait until something is there that isn't told to a waiter.

        `outside`: what it waits for comes from outside of the process, in real time.
        """
        task = current_task()
        assert task is not None
        waiter = Sleeper(task) if not outside else Selector(task)
        self._selecting[task] = is_done
        if outside:
            self._outside[task] = None
        try:
            while not is_done() and not self._is_over:
                task.waiting, task.timed_out = waiter, False
                if seconds is not None:
                    self._set_timer(task, seconds)
                self._asked = 0
                self._end_turn_of(task)
                if task.timed_out:
                    break
            if self._is_given_up:
                raise TaskEnded
        finally:
            self._forget_wait(task)
            self._selecting.pop(task, None)
            self._outside.pop(task, None)

    def _come_back(self, task: ThreadTask) -> None:
        """Let a thread whose turn was cut short wait for its next one."""
        task.is_detached = False
        self._outside.pop(task, None)
        self._queue(task)
        open_gate(self._called)
        task.gate.acquire()
