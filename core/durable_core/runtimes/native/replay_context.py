"""A native handler's context while it is verified: every operation is answered or noted.

The same context as in an invocation, but for what an operation does: nothing runs, nothing is
written, what isn't recorded ends there. Bodies of contexts and units do run, on what they recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn, TypeVar, cast

from durable_core.decide import ReplayDecision, Verb
from durable_core.exceptions import (
    ChildContextError,
    ExecutionError,
    SerDesError,
    error_object,
    raise_recorded,
)
from durable_core.ids import Path
from durable_core.model import (
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.native.batch_result import BatchResult
from durable_core.native.call import Call, called
from durable_core.native.config import ChildConfig
from durable_core.native.context import DurableContext
from durable_core.native.execution import Scope
from durable_core.native.logger import Logger, LoggerInterface
from durable_core.native.operations import batch as batches
from durable_core.native.operations.units import Unit
from durable_core.native.retries import RetryDecision, RetryStrategy
from durable_core.native.serdes import SerDes, SerDesContext, deserialize, serialize
from durable_core.raised import is_from_outside
from durable_core.runtimes.native.asked_options import backoff_of, options_asked
from durable_core.runtimes.native.call_lines import Arguments, handed_by, notes_lines
from durable_core.runtimes.native.replay_call import VerifyingCall, VerifyingExecution, end_look
from durable_core.runtimes.native.stored_batches import (
    has_unknown,
    read_first,
    rebuilt_result,
    whole_result,
)
from durable_core.runtimes.native.unmuted_logger import UnmutedLogger
from durable_core.sandbox.user_code import CodeLine
from durable_core.signals import InvocationEnding
from durable_core.verifying.contexts import (
    AnswerFrom,
    after_body,
    compare_unit,
    is_entered,
    needs_body,
    plan_context,
    plan_unit,
    runs_units,
    settled,
)
from durable_core.verifying.differences import note_end
from durable_core.verifying.leaks import running_body
from durable_core.verifying.missing_values import NotDone, is_unknown
from durable_core.verifying.option_changes import Backoff
from durable_core.verifying.recorded_tree import adapt_recorded
from durable_core.verifying.traces import BodyEnd, BodyOutcome, ContextTrace, UnitPlan
from durable_core.verifying.units import (
    lost_unit,
    plan_units,
    rebuilt_units,
)
from durable_core.verifying.verification import Identity

T = TypeVar("T")


@notes_lines
class VerifyingContext(DurableContext):
    """The context that a handler is given while it is verified."""

    _call_type = VerifyingCall

    def __init__(
        self, execution: VerifyingExecution, scope: Scope, trace: ContextTrace, **given: Any
    ):
        self._trace = trace
        self._verified = execution
        self._backoff: Backoff | None = None
        self.line: CodeLine | None = None
        self.arguments: Arguments | None = None
        super().__init__(execution, scope, replaying=False, **given)

    def is_replaying(self) -> bool:
        """Return True while the next operation is recorded, as on a replay of the whole record."""
        return self._trace.is_replaying

    def _logger_of(self, logger: LoggerInterface, extra: Mapping[str, object]) -> Logger:
        return UnmutedLogger(logger, extra, self._verified.session.logs)

    # -- asking --------------------------------------------------------------------------------

    def _call(
        self,
        kind: OperationType,
        sub_type: str,
        name: str | None,
        **options: object,
    ) -> Call:
        call = super()._call(kind, sub_type, name)
        assert isinstance(call, VerifyingCall)
        identity = Identity(kind.text, sub_type, call.name, bool(options.get("virtual")))
        backoff, self._backoff = self._backoff, None
        asked = options_asked(options, backoff, self._read_state, self._write_input)
        line, self.line = self.line, None
        arguments, self.arguments = self.arguments, None
        session = self._verified.session
        if arguments is not None and session.on_handed is not None:
            session.on_handed(call.id, partial(handed_by, arguments))
        call.answer = session.ask(self._trace, identity, asked, line)
        self._plant(call, adapt_recorded(call.answer.recorded, call.id, call.parent_id, identity))
        return call

    def _read_state(self, serdes: SerDes[Any], payload: str | None) -> Any:
        missing = self._verified.session.missing
        where = SerDesContext("", self._execution.arn)
        return missing.deserialize_earlier(partial(deserialize, serdes, payload, where))

    def _write_input(self, serdes: SerDes[Any], payload: Any) -> str | None:
        missing = self._verified.session.missing
        where = SerDesContext("", self._execution.arn)
        made = missing.serialize(partial(serialize, serdes, payload, where))
        return None if isinstance(made, NotDone) else cast("str | None", made)

    def decide_retry(
        self, strategy: RetryStrategy, error: Exception, attempt: int
    ) -> RetryDecision:
        """Ask the strategy of a block; the wait that it leads to is asked for next."""
        decision = super().decide_retry(strategy, error, attempt)
        is_retried = decision.should_retry
        self._backoff = backoff_of(strategy, error, attempt) if is_retried else None
        return decision

    def _plant(self, call: Call, operation: Operation | None) -> None:
        if operation is not None:
            self._execution.operations[call.id] = operation

    def _inside(self, call: Call, scope: Scope, virtual: bool) -> DurableContext:
        return VerifyingContext(
            self._verified,
            scope,
            self._verified.traces[call.id],
            parent_id=call.parent_id if virtual else call.id,
            prefix=call.prefix,
            path=call.path,
            logger=self.logger.get_logger(),
        )

    async def _forever(self, call: Call) -> NoReturn:
        await call.park(ReplayDecision(Verb.SUSPEND))
        raise InvocationEnding

    async def _look(
        self, call: Call, trace: ContextTrace, body: Callable[[Scope], Awaitable[Any]]
    ) -> BodyOutcome:
        """Run a body until it ends or nothing can go on any more, and note how it ended."""
        execution = self._verified
        execution.traces[call.id] = trace
        scope = Scope(self._scope)

        async def run() -> BodyOutcome:
            running_body.set(trace.path)  # of this task, and of those that it begins
            try:
                return BodyOutcome(BodyEnd.RETURNED, await body(scope))
            except InvocationEnding:
                return BodyOutcome(BodyEnd.SUSPENDED)
            except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
                # A task would hand on the first two to whoever runs the loop, and lose the third.
                if is_from_outside(error):
                    raise
                return BodyOutcome(BodyEnd.RAISED, error=error)
            finally:
                await scope.close()

        loop = asyncio.get_running_loop()
        task, look = loop.create_task(run()), loop.create_future()
        execution.looks.append(look)
        task.add_done_callback(lambda _: end_look(look))
        await look  # resolved with the body, or before it: see `give_up_a_look`
        ended = _ended(task)
        note_end(execution.session, trace, ended)
        return ended

    # -- child contexts ------------------------------------------------------------------------

    async def _child(
        self,
        func: Callable[[DurableContext], Any],
        name: str | None,
        sub_type: str,
        config: ChildConfig[Any],
    ) -> Any:
        call = cast(
            VerifyingCall,
            self._call(OperationType.CONTEXT, sub_type, name, virtual=config.is_virtual),
        )

        async def body(scope: Scope) -> Any:
            return await called(func(self._inside(call, scope, config.is_virtual)))

        return await self._perform(call, self._context(call, body, config))

    async def _context(
        self,
        call: VerifyingCall,
        body: Callable[[Scope], Awaitable[Any]],
        config: ChildConfig[Any],
    ) -> Any:
        session, answer = self._verified.session, call.answer
        summarizes = config.summary_generator is not None
        plan = plan_context(session, answer, summarizes=summarizes)
        if plan.trace is None:
            await self._forever(call)
        if not plan.runs_body:
            value = self._outcome(call, config.serdes)
            if not needs_body(session, answer, value):
                return value
        with session.watched(answer, body):
            ended = await self._look(call, plan.trace, body)
        where = (call.path, str(answer.identity))
        written = partial(_written, call, config.serdes, ended, *where)
        match after_body(session, answer, plan, ended, written):
            case AnswerFrom.RECORD:
                value = self._outcome(call, config.serdes)
                return settled(session, answer.path, answer.identity, value, ended)
            case AnswerFrom.BODY:
                return self._value(call, ended, config.serdes)
        return await self._forever(call)

    def _outcome(self, call: VerifyingCall, serdes: SerDes[Any] | None) -> Any:
        """Return the recorded value of a context, or raise its recorded error."""
        operation = call.recorded
        unknown = self._verified.session.take_payload(call.answer)
        if operation is None or operation.status is not OperationStatus.SUCCEEDED:
            raise_recorded(operation.error if operation else None, ChildContextError)
        return call.to_value(serdes, operation.result) if unknown is None else unknown

    def _value(self, call: VerifyingCall, ended: BodyOutcome, serdes: SerDes[Any] | None) -> Any:
        """Return what the body came to, on its way through the serdes as in an invocation."""
        if ended.error is None:
            return call.round_trip_of(serdes, ended.value, call.path, str(call.answer.identity))
        if not isinstance(ended.error, ExecutionError | SystemExit | KeyboardInterrupt):
            raise_recorded(error_object(ended.error), ChildContextError)
        raise ended.error

    # -- map and parallel ----------------------------------------------------------------------

    async def _batch(
        self, call: Call, units: Sequence[batches.PlannedUnit], options: batches.BatchOptions
    ) -> BatchResult[Any]:
        work = self._units_of(cast(VerifyingCall, call), units, options)
        return await self._perform(call, work)

    async def _units_of(
        self,
        call: VerifyingCall,
        planned: Sequence[batches.PlannedUnit],
        options: batches.BatchOptions,
    ) -> BatchResult[Any]:
        session, answer = self._verified.session, call.answer
        if not is_entered(answer):
            await self._forever(call)
        names: list[str | None] = [unit.name for unit in planned]
        inline = read_first(call, options)
        is_unread = needs_body(session, answer, inline)
        found = plan_units(session, answer, names, is_flat=options.is_flat, is_unread=is_unread)
        ends: list[BodyOutcome] = [_NOT_RUN] * len(planned)
        if runs_units(session, answer, lacks_values=has_unknown(inline)):
            units = batches.make_units(call, Scope(call.scope), planned, options)
            with session.watched(answer, *(unit.body for unit in planned[:_MOST_WATCHED])):
                await self._run_units(list(zip(units, found.units, strict=True)), ends, options)
        if not found.is_complete:
            await self._forever(call)
        recorded = call.recorded
        if recorded is None or recorded.status is not OperationStatus.SUCCEEDED:
            raise_recorded(recorded.error if recorded else None, ChildContextError)
        if not is_unread and not found.is_stripped:
            return whole_result(call, options, inline, ends)
        results = rebuilt_units(session, found, ends, is_unread=is_unread)
        if results is None and is_unread:
            return cast("BatchResult[Any]", inline)
        if results is None:
            await self._forever(call)
        if is_unread:
            session.missing.rebuilt(call.path, answer.identity, None)
        return rebuilt_result(found.reason, results, planned)

    async def _run_units(
        self,
        units: Sequence[tuple[Unit, UnitPlan]],
        ends: list[BodyOutcome],
        options: batches.BatchOptions,
    ) -> None:
        """Run units, at most `max_concurrency` at once, and put into `ends` how each ended.

        One that waits keeps its place: then those that aren't recorded to have begun don't.
        """
        room = options.max_concurrency or max(1, len(units))
        waiting, suspended = iter(units), 0

        async def work() -> None:
            nonlocal suspended
            for unit, answer in waiting:
                if answer.node is None and suspended >= room:
                    continue
                ends[unit.index] = ended = await self._unit(unit, answer, options)
                suspended += ended.outcome is BodyEnd.SUSPENDED

        await asyncio.gather(*(work() for _ in range(min(room, len(units)))))

    async def _unit(
        self, unit: Unit, answer: UnitPlan, options: batches.BatchOptions
    ) -> BodyOutcome:
        """Run the body of a unit; return what it is recorded to have come to, where it is."""
        if not answer.runs:
            return _NOT_RUN
        recorded = None if answer.node is None else answer.node.recorded
        identity = Identity("CONTEXT", unit.call.sub_type, unit.call.name)
        self._plant(
            unit.call, adapt_recorded(recorded, unit.call.id, unit.call.parent_id, identity)
        )
        session, call = self._verified.session, cast(VerifyingCall, unit.call)

        async def look() -> BodyOutcome:
            return await self._look(call, answer.trace, lambda scope: unit.body(call, scope))

        plan = plan_unit(session, answer)
        ended = await look() if plan.runs_body else _NOT_RUN
        serdes, where = options.unit_serdes, (answer.trace.path, str(identity))
        if plan.answer_from is AnswerFrom.BODY:
            try:
                is_value = ended.outcome is BodyEnd.RETURNED
                value = call.round_trip_of(serdes, ended.value, *where) if is_value else None
                return replace(ended, value=value)
            except SerDesError as error:
                return BodyOutcome(BodyEnd.RAISED, error=error)
        compare_unit(session, answer, ended, partial(_written, call, serdes, ended, *where))
        operation = call.recorded
        if operation is None or operation.status is not OperationStatus.SUCCEEDED:
            return _failed_as_recorded(call)
        value = lost_unit(session, answer)
        value = call.read(serdes, operation.result, *where) if value is None else value
        if is_unknown(value) and not plan.runs_body:
            ended = await look()
        trace = answer.trace
        value = settled(session, trace.path, trace.identity, value, ended)
        return BodyOutcome(BodyEnd.RETURNED, value)


_NOT_RUN = BodyOutcome(BodyEnd.NOT_RUN)
_MOST_WATCHED: Final = 50
"""Of how many units the code is looked at: of a map it is the same function."""


def _failed_as_recorded(call: Call) -> BodyOutcome:
    """Return what a completed unit is recorded to have failed with."""
    operation = call.recorded
    try:
        raise_recorded(operation.error if operation else None, ChildContextError)
    except (ChildContextError, SerDesError) as error:
        return BodyOutcome(BodyEnd.RAISED, error=error)


def _ended(task: asyncio.Task[BodyOutcome]) -> BodyOutcome:
    if not task.done():
        return BodyOutcome(BodyEnd.SUSPENDED)
    error = task.exception()
    if error is not None:
        return BodyOutcome(BodyEnd.RAISED, error=error)
    return task.result()


def _written(
    call: VerifyingCall, serdes: SerDes[Any] | None, ended: BodyOutcome, path: Path, label: str
) -> str | NotDone | None:
    try:
        return cast("str | NotDone | None", call.write(serdes, ended.value, path, label))
    except SerDesError as error:
        return NotDone(str(error))
