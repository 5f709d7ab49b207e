"""Running the units of a map or parallel: dispatch in order, a verdict per end, a clean stop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from durable_core.completion import CompletionConfig, CompletionItemStatus, completion_of
from durable_core.exceptions import (
    DurableOperationError,
    ExecutionError,
    InvocationError,
    SerDesError,
    error_object,
)
from durable_core.frozen import dataclass
from durable_core.model import CompletionReason, ErrorObject, UnitStatus
from durable_core.native.call import Call
from durable_core.native.execution import Scope
from durable_core.native.journal import Activity
from durable_core.native.operations.child import ChildOptions, child
from durable_core.native.serdes import SerDes
from durable_core.signals import InvocationEnding, UnitStopping


@dataclass(slots=True)
class Unit:
    """A unit and how it stands. `status` None: not dispatched.

    `frozen` is its status in a stripped summary, `skip` says that its body must not run, `fatal`
    holds what ends more than the unit.
    """

    index: int
    name: str
    call: Call
    body: Callable[[Call, Scope], Awaitable[Any]]
    status: UnitStatus | None = None
    value: Any = None
    payload: str | None = None
    error: ErrorObject | None = None
    frozen: UnitStatus | None = None
    skip: bool = False
    fatal: BaseException | None = None


@dataclass(frozen=True, slots=True)
class UnitOptions:
    """How units run: how many at once (None: all), how a result is written, FLAT or NESTED."""

    max_concurrency: int | None
    serdes: SerDes[Any] | None
    is_flat: bool


class Coordinator:
    """Dispatches units in the order of their index and hears of their ends one after another."""

    def __init__(self, call: Call, units: Sequence[Unit], options: UnitOptions) -> None:
        self._call = call
        self._units = units
        self._scope = units[0].call.scope if units else Scope(call.scope)
        self._room = options.max_concurrency or max(1, len(units))
        self._child_options = ChildOptions(serdes=options.serdes, virtual=options.is_flat)
        self._tasks: dict[asyncio.Task[None], None] = {}  # in order, as a set would not be
        self._running = 0
        self._ended: deque[Unit] = deque()
        self._news: asyncio.Future[None] | None = None

    async def run_until_complete(self, config: CompletionConfig) -> CompletionReason:
        """Run until the policy says that it is complete, stop the rest; return why.

        Units that ended by themselves before they noticed the stop keep how they ended.
        """
        total, succeeded, failed = len(self._units), 0, 0
        waiting = deque(self._units)
        try:
            while True:
                reason = completion_of(config, total, succeeded, failed, self._standing)
                if reason is not None:
                    break
                self._dispatch_from(waiting)
                unit = await self._next_ended()
                succeeded += unit.status is UnitStatus.SUCCEEDED
                failed += unit.status is UnitStatus.FAILED
        finally:
            await self._stop()
        self._raise_fatal()
        return reason

    async def run_all(self) -> None:
        """Run every unit to its end."""
        waiting = deque(self._units)
        try:
            while waiting or self._running:
                self._dispatch_from(waiting)
                await self._next_ended()
        finally:
            await self._stop()
        self._raise_fatal()

    def _dispatch_from(self, waiting: deque[Unit]) -> None:
        if self._call.scope.stopped:
            raise UnitStopping
        while waiting and self._running < self._room:
            self._dispatch(waiting.popleft())

    def _dispatch(self, unit: Unit) -> None:
        unit.status = UnitStatus.STARTED
        self._running += 1
        task = asyncio.get_running_loop().create_task(self._run(unit))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _run(self, unit: Unit) -> None:
        try:
            completed = await child(
                unit.call, lambda scope: unit.body(unit.call, scope), self._child_options
            )
            unit.status = UnitStatus.SUCCEEDED
            unit.value, unit.payload = completed.value, completed.payload
        except asyncio.CancelledError as error:
            if not unit.call.is_asked_to_stop():
                unit.fatal = error
            elif not self._call.execution.ending:
                unit.call.note(Activity.STOPPED)
        except (ExecutionError, InvocationError) as error:
            unit.fatal = error
        except Exception as error:
            unit.status, unit.error = UnitStatus.FAILED, _recorded_error(error)
        except BaseException as error:
            unit.fatal = error
        self._ended.append(unit)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _next_ended(self) -> Unit:
        """Wait for the next unit that ends; raise what ends more than it."""
        while not self._ended:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        unit = self._ended.popleft()
        self._running -= 1
        if unit.fatal is not None:
            raise unit.fatal
        if unit.status is UnitStatus.STARTED:
            # Nobody but the context around this map or parallel can have stopped it.
            raise InvocationEnding if self._call.execution.ending else UnitStopping
        return unit

    async def _stop(self) -> None:
        """Ask every unit to stop and wait until all have."""
        self._scope.stop()
        interrupted: asyncio.CancelledError | None = None
        while self._tasks:
            if self._call.execution.ending or interrupted is not None:
                for task in self._tasks:
                    task.cancel()
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                interrupted = error
        await self._scope.close()
        if interrupted is not None:
            raise interrupted

    def _raise_fatal(self) -> None:
        for unit in self._ended:
            if unit.fatal is not None:
                raise unit.fatal
        if self._call.scope.stopped:
            raise UnitStopping

    def _standing(self) -> tuple[CompletionItemStatus, ...]:
        return tuple(
            CompletionItemStatus(each.index, each.name, each.status) for each in self._units
        )


def _recorded_error(error: Exception) -> ErrorObject:
    """Return the error that a unit failed with, as its own CONTEXT records it."""
    if isinstance(error, DurableOperationError | SerDesError):
        trace = tuple(error.stack_trace) if error.stack_trace is not None else None
        return ErrorObject(error.message, error.error_type, error.data, trace)
    return error_object(error)
