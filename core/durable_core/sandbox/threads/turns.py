"""Whose turn it is, and what happens when nobody can go on: virtual time passes."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Protocol

from durable_core.sandbox.threads.tasks import REAL_LOCK, SECOND, Sleeper, ThreadTask, open_gate
from durable_core.signals import Overdue

ASKS: Final = 2
"""How often threads that poll look in a row, before time passes: the first look may have them take
up what the second one ends."""


class Turns:
    """The state of a scheduler, and the choice of who is next."""

    def __init__(self) -> None:
        self.now = 0
        """Virtual microseconds since 1970."""
        self.on_stuck: Callable[[], bool] = lambda: False
        self.goes_on: Callable[[], ThreadTask | None] = lambda: None
        """Asked, when all is given up, which thread is to go on until it waits."""
        self.unscheduled: dict[str, None] = {}
        self.turns = 0
        self.made = 0
        """How many futures and threads were made."""
        self._order: Order = first_come
        self._preempts = False
        self._begun = 0
        self._limit: int | None = None
        self._numbers = 0
        self._tasks: dict[ThreadTask, None] = {}
        self._ready: list[ThreadTask] = []
        self._timers: list[tuple[int, int, int, ThreadTask]] = []
        self._sequence = itertools.count()
        self._patient: dict[ThreadTask, None] = {}
        self._pollers: dict[ThreadTask, None] = {}
        self._selecting: dict[ThreadTask, Callable[[], bool]] = {}
        self._outside: dict[ThreadTask, None] = {}
        self._asked = 0
        self._only: ThreadTask | None = None
        self._root: ThreadTask | None = None
        self._host_ident = 0
        self._holder: ThreadTask | None = None
        self._host = REAL_LOCK()
        self._host.acquire()
        self._called = REAL_LOCK()
        self._called.acquire()
        self._is_over = False
        self._is_given_up = False
        self._free_threads: list[threading.Thread] = []

    def note(self, sentence: str) -> None:
        """Note what is beyond control."""
        self.unscheduled[sentence] = None

    def _next(self) -> ThreadTask | None:
        """Take out who is next; None where none can go on without time that really passes."""
        ready = self._ready
        if self._only is not None:
            return self._next_of(self._only)
        while not ready:
            if not self._bring_forward():
                return None
        if len(ready) == 1:
            task = ready.pop()
        else:
            task = ready.pop(self._order(ready))
        task.is_queued = False
        return task

    def _next_of(self, only: ThreadTask) -> ThreadTask | None:
        """Take out the one that may go on while the others may not."""
        if self._patient.pop(only, False) is None:
            self._time_out(only)
        if not only.is_queued:
            return None
        self._ready.remove(only)
        only.is_queued = False
        return only

    def _bring_forward(self) -> bool:
        """Bring about what is next at this moment, or the moment at which something is."""
        if self._selecting and self._look_outside():
            return True
        if self._patient:
            task = next(iter(self._patient))
            del self._patient[task]
            self._time_out(task)
            return True
        if self._pollers and self._asked < ASKS:
            self._asked += 1
            for task in list(self._pollers):
                self._time_out(task)
            self._pollers.clear()
            return True
        while self._timers and self._timers[0][3].token != self._timers[0][2]:
            heapq.heappop(self._timers)
        if self._timers and not self._is_outside(self._timers[0][3]):
            self._pass_to(self._timers[0][0])
            return True
        return False

    def _pass_to(self, moment: int) -> None:
        """Let virtual time pass, and end the waits whose time has come. Raises Overdue."""
        self.now = max(self.now, moment)
        if self._limit is not None and self.now >= self._limit:
            self.now = self._limit
            raise Overdue
        while self._timers and self._timers[0][0] <= self.now:
            _, _, token, task = heapq.heappop(self._timers)
            if task.token == token:
                self._time_out(task)
        self._asked = 0

    def _is_outside(self, task: ThreadTask | None = None) -> bool:
        """Return True while something happens that takes real time and may end a wait."""
        if task is not None and task.waiting is not None and isinstance(task.waiting, Sleeper):
            return False
        self._free_threads = [each for each in self._free_threads if each.is_alive()]
        return bool(self._outside or self._free_threads)

    def _time_out(self, task: ThreadTask) -> None:
        task.timed_out = True
        self._queue(task)

    def _queue(self, task: ThreadTask) -> None:
        if not task.is_queued:
            task.is_queued = True
            self._ready.append(task)

    def _hand_over(self, task: ThreadTask) -> None:
        self.turns += 1
        self._holder = task
        task.gate.release()

    def _look_outside(self) -> bool:
        for task, is_done in list(self._selecting.items()):
            if is_done():
                self._queue(task)
                return True
        return False

    def _set_timer(self, task: ThreadTask, seconds: float) -> None:
        due = self.now + max(0, -int(-seconds * SECOND // 1))  # not a moment too early
        heapq.heappush(self._timers, (due, next(self._sequence), task.token, task))

    def _end_turn(self) -> None:
        """Give the turn to the next one, or to the caller's thread."""
        try:
            task = self._next()
        except Overdue:
            task = None  # the caller's thread comes to the same, and raises it there
        if task is not None:
            self._hand_over(task)
        else:
            self._holder = None
            open_gate(self._host)

    def _end_turn_of(self, task: ThreadTask) -> None:
        """Give the turn away and wait until it comes back, which may be at once."""
        try:
            following = self._next()
        except Overdue:
            following = None
        if following is task:
            return
        if following is not None:
            self._hand_over(following)
        else:
            self._holder = None
            open_gate(self._host)
        task.gate.acquire()


class ReadyToGo(Protocol):
    """A thread or task that can go on. `number` counts them in the order in which they started,
    `begun` the pieces of work that they took up, such as the units of a map; 0: none yet."""

    @property
    def number(self) -> int: ...
    @property
    def begun(self) -> int: ...


Order = Callable[[Sequence[ReadyToGo]], int]
"""Returns the index of the one that is next, given those that can go on, in the order in which they
became able to."""


def order_of(seed: int, interleaving: int = 0, invocation: int = 1) -> Order:
    """Return the order of an invocation's threads in one interleaving."""
    if interleaving == 0 and seed == 0:
        return first_come
    if interleaving == 1:
        return last_begun
    chance = Random(f"{seed}:{interleaving}:{invocation}")
    return _ranked(chance) if interleaving % 2 else _drawn(chance)


def first_come(ready: Sequence[ReadyToGo]) -> int:
    """First come, first served."""
    return 0


def last_begun(ready: Sequence[ReadyToGo]) -> int:
    """Those first that have taken up nothing yet, then what was taken up last."""
    return max(range(len(ready)), key=lambda at: (not ready[at].begun, ready[at].begun, at))


def _drawn(chance: Random) -> Order:
    return lambda ready: chance.randrange(len(ready)) if len(ready) > 1 else 0


def _ranked(chance: Random) -> Order:
    ranks: dict[tuple[int, int], float] = {}

    def rank(each: ReadyToGo) -> float:
        key = (each.number, each.begun)
        if key not in ranks:
            ranks[key] = chance.random()
        return ranks[key]

    return lambda ready: max(range(len(ready)), key=[rank(each) for each in ready].__getitem__)
