"""The scheduler: of its threads exactly one runs, until it waits for something or ends.

A thread gives up its turn only where it would block: at a condition, an event, a queue, a future,
a lock of the user's, another thread's end, a sleep. Then the next one is chosen, by an `Order`. A
timeout is one on virtual time, which stands still while any thread can go on, and then jumps to
what is due first. So the same threads do the same things in the same order, however long anything
really takes. When none can go on and nothing is due, they are stuck, provably.

What blocks otherwise (a socket, a process, a computation) keeps its turn while it does. The thread
of the caller, which is no thread of the scheduler, only waits meanwhile, and looks now and then
whether a turn can't end: see `_look_after`.
"""

from __future__ import annotations

import _thread
import concurrent.futures.thread  # at exit what is registered last is called first: we go before it
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final, TypeVar

from durable_core.sandbox.threads import turns as _turns
from durable_core.sandbox.threads import waiting as _waiting
from durable_core.sandbox.threads.standing import place_of, stands_at_a_lock
from durable_core.sandbox.threads.tasks import (
    SECOND,
    TASK,
    TASKS,
    Stuck,
    TaskEnded,
    ThreadTask,
    Waiter,
    current_task,
    open_gate,
)
from durable_core.sandbox.threads.turns import Order, first_come
from durable_core.sandbox.threads.waiting import Waiting, real_monotonic

T = TypeVar("T")

LOOK_SECONDS: Final = 0.1
"""How often the caller's thread looks whether the thread whose turn it is has blocked for good."""
LOOKS: Final = 100
"""How many looks without a change of turns until others get their turn nevertheless."""
LOOKS_AT_A_LOCK: Final = 5
"""The same where the thread stands at a lock that is none of the scheduler's."""
OUTSIDE_SECONDS: Final = 0.002
"""How often it is looked whether what threads wait for outside of the process has happened."""
LAST_SECONDS: Final = 2.0
"""How long the thread that `goes_on` names may take when all is given up."""
END_SECONDS: Final = 0.5
"""How long threads that have been given up are waited for."""
GRACE_SECONDS: Final = 0.2
"""How long a stuck invocation waits for threads that aren't the scheduler's, if there are any."""


_OWN_FILES: Final = frozenset({__file__, _waiting.__file__, _turns.__file__})
"""Where threads of the scheduler wait for their turns."""

_real_start = threading.Thread.start


class Scheduler(Waiting):
    """Runs functions with the threads that they start, one `run` after another.

    Threads that are left when a run ends stand still until the next one, as they do in Lambda
    between two invocations. `close` lets them go on as ordinary threads. `on_stuck` is asked, when
    no thread can go on, to end a wait; it returns whether it did. `unscheduled` are the sentences
    on what of a run was beyond control.
    """

    def __init__(self) -> None:
        super().__init__()
        _SCHEDULERS[self] = None

    # -- the caller's thread ---------------------------------------------------------------------

    def run(
        self, function: Callable[[], T], *, began: int, order: Order, limit: int | None = None
    ) -> T:
        """Run a function in a thread of its own and return its result, or raise its error.

        `began` is the virtual time, in microseconds, `limit` how many may pass. Raises Stuck and
        Overdue, after which the scheduler is of no more use.
        """
        self.now = max(self.now, began)
        self._limit = None if limit is None else self.now + limit
        self._order, self._preempts = order, order is not first_come
        self._asked = 0
        self._host_ident = _thread.get_ident()
        box: list[tuple[bool, Any]] = []
        context = copy_context()

        def rooted() -> None:
            try:
                box.append((True, context.run(function)))
            except BaseException as error:
                box.append((False, error))

        thread = threading.Thread(target=rooted, name="invocation", daemon=True)
        try:
            self.start(thread, at_once=True)
            while not self._has_run():
                pass
        except BaseException:
            if (last := self.goes_on()) is not None:
                self._let_go_on(last)
            self.give_up()
            until = real_monotonic() + END_SECONDS
            while self._tasks and real_monotonic() < until:
                self._called.acquire(timeout=0.01)  # they end at once, but for those that are busy
            raise
        good, came = box[0]
        if good:
            result: T = came
            return result
        raise came

    def _let_go_on(self, task: ThreadTask) -> None:
        """Let one thread go on until it waits, and no other, although the turn of another one may
        still go on: it may do for good."""
        holder, self._only = self._holder, task
        if holder is not None and not self._host.acquire(blocking=False):
            if holder is task:
                return
            holder.is_detached = True
        following = self._next()
        if following is not None:
            self._hand_over(following)
            self._host.acquire(timeout=LAST_SECONDS)

    def _has_run(self) -> bool:
        """Wait until no thread has a turn. Return True at the end of what is run, else after the
        next one was given its turn."""
        turns, looks, stood = -1, 0, None
        while not self._host.acquire(timeout=LOOK_SECONDS):
            if turns != self.turns:
                turns, looks, stood = self.turns, 0, None
                continue  # the usual case, in which nothing more is looked at
            before, stood = stood, self._look_after()
            looks = looks + 1 if stood is None or stood == before else 0
            most = LOOKS if stood is None else LOOKS_AT_A_LOCK
            if self._can_others_go_on(stood) and looks >= most:
                self._detach()
                return False
        if self._root is None or self._root.ended:
            return True
        self._give_turn()
        return False

    def _give_turn(self) -> None:
        """Choose who is next, where no thread has its turn."""
        task = self._next()
        while task is None:
            self._stand_still()
            task = self._next()
        self._hand_over(task)

    def _stand_still(self) -> None:
        """Wait really for what isn't in the scheduler's hands. Raises Stuck.

        What that takes counts only where somebody's time comes meanwhile.
        """
        if self._is_outside():
            began, now = real_monotonic(), self.now
            while not self._ready and self._is_outside():
                due = self._timers[0][0] if self._timers else None
                passed = int((real_monotonic() - began) * SECOND)
                if due is not None and now + passed >= due:
                    self._pass_to(due)
                    return
                seconds = OUTSIDE_SECONDS if self._selecting else LOOK_SECONDS
                if due is not None:
                    seconds = min(seconds, (due - now - passed) / SECOND)
                self._called.acquire(timeout=seconds)
                self._look_outside()
        elif self._has_strangers() and self._called.acquire(timeout=GRACE_SECONDS):
            return
        elif not self._ready and not self.on_stuck() and not self._ready:
            raise Stuck(self._pictures())

    def _has_strangers(self) -> bool:
        """Return True where there are threads that might wake one of ours."""
        ours = {task.ident for task in self._tasks} | {_thread.get_ident()}
        return not set(sys._current_frames()) <= ours

    def _pictures(self) -> tuple[tuple[str, Any], ...]:
        frames = sys._current_frames()
        return tuple((task.name, frames.get(task.ident)) for task in self._tasks)

    def _look_after(self) -> tuple[Any, int] | None:
        """Return where the thread whose turn it is stands at a lock; None where it doesn't.

        At its own gate, which is open, it only waits for the machine to let it begin its turn.
        """
        holder = self._holder
        frame = None if holder is None else sys._current_frames().get(holder.ident)
        if frame is None or frame.f_code.co_filename in _OWN_FILES or not stands_at_a_lock(frame):
            return None
        return frame, frame.f_lasti

    def _can_others_go_on(self, stood: object) -> bool:
        """Return True where others wait for a turn, or would have one if this one ended; what is
        merely gathered isn't worth to end a turn that works."""
        others = self._ready or self._timers or self._selecting
        return bool(others or (stood is not None and self._patient))

    def _detach(self) -> None:
        """Give others their turn although a thread's own turn goes on. It comes back into line
        when it waits next."""
        holder = self._holder
        if holder is None or self._host.acquire(blocking=False):
            return
        holder.is_detached = True
        place = place_of(sys._current_frames().get(holder.ident))
        self.note(f"{holder.name} {place} for what others of its threads had to go on for")
        self._outside[holder] = None
        self._give_turn()

    def give_up(self) -> None:
        """Let every thread that waits raise Ended, now or when it waits next."""
        self._is_given_up = True
        self.close()

    def close(self) -> None:
        """Let the threads that are left go on as ordinary ones. May be called twice."""
        self._is_over = True
        for task in list(self._tasks):
            open_gate(task.gate)
        self._leave_if_empty()

    @property
    def is_over(self) -> bool:
        """Whether it was closed or given up, and is of no more use."""
        return self._is_over

    def _leave_if_empty(self) -> None:
        if self._is_over and not self._tasks:
            _SCHEDULERS.pop(self, None)

    # -- threads ---------------------------------------------------------------------------------

    def start(
        self,
        thread: threading.Thread,
        start: Callable[[Any], None] = _real_start,
        *,
        at_once: bool = False,
    ) -> ThreadTask:
        """Start a thread. It runs when its turn comes; `at_once`: now, as the one that is run."""
        self._numbers += 1
        task = ThreadTask(self, self._numbers, thread.name)
        run, own = thread.run, thread.__dict__.get("run")

        def scheduled() -> None:
            if own is None:
                del thread.__dict__["run"]
            else:
                thread.__dict__["run"] = own
            self._begin(task, waits=not at_once)
            try:
                if not self._is_given_up:
                    run()
            except TaskEnded:
                pass
            except BaseException:
                thread._invoke_excepthook(thread)  # type: ignore[attr-defined]
            finally:
                self._finish(task)

        thread.__dict__["run"] = scheduled
        thread.__dict__[TASK] = task
        self._tasks[task] = None
        if at_once:
            self._holder = self._root = task
        parent = current_task()
        try:
            if parent is not None:
                parent.starts_another = True
            start(thread)
        except BaseException:
            thread.__dict__.pop("run", None)
            thread.__dict__.pop(TASK, None)
            self._tasks.pop(task, None)
            raise
        finally:
            if parent is not None:
                parent.starts_another = False
        if not at_once:
            self._queue(task)
        return task

    def start_freely(self, thread: threading.Thread, why: str) -> None:
        """Start a thread that isn't scheduled: what it waits for can't be."""
        parent = current_task()
        assert parent is not None
        parent.starts_another = True
        try:
            _real_start(thread)
        finally:
            parent.starts_another = False
        self._free_threads.append(thread)
        self.note(why)

    def _begin(self, task: ThreadTask, *, waits: bool) -> None:
        task.ident = _thread.get_ident()
        TASKS[task.ident] = task
        if waits and not self._is_over:
            task.gate.acquire()

    def _finish(self, task: ThreadTask) -> None:
        if task.is_detached and not self._is_over:
            self._come_back(task)
        task.ended = True
        for joiner in task.joiners:
            joiner.release()
        del TASKS[task.ident]
        self._tasks.pop(task, None)
        if self._is_over:
            self._leave_if_empty()
            return
        if task is self._root:
            self._holder = None
            open_gate(self._host)
        else:
            self._asked = 0
            self._end_turn()

    def join(self, task: ThreadTask, other: ThreadTask, seconds: float | None) -> bool:
        """Let the current thread wait for the end of another one; return whether it came."""
        if other.ended:
            return True
        waiter = Waiter(task)
        waiter.is_free = False
        other.joiners.append(waiter)
        return self.wait(waiter, seconds) or other.ended


_SCHEDULERS: Final[dict[Scheduler, None]] = {}
"""Those that have threads, or may still have some."""


def _give_up_all() -> None:
    """Release all threads when Python waits for them at its exit."""
    for scheduler in list(_SCHEDULERS):
        scheduler.give_up()


assert concurrent.futures.thread
threading._register_atexit(_give_up_all)  # type: ignore[attr-defined]
