"""An asyncio event loop on virtual time that knows when nothing can go on.

`asyncio.sleep(3600)` takes no time: when every task waits for a timer, the time jumps to it. When
nothing is ready, no timer is set and nothing from outside is awaited, the loop is *idle*: every
task waits for what this invocation can't bring about. That is what suspension is. The order of
tasks is asyncio's own, so the same code runs the same way each time.

Files, sockets and executors that user code waits for are waited for in real time, in which no
virtual time passes but to the next timer.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from durable_core.errors import UsageError
from durable_core.sandbox.interleavings import Order
from durable_core.signals import Overdue


class _Selector(selectors.DefaultSelector):
    """Asked by asyncio for what to wait; waits in real time only for what is really outside."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.loop.waits_outside():
            began = monotonic()
            ready = super().select(timeout)
            if not ready and timeout is not None:
                self.loop.advance(timeout)
            elif self.loop.real_durations:
                self.loop.advance(monotonic() - began)
            return ready
        if timeout == 0:
            return []
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            self.loop.idle()
        elif timeout > 0:
            self.loop.advance(timeout)
        return []


class _Turn:
    """A task that can go on. `begun` counts the tasks that have run at all."""

    __slots__ = ("begun", "handle", "number")

    def __init__(self, handle: asyncio.Handle, number: int, begun: int) -> None:
        self.handle = handle
        self.number = number
        self.begun = begun


class _Turns(deque[Any]):
    """What a loop has ready: its tasks in the order of an interleaving, other callbacks before them
    as they come, so that a task is never run before what asyncio has to do first."""

    def __init__(self, order: Order) -> None:
        super().__init__()
        self._order = order
        self._numbers: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
        self._begun: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._tasks: list[_Turn] = []
        self._passed_over = 0

    def __len__(self) -> int:
        return super().__len__() + len(self._tasks)

    def __bool__(self) -> bool:
        return len(self) > 0

    def clear(self) -> None:
        super().clear()
        self._tasks.clear()

    def popleft(self) -> Any:
        while super().__len__():
            handle = super().popleft()
            task = getattr(handle._callback, "__self__", None)
            if not isinstance(task, asyncio.Task):
                return handle
            number = self._numbers.setdefault(task, len(self._numbers) + 1)
            self._tasks.append(_Turn(handle, number, number if task in self._begun else 0))
            self._begun.add(task)
        index = self._order(self._tasks) if self._passed_over < _MOST_PASSED_OVER else 0
        self._passed_over = self._passed_over + 1 if index else 0
        return self._tasks.pop(index).handle


_MOST_PASSED_OVER = 100
"""How often the task that has waited longest is passed over in a row: others may wait for it in a
loop that never waits."""


_IN_A_LOOP: Final = (
    "a native handler has an event loop of its own, and an event loop runs in this thread already: "
    "from an async function, call `await asyncio.to_thread(simulate, handler, event)` (the same "
    "goes for verify)"
)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop. `on_idle` is called whenever it is idle and must make something ready. `order` is
    that of its tasks; None: asyncio's own, first come, first served.

    Running it raises Overdue when the virtual time comes to `limit` seconds. Its time begins at
    `begins_at`. `real_durations`: the virtual time passes while something outside is waited for.

    Raises UsageError where the thread runs a loop already: Python runs no other one in there.
    """

    def __new__(cls, *args: Any, **keywords: Any) -> VirtualTimeLoop:
        if asyncio._get_running_loop() is not None:
            raise UsageError(_IN_A_LOOP)
        return super().__new__(cls)

    def __init__(
        self,
        on_idle: Callable[[], None],
        limit: float = math.inf,
        *,
        begins_at: float = 0.0,
        real_durations: bool = False,
        order: Order | None = None,
    ) -> None:
        self.elapsed = 0.0
        self.real_durations = real_durations
        self._begins_at = begins_at
        self._limit = limit
        self._jobs = 0
        self._on_idle = on_idle
        self._watch = _Selector()
        self._watch.loop = self
        super().__init__(self._watch)
        if order is not None:
            self._ready = _Turns(order)
        self._own_files = len(self._watch.get_map())

    @property
    def is_busy(self) -> bool:
        """True when something besides what runs now is ready to go on."""
        return bool(self._ready)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._begins_at + self.elapsed

    def advance(self, seconds: float) -> None:
        """Move the virtual time on. Raises Overdue where it would pass the limit."""
        self.elapsed = min(self.elapsed + seconds, self._limit)
        if self.elapsed >= self._limit:
            raise Overdue

    def idle(self) -> None:
        """Tell the owner that nothing can go on by itself."""
        self._on_idle()

    def waits_outside(self) -> bool:
        """Return True while user code waits for a file, a socket or a thread."""
        return self._jobs > 0 or len(self._watch.get_map()) > self._own_files

    def run_in_executor(  # type: ignore[override]  # asyncio's own signature, less its generics
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """Run in a thread as asyncio does, and remember that it is awaited."""
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: object) -> None:
        self._jobs -= 1
