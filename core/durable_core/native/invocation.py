"""One invocation of a native handler: from the input that the service hands over to the answer.

It ends SUCCEEDED or FAILED when the handler does, PENDING when everything that is under way waits
for the service, and with a `LostInvocation` when the process would have died. Nothing that was
acknowledged is lost, and everything that was queued is sent, unless the process died.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from durable_core.exceptions import CheckpointError, InvocationError, error_object, escaped
from durable_core.excerpts import short_name
from durable_core.frozen import dataclass
from durable_core.ids import position_text
from durable_core.interrupts import is_interrupted
from durable_core.limits import FUNCTION_TIMEOUT_SECONDS, LIMITS, ServiceLimits
from durable_core.model import (
    ErrorObject,
    InvocationInput,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.native.checkpointer import (
    Checkpointer,
    RefusedCheckpoint,
    SentRequest,
    TransientFailure,
    Transport,
)
from durable_core.native.context import DurableContext
from durable_core.native.event_loop import VirtualTimeLoop
from durable_core.native.execution import Execution, Scope
from durable_core.native.journal import Note
from durable_core.native.serdes import JSON, SerDesContext, serialize
from durable_core.sandbox.handler_clock import HandlerClock, monotonic_of
from durable_core.sandbox.process_clocks import served_by
from durable_core.sandbox.threads.turns import order_of
from durable_core.sdks import SDKS, Sdk, SdkRules
from durable_core.signals import CheckpointFailed, Overdue, ProcessDied, exit_status
from durable_core.sizes import utf8_bytes

Handler = Callable[[Any, DurableContext], Any]


class StateRequest(Protocol):
    """A page of state."""

    @property
    def operations(self) -> Sequence[Operation]: ...
    @property
    def next_marker(self) -> str | None: ...


class ServiceTransport(Transport, Protocol):
    """A transport that also hands out the rest of the state."""

    async def get_state(self, token: str, marker: str) -> StateRequest:
        """Return the page of state that the marker stands for."""


@dataclass(frozen=True, slots=True)
class LostInvocation:
    """The invocation gave no answer. `exit_status`: the process ended with it, negative for the
    signal that ended it, by `error` where that was an exception; `stuck`: it hung until it was
    ended after `stuck_seconds`; `interrupted`: the user ended it, and what comes after it; else
    `error` is what the handler or a checkpoint raised, to be tried again."""

    error: ErrorObject | None = None
    exit_status: int | None = None
    stuck: bool = False
    stuck_seconds: float = FUNCTION_TIMEOUT_SECONDS
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Invoked:
    """What came of an invocation, and what it did. `elapsed_seconds` are virtual. `unscheduled` are
    sentences on what ran in real time, so that it may run in another order the next time."""

    outcome: InvocationOutput | LostInvocation
    notes: tuple[Note, ...]
    requests: tuple[SentRequest, ...]
    elapsed_seconds: float
    unscheduled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InvocationOptions:
    """What an invocation runs with beside its input. `rules` cap its requests.

    `known_ends` are how attempts of steps ended in an earlier run, by operation id and attempt:
    their bodies are not run, the same is written again. `tell` hears of each note when it is made,
    so that it is known of an invocation that gives no answer. `began` is when it begins in virtual
    time, which the handler reads then; with `real_durations` what bodies take passes in it too.
    `interleaving` is the number of the order in which threads or tasks that can go on take turns;
    0: the one that the seed gives.
    """

    seed: int = 0
    interleaving: int = 0
    limits: ServiceLimits = LIMITS
    rules: SdkRules = field(default_factory=lambda: SDKS[Sdk.DOTNET])
    flush_window: float = 0.0
    known_ends: Mapping[tuple[str, int], OperationUpdate] = field(default_factory=dict)
    tell: Callable[[Note], None] | None = None
    began: datetime | None = None
    real_durations: bool = False


def invoke_handler(
    handler: Handler,
    event: Any,
    given: InvocationInput,
    transport: ServiceTransport,
    options: InvocationOptions | None = None,
) -> Invoked:
    """Run the handler once and return what came of it.

    Raises only what no handler can cause: defects.
    """
    options = options or InvocationOptions()
    run = _Run(handler, event, given, transport, options)
    loop = VirtualTimeLoop(
        run.on_idle,
        FUNCTION_TIMEOUT_SECONDS,
        begins_at=0.0 if options.began is None else monotonic_of(options.began.timestamp()),
        real_durations=options.real_durations,
        order=order_of(options.seed, options.interleaving) if options.interleaving else None,
    )
    loop.set_exception_handler(_report_others)
    with served_by(_clock_of(loop, options)):
        try:
            outcome = run.in_loop(loop)
            execution = run.execution
            notes = () if execution is None else tuple(execution.notes)
            return Invoked(outcome, notes, tuple(run.requests), loop.elapsed)
        finally:
            abandon(loop)
            loop.close()


def _clock_of(loop: VirtualTimeLoop, options: InvocationOptions) -> HandlerClock | None:
    if options.began is None:
        return None
    real = options.real_durations
    return HandlerClock(options.began, lambda: loop.elapsed, loop.advance, real_durations=real)


def _report_others(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what asyncio finds wrong, but not that nobody looked at one of our signals."""
    ours = ProcessDied | CheckpointFailed | SystemExit | KeyboardInterrupt
    if not isinstance(context.get("exception"), ours):
        loop.default_exception_handler(context)


def abandon(loop: asyncio.AbstractEventLoop) -> None:
    """End the tasks that are left, so that none is destroyed while it waits."""
    for _ in range(_PATIENCE):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return
        for task in sorted(tasks, key=lambda each: each.get_name()):
            task.cancel()
        try:
            loop.run_until_complete(asyncio.wait(tasks))
        except (SystemExit, KeyboardInterrupt, _Idle, Overdue):
            continue


_PATIENCE = 5


class _Idle(Exception):
    """The loop is idle although everything was told to end: code that ignores cancellation."""


class _Run:
    def __init__(
        self,
        handler: Handler,
        event: Any,
        given: InvocationInput,
        transport: ServiceTransport,
        options: InvocationOptions,
    ) -> None:
        self._handler = handler
        self._event = event
        self._given = given
        self._transport = transport
        self._options = options
        self._idle: asyncio.Future[None] | None = None
        self.execution: Execution | None = None
        self.requests: list[SentRequest] = []

    def on_idle(self) -> None:
        """Note that nothing can go on; where that is known already, give up."""
        if self._idle is None or self._idle.done():
            raise _Idle
        self._idle.set_result(None)

    def in_loop(self, loop: VirtualTimeLoop) -> InvocationOutput | LostInvocation:
        try:
            return loop.run_until_complete(self._main())
        except (SystemExit, KeyboardInterrupt) as error:  # asyncio lets a task end its loop by them
            if is_interrupted():
                return LostInvocation(interrupted=True)
            return LostInvocation(escaped(error), exit_status(error))
        except ProcessDied as error:
            return _lost(error)
        except (_Idle, Overdue):
            return LostInvocation(stuck=True)

    # -- from input to answer ------------------------------------------------------------------

    async def _main(self) -> InvocationOutput | LostInvocation:
        loop = asyncio.get_running_loop()
        self._idle = loop.create_future()
        execution = await self._load(loop)
        worker = loop.create_task(execution.checkpointer.run(), name="checkpointer")
        scope = Scope()
        context = DurableContext(execution, scope, replaying=execution.has_history)
        body = loop.create_task(self._call_handler(context, execution), name="handler")
        await asyncio.wait(
            (worker, body, self._idle, execution.death), return_when=asyncio.FIRST_COMPLETED
        )
        if not body.done() and self._is_stuck(execution, worker):
            execution.ending = True
            return LostInvocation(stuck=True)
        await self._wind_down(execution, scope, body, worker)
        if execution.death.done() or _died(worker):
            _look_at(body)
            died = execution.death.result() if execution.death.done() else worker.exception()
            return _lost(died) if isinstance(died, ProcessDied) else LostInvocation(exit_status=1)
        try:
            return await self._answer(execution, body)
        except ProcessDied as error:
            return _lost(error)
        finally:
            execution.checkpointer.close()
            await asyncio.wait((worker,))

    def _is_stuck(self, execution: Execution, worker: asyncio.Task[None]) -> bool:
        """Return True when code waits for what nothing will bring: no operation that is pending."""
        hangs = execution.bodies > 0 or not execution.parked
        failed = execution.fatal is not None or execution.checkpointer.failure is not None
        failed = failed or execution.revoked
        return hangs and not failed and not worker.done() and not execution.death.done()

    async def _load(self, loop: asyncio.AbstractEventLoop) -> Execution:
        given, options = self._given, self._options
        checkpointer = Checkpointer(
            self._transport,
            given.checkpoint_token,
            rules=options.rules,
            flush_window=options.flush_window,
            on_answer=lambda answer: execution.take_answer(answer),
            on_request=self.requests.append,
            on_revoked=lambda: execution.revoke(),
        )
        execution = Execution(
            given.durable_execution_arn,
            checkpointer,
            loop.create_future(),
            seed=options.seed,
            limits=options.limits,
            known_ends=options.known_ends,
            tell=options.tell,
        )
        self.execution = execution
        execution.load(given.operations)
        marker = given.next_marker
        while marker is not None:
            page = await self._transport.get_state(given.checkpoint_token, marker)
            execution.load(page.operations)
            marker = page.next_marker
        return execution

    async def _call_handler(self, context: DurableContext, execution: Execution) -> str | None:
        try:
            result = self._handler(self._event, context)
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:
            ours = isinstance(error, Exception | ProcessDied | CheckpointFailed)
            if ours or execution.ending or is_interrupted():
                raise
            raise execution.die("the handler ended the process", error) from error
        return serialize(JSON, result, SerDesContext("", execution.arn))

    async def _wind_down(
        self,
        execution: Execution,
        scope: Scope,
        body: asyncio.Task[str | None],
        worker: asyncio.Task[None],
    ) -> None:
        """Let what still works end, then send what is queued; after a death, neither."""
        if not body.done():
            execution.ending = True
            body.cancel()
            await asyncio.wait((body,))
        if execution.death.done() or _died(worker):
            execution.ending = True
            worker.cancel()
            await asyncio.wait((worker,))
            return
        scope.stop()
        await scope.quiet()
        with suppress(CheckpointFailed, ProcessDied):  # `_answer` looks at what failed
            await execution.checkpointer.drain()

    # -- the answer ----------------------------------------------------------------------------

    async def _answer(
        self, execution: Execution, body: asyncio.Task[str | None]
    ) -> InvocationOutput | LostInvocation:
        raised = None if body.cancelled() else body.exception()
        failure = execution.checkpointer.failure
        if isinstance(failure, ProcessDied):
            raise failure
        if execution.revoked:
            return InvocationOutput(InvocationStatus.PENDING)
        if isinstance(failure, CheckpointFailed):
            if _is_stale(failure.cause):
                return LostInvocation(error=error_object(failure.cause))
            return _failed(_explained(failure.cause, execution))
        if execution.fatal is not None:
            return _failed(execution.fatal)
        if execution.ending:
            return InvocationOutput(InvocationStatus.PENDING)
        if raised is not None:
            return _failed(raised)
        return await self._succeeded(execution, body.result())

    async def _succeeded(
        self, execution: Execution, result: str | None
    ) -> InvocationOutput | LostInvocation:
        """Answer with the result; one that is too large for an answer is checkpointed instead."""
        if result is None or utf8_bytes(result) <= self._options.limits.response_bytes:
            return InvocationOutput(InvocationStatus.SUCCEEDED, result=result)
        update = OperationUpdate(
            _execution_id(execution),
            OperationType.EXECUTION,
            OperationAction.SUCCEED,
            payload=result,
        )
        try:
            await execution.checkpointer.persist(update)
        except CheckpointFailed as failed:
            return _failed(_explained(failed.cause, execution))
        return InvocationOutput(InvocationStatus.SUCCEEDED, result="")


def _failed(error: BaseException) -> InvocationOutput | LostInvocation:
    """Return the answer for an error: the execution fails, or the invocation is tried again."""
    again = InvocationError | TransientFailure
    if isinstance(error, again) or not isinstance(error, Exception):
        return LostInvocation(error=error_object(error))
    return InvocationOutput(InvocationStatus.FAILED, error=error_object(error))


def _is_stale(cause: Exception) -> bool:
    """Return True where the token is no longer good: the next invocation gets a fresh one."""
    wanted = SDKS[Sdk.DOTNET].invalid_token
    return isinstance(cause, RefusedCheckpoint) and cause.message.startswith(wanted)


def _lost(died: ProcessDied) -> LostInvocation:
    if died.timed_out:
        return LostInvocation(stuck=True)
    return LostInvocation(died.error, died.status)


def _explained(cause: Exception, execution: Execution) -> Exception:
    """Return a refusal with the operation that it is about, its size and the limit."""
    if not isinstance(cause, RefusedCheckpoint):
        return cause
    about, operation_id = "a checkpoint", cause.operation_id
    for update in execution.checkpointer.last_updates:
        if update.id == operation_id:
            path = execution.paths.get(update.id)
            name = f" {short_name(update.name)!r}" if update.name else ""
            place = f" ({position_text(path)})" if path else ""
            about = f"{update.type}{name}{place}"
    sizes = ""
    if cause.size is not None and cause.limit is not None:
        sizes = f": {cause.size:,} against a limit of {cause.limit:,}"
    return CheckpointError(f"the service refused {about}{sizes} ({cause})", cause.code)


def _look_at(task: asyncio.Task[str | None]) -> None:
    """Look at what a task raised, so that asyncio doesn't print that nobody did."""
    if not task.cancelled():
        task.exception()


def _died(worker: asyncio.Task[None]) -> bool:
    return worker.done() and not worker.cancelled() and isinstance(worker.exception(), ProcessDied)


def _execution_id(execution: Execution) -> str:
    for operation in execution.operations.values():
        if operation.type is OperationType.EXECUTION:
            return operation.id
    return "execution"
