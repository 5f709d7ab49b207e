"""A native handler's context while it is verified: every operation is answered or noted.

The same context as in an invocation, but for what an operation does: nothing runs, nothing is
written, what isn't recorded ends there. Bodies of contexts and units do run, on what they recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn, TypeVar, cast

from durable_core.decide import Decision, Verb
from durable_core.exceptions import (
    ChildContextError,
    ExecutionError,
    SerDesError,
    error_object,
    raise_recorded,
)
from durable_core.model import (
    CompletionReason,
    ErrorObject,
    Operation,
    OperationStatus,
    OperationType,
    UnitStatus,
)
from durable_core.native.batch_result import BatchItem, BatchResult
from durable_core.native.call import Call, called
from durable_core.native.config import ChildConfig
from durable_core.native.context import DurableContext
from durable_core.native.execution import Scope
from durable_core.native.logger import Logger, LoggerInterface
from durable_core.native.operations import batch as batches
from durable_core.native.operations.batch_payload import read_inline
from durable_core.native.operations.units import Unit
from durable_core.native.serdes import SerDes
from durable_core.raised import is_from_outside
from durable_core.runtimes.native.call_lines import Arguments, handed_by, notes_lines
from durable_core.runtimes.native.replay_call import VerifyingCall, VerifyingExecution, end_look
from durable_core.runtimes.native.telling_context import TellingContext
from durable_core.runtimes.native.unmuted_logger import UnmutedLogger
from durable_core.signals import InvocationEnding
from durable_core.verifying.differences import (
    compare_flat_results,
    compare_result,
    compare_unit_result,
    is_summarized,
    note_end,
    returned,
)
from durable_core.verifying.leaks import running_body
from durable_core.verifying.planting import planted
from durable_core.verifying.runs import Outcome
from durable_core.verifying.serdes_io import NotDone
from durable_core.verifying.traces import Ended, Trace, UnitAnswer
from durable_core.verifying.units import (
    all_returned,
    ended_units,
    examine_units,
    lost_unit,
)
from durable_core.verifying.unknown import UnknownValue, is_unknown
from durable_core.verifying.verification import CodeLine, Identity

T = TypeVar("T")


@notes_lines
class VerifyingContext(TellingContext):
    """The context that a handler is given while it is verified."""

    _call_type = VerifyingCall

    def __init__(self, execution: VerifyingExecution, scope: Scope, trace: Trace, **given: Any):
        self._trace = trace
        self._verified = execution
        self.line: CodeLine | None = None
        self.arguments: Arguments | None = None
        super().__init__(execution, scope, replaying=False, **given)

    def is_replaying(self) -> bool:
        """Return True while the next operation is recorded, as on a replay of the whole record."""
        return self._trace.is_replaying

    def _logger_of(self, logger: LoggerInterface, extra: Mapping[str, object]) -> Logger:
        return UnmutedLogger(logger, extra, self._verified.examination.logs)

    # -- asking --------------------------------------------------------------------------------

    def _call(
        self, kind: OperationType, sub_type: str, name: str | None, *, virtual: bool = False
    ) -> Call:
        call = super()._call(kind, sub_type, name)
        assert isinstance(call, VerifyingCall)
        identity = Identity(kind.text, sub_type, call.name, virtual)
        details, decide = self.told()
        line, self.line = self.line, None
        arguments, self.arguments = self.arguments, None
        examination = self._verified.examination
        if arguments is not None and examination.on_handed is not None:
            examination.on_handed(call.id, partial(handed_by, arguments))
        call.answer = examination.ask(self._trace, identity, details, decide, line)
        self._plant(call, planted(call.answer.recorded, call.id, call.parent_id, identity))
        return call

    def _read_state(self, serdes: SerDes[Any], payload: str | None) -> Any:
        missing = self._verified.examination.missing
        return missing.deserialize_earlier(
            lambda: super(VerifyingContext, self)._read_state(serdes, payload)
        )

    def _write_input(self, serdes: SerDes[Any], payload: Any) -> str | None:
        missing = self._verified.examination.missing
        made = missing.serialize(
            lambda: super(VerifyingContext, self)._write_input(serdes, payload)
        )
        return None if isinstance(made, NotDone) else cast("str | None", made)

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
        await call.park(Decision(Verb.SUSPEND))
        raise InvocationEnding

    async def _look(
        self, call: Call, trace: Trace, body: Callable[[Scope], Awaitable[Any]]
    ) -> Ended:
        """Run a body until it ends or nothing can go on any more, and note how it ended."""
        execution = self._verified
        execution.traces[call.id] = trace
        scope = Scope(self._scope)

        async def run() -> Ended:
            running_body.set(trace.path)  # of this task, and of those that it begins
            try:
                return Ended(Outcome.RETURNED, await body(scope))
            except InvocationEnding:
                return Ended(Outcome.SUSPENDED)
            except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
                # A task would hand on the first two to whoever runs the loop, and lose the third.
                if is_from_outside(error):
                    raise
                return Ended(Outcome.RAISED, error=error)
            finally:
                await scope.close()

        loop = asyncio.get_running_loop()
        task, look = loop.create_task(run()), loop.create_future()
        execution.looks.append(look)
        task.add_done_callback(lambda _: end_look(look))
        await look  # resolved with the body, or before it: see `give_up_a_look`
        ended = _ended(task)
        note_end(execution.examination, trace, ended)
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

        return await self._perform(call, self._examine(call, body, config))

    async def _examine(
        self,
        call: VerifyingCall,
        body: Callable[[Scope], Awaitable[Any]],
        config: ChildConfig[Any],
    ) -> Any:
        examination, answer = self._verified.examination, call.answer
        if not examination.may_enter(answer):
            await self._forever(call)
        trace = examination.context(answer)
        summarizes = config.summary_generator is not None
        if answer.is_terminal and not examination.looks_inside(answer, summarizes=summarizes):
            value = self._outcome(call, config.serdes)
            if not is_unknown(value) or not examination.can_look_inside(answer):
                return value
        with examination.watched(answer, body):
            ended = await self._look(call, trace, body)
        if answer.is_terminal and not examination.is_stripped(answer.recorded):
            if self._is_as_stored(call, ended, config.serdes):
                value = self._outcome(call, config.serdes)
                if is_unknown(value) and ended.outcome is Outcome.RETURNED:
                    examination.missing.rebuilt(call.path, answer.identity, ended.value)
                    return ended.value
                return value
            return self._value(call, ended, config.serdes)
        is_open = answer.recorded is not None and not answer.is_terminal
        if is_open or ended.outcome is Outcome.SUSPENDED:
            await self._forever(call)
        return self._value(call, ended, config.serdes)

    def _is_as_stored(self, call: VerifyingCall, ended: Ended, serdes: SerDes[Any] | None) -> bool:
        """Compare a body's result with what is stored; False when that is only a summary of it."""
        if ended.outcome is not Outcome.RETURNED:
            return True
        try:
            payload = call.write(serdes, ended.value, call.path, str(call.answer.identity))
        except SerDesError:
            return True  # the body is compared by what it asks for; its value is a difference only
        if isinstance(payload, NotDone):
            return True
        if is_summarized(self._verified.examination, call.answer, payload):
            return False
        compare_result(self._verified.examination, call.answer, payload)
        return True

    def _outcome(self, call: VerifyingCall, serdes: SerDes[Any] | None) -> Any:
        """Return the recorded value of a context, or raise its recorded error."""
        operation = call.recorded
        unknown = self._verified.examination.take_payload(call.answer)
        if operation is None or operation.status is not OperationStatus.SUCCEEDED:
            raise_recorded(operation.error if operation else None, ChildContextError)
        return call.to_value(serdes, operation.result) if unknown is None else unknown

    def _value(self, call: VerifyingCall, ended: Ended, serdes: SerDes[Any] | None) -> Any:
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
        work = self._examine_units(cast(VerifyingCall, call), units, options)
        return await self._perform(call, work)

    async def _examine_units(
        self,
        call: VerifyingCall,
        planned: Sequence[batches.PlannedUnit],
        options: batches.BatchOptions,
    ) -> BatchResult[Any]:
        examination, answer = self._verified.examination, call.answer
        if not examination.may_enter(answer):
            await self._forever(call)
        names: list[str | None] = [unit.name for unit in planned]
        inline = self._inline_first(call, options)
        is_unread = is_unknown(inline) and examination.can_look_inside(answer)
        found = examine_units(
            examination, answer, names, is_flat=options.is_flat, is_unread=is_unread
        )
        looks = examination.looks_inside(answer) or not found.is_complete or _has_unknown(inline)
        ends: list[Ended] = [_NOT_RUN] * len(planned)
        if looks:
            units = batches.make_units(call, Scope(call.scope), planned, options)
            with examination.watched(answer, *(unit.body for unit in planned[:_MOST_WATCHED])):
                await self._run_units(list(zip(units, found.units, strict=True)), ends, options)
        if not found.is_complete:
            await self._forever(call)
        recorded = call.recorded
        if recorded is None or recorded.status is not OperationStatus.SUCCEEDED:
            raise_recorded(recorded.error if recorded else None, ChildContextError)
        if is_unread:
            if not all_returned(found, ends):
                return cast("BatchResult[Any]", inline)
            examination.missing.rebuilt(call.path, answer.identity, None)
            all_ended = ended_units(examination, found, ends)
            return _rebuilt(found.reason, all_ended, ends, planned)
        if not found.is_stripped:
            return self._whole(call, options, inline, ends)
        all_ended = ended_units(examination, found, ends)
        for unit, ended in zip(all_ended, ends, strict=True):
            if unit.status is UnitStatus.SUCCEEDED and ended.outcome is not Outcome.RETURNED:
                await self._forever(call)  # its value can't be known
        return _rebuilt(found.reason, all_ended, ends, planned)

    def _whole(
        self,
        call: VerifyingCall,
        options: batches.BatchOptions,
        inline: BatchResult[Any] | UnknownValue | None,
        ends: Sequence[Ended],
    ) -> BatchResult[Any]:
        """Return the stored result, and compare the values of FLAT units with it."""
        if inline is None:
            inline = self._inline(call, options)
        # What a SerDes makes of it may be anything.
        if not is_unknown(inline) and isinstance(inline, BatchResult):
            inline = BatchResult(
                [_known(item, ends) for item in inline.all], inline.completion_reason
            )
            was = {each.index: each.result for each in inline.succeeded()}
            compare_flat_results(self._verified.examination, call.answer, was, returned(ends))
        return cast("BatchResult[Any]", inline)

    def _inline_first(
        self, call: VerifyingCall, options: batches.BatchOptions
    ) -> BatchResult[Any] | UnknownValue | None:
        """Return the stored result where it may not be to be had, before any unit runs."""
        answer, recorded = call.answer, call.answer.recorded
        if recorded is None or recorded.operation.status is not OperationStatus.SUCCEEDED:
            return None
        if self._verified.examination.is_stripped(recorded) or not answer.is_terminal:
            return None
        if recorded.is_lost or options.serdes is not None or options.unit_serdes is not None:
            return self._inline(call, options)
        return None

    async def _run_units(
        self,
        units: Sequence[tuple[Unit, UnitAnswer]],
        ends: list[Ended],
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
                suspended += ended.outcome is Outcome.SUSPENDED

        await asyncio.gather(*(work() for _ in range(min(room, len(units)))))

    async def _unit(self, unit: Unit, answer: UnitAnswer, options: batches.BatchOptions) -> Ended:
        """Run the body of a unit; return what it is recorded to have come to, where it is."""
        if not answer.runs:
            return _NOT_RUN
        recorded = None if answer.node is None else answer.node.recorded
        identity = Identity("CONTEXT", unit.call.sub_type, unit.call.name)
        self._plant(unit.call, planted(recorded, unit.call.id, unit.call.parent_id, identity))
        examination, call = self._verified.examination, cast(VerifyingCall, unit.call)

        async def look() -> Ended:
            return await self._look(call, answer.trace, lambda scope: unit.body(call, scope))

        looks = examination.looks_inside_unit(answer)
        ended = await look() if looks else _NOT_RUN
        operation = None if recorded is None else recorded.operation
        succeeded = operation is not None and operation.status is OperationStatus.SUCCEEDED
        serdes, where = options.unit_serdes, (answer.trace.path, str(identity))
        if operation and succeeded and not examination.is_stripped(recorded):
            if ended.outcome is Outcome.RETURNED:
                with suppress(SerDesError):  # as in `_is_as_stored`
                    payload = call.write(serdes, ended.value, *where)
                    if not isinstance(payload, NotDone):
                        compare_unit_result(examination, answer, payload)
            value = lost_unit(examination, answer)
            value = call.read(serdes, operation.result, *where) if value is None else value
            if is_unknown(value) and not looks:
                ended = await look()
            if is_unknown(value) and ended.outcome is Outcome.RETURNED:
                examination.missing.rebuilt(answer.trace.path, identity, ended.value)
                value = ended.value
            return Ended(Outcome.RETURNED, value)
        if not looks:
            return _failed_as_recorded(call)
        if ended.outcome is Outcome.RETURNED:
            try:
                return Ended(Outcome.RETURNED, call.round_trip_of(serdes, ended.value, *where))
            except SerDesError as error:
                return Ended(Outcome.RAISED, error=error)
        return ended

    def _inline(
        self, call: VerifyingCall, options: batches.BatchOptions
    ) -> BatchResult[Any] | UnknownValue:
        examination = self._verified.examination
        unknown = examination.take_payload(call.answer)
        if unknown is not None:
            return unknown
        payload = call.recorded.result if call.recorded else None
        if options.serdes is not None:
            return cast("BatchResult[Any]", call.to_value(options.serdes, payload))
        inline = read_inline(payload)
        if inline is None:
            examination.doubt(
                f"the recorded result of {call.label} is not one of a map or parallel of this "
                "runtime",
                "give a history as the service returns it, of a handler of this runtime",
                call.path,
            )
            return BatchResult([], CompletionReason.ALL_COMPLETED)
        return batches.inline_result(call, inline, options)


_NOT_RUN = Ended(Outcome.NOT_RUN)
_MOST_WATCHED: Final = 50
"""Of how many units the code is looked at: of a map it is the same function."""


def _failed_as_recorded(call: Call) -> Ended:
    """Return what a completed unit is recorded to have failed with."""
    operation = call.recorded
    try:
        raise_recorded(operation.error if operation else None, ChildContextError)
    except (ChildContextError, SerDesError) as error:
        return Ended(Outcome.RAISED, error=error)


def _has_unknown(inline: BatchResult[Any] | UnknownValue | None) -> bool:
    """Tell whether a stored result, or that of a unit in it, isn't to be had."""
    if inline is None or is_unknown(inline):
        return inline is not None
    return isinstance(inline, BatchResult) and any(is_unknown(each.result) for each in inline.all)


def _known(item: BatchItem[Any], ends: Sequence[Ended]) -> BatchItem[Any]:
    """Return a unit's result, from its body where the record doesn't have it."""
    if not is_unknown(item.result) or item.index >= len(ends):
        return item
    ended = ends[item.index]
    return replace(item, result=ended.value) if ended.outcome is Outcome.RETURNED else item


def _ended(task: asyncio.Task[Ended]) -> Ended:
    if not task.done():
        return Ended(Outcome.SUSPENDED)
    error = task.exception()
    if error is not None:
        return Ended(Outcome.RAISED, error=error)
    return task.result()


def _rebuilt(
    reason: CompletionReason | None,
    units: Sequence[UnitAnswer],
    ends: Sequence[Ended],
    planned: Sequence[batches.PlannedUnit],
) -> BatchResult[Any]:
    """Return the result of a stripped map or parallel: frozen statuses, values of this run."""
    items = []
    for index, (unit, ended) in enumerate(zip(units, ends, strict=True)):
        if not unit.is_listed:
            continue
        status = unit.status or UnitStatus.STARTED
        value = ended.value if status is UnitStatus.SUCCEEDED else None
        error: ErrorObject | None = None
        if status is UnitStatus.FAILED:
            error = _error_of(unit, ended)
        items.append(BatchItem(index, status, value, error, planned[index].name))
    return BatchResult(items, reason or CompletionReason.ALL_COMPLETED)


def _error_of(unit: UnitAnswer, ended: Ended) -> ErrorObject | None:
    recorded = None if unit.node is None else unit.node.recorded
    if recorded is not None and recorded.operation.error is not None:
        return recorded.operation.error
    return None if ended.error is None else error_object(ended.error)
