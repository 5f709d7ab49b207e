"""A native handler's context while it is verified: every operation is answered or noted.

The same context as in an invocation, but for what an operation does: nothing runs, nothing is
written, what isn't recorded ends there. Bodies of contexts and units do run, on what they recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from functools import cache, partial
from typing import Any, Final, NoReturn, TypeVar, cast

from durable_core.decide import Asked, Decision, Verb, Want, decide
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
    OperationAction,
    OperationStatus,
    OperationType,
    UnitStatus,
)
from durable_core.native.batch_result import BatchItem, BatchResult
from durable_core.native.call import Call, called
from durable_core.native.config import ChildConfig
from durable_core.native.context import DurableContext
from durable_core.native.execution import Execution, Scope
from durable_core.native.journal import Did
from durable_core.native.logger import Logger, LoggerInterface
from durable_core.native.operations import batch as batches
from durable_core.native.operations.batch_payload import read_inline
from durable_core.native.operations.units import Unit
from durable_core.native.serdes import SerDes
from durable_core.native.signals import InvocationEnding
from durable_core.values import dataclass
from durable_core.verifying.call_lines import Arguments, handed_by, notes_lines
from durable_core.verifying.endings import (
    compare_flat_results,
    compare_result,
    compare_unit_result,
    is_summarized,
    note_end,
    returned,
)
from durable_core.verifying.examination import Examination
from durable_core.verifying.planting import planted
from durable_core.verifying.raised import is_from_outside
from durable_core.verifying.runs import Outcome
from durable_core.verifying.telling_context import TellingContext
from durable_core.verifying.traces import Answer, Ended, Trace, UnitAnswer
from durable_core.verifying.unit_examination import ended_units, examine_units
from durable_core.verifying.unmuted_logger import UnmutedLogger
from durable_core.verifying.verification import CodeLine, Identity

T = TypeVar("T")


@dataclass
class VerifyingExecution(Execution):
    """The execution of a run under examination. `looks` are the bodies that run, innermost last."""

    examination: Examination = field(kw_only=True)
    traces: dict[str, Trace] = field(default_factory=dict)
    looks: list[asyncio.Future[None]] = field(default_factory=list)

    def give_up_a_look(self) -> bool:
        """Let the innermost body that can't go on be left; return False when there is none."""
        while self.looks:
            look = self.looks.pop()
            if not look.done():
                _resolve(look)
                return True
        return False


def _resolve(look: asyncio.Future[None]) -> None:
    if not look.done():
        look.set_result(None)


@cache
def _asked(kind: OperationType, want: Want) -> Asked:
    """Return what is asked for where the identity is compared elsewhere."""
    return Asked(kind, want=want, check=False)


_ANSWERS: Final = (Verb.REUSE, Verb.RAISE)
_RUNS: Final = (Verb.RUN, Verb.RUN_AGAIN, Verb.INTERRUPTED)


class VerifyingCall(Call):
    """An operation that is answered from the record and does nothing."""

    __slots__ = ("answer",)
    answer: Answer

    def decide(self, want: Want = Want.OPERATION) -> Decision:
        """Return what a replay does with it; what would run something ends here instead."""
        decision = decide(self.recorded, _asked(self.type, want))
        if decision.verb in _ANSWERS:
            self._examination.take_payload(self.answer)
        elif decision.verb in _RUNS and self.type is not OperationType.CALLBACK:
            return Decision(Verb.SUSPEND)
        return decision

    def to_value(self, serdes: SerDes[Any] | None, payload: str | None) -> Any:
        """Return the value of a payload; one that can't be read is a reason not to verify."""
        try:
            return super().to_value(serdes, payload)
        except SerDesError as error:
            self._examination.unreadable(self.label, self.path, error)
            raise

    async def persist(self, action: OperationAction, **given: Any) -> None:
        """Write nothing: nothing is new in what is recorded, and what is new ends here."""
        await self.park(Decision(Verb.SUSPEND))

    def send(self, action: OperationAction) -> None:
        """Write nothing."""

    def note(
        self,
        did: Did,
        *,
        attempt: int | None = None,
        size: int | None = None,
        once: bool = False,
    ) -> None:
        """Note nothing: the examination keeps what was asked."""

    @property
    def _examination(self) -> Examination:
        return cast(VerifyingExecution, self.execution).examination


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
            try:
                return Ended(Outcome.RETURNED, await body(scope))
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
        task.add_done_callback(lambda _: _resolve(look))
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
            return self._outcome(call, config.serdes)
        ended = await self._look(call, trace, body)
        if answer.is_terminal and not examination.is_stripped(answer.recorded):
            if self._is_as_stored(call, ended, config.serdes):
                return self._outcome(call, config.serdes)
            return self._value(call, ended, config.serdes)
        is_open = answer.recorded is not None and not answer.is_terminal
        if is_open or ended.outcome is Outcome.SUSPENDED:
            await self._forever(call)
        return self._value(call, ended, config.serdes)

    def _is_as_stored(self, call: VerifyingCall, ended: Ended, serdes: SerDes[Any] | None) -> bool:
        """Compare a body's result with what is stored; False when that is only a summary of it."""
        if ended.outcome is not Outcome.RETURNED:
            return True
        payload = call.to_payload(serdes, ended.value)
        if is_summarized(call.answer, payload):
            return False
        compare_result(self._verified.examination, call.answer, payload)
        return True

    def _outcome(self, call: VerifyingCall, serdes: SerDes[Any] | None) -> Any:
        """Return the recorded value of a context, or raise its recorded error."""
        operation = call.recorded
        self._verified.examination.take_payload(call.answer)
        if operation is None or operation.status is not OperationStatus.SUCCEEDED:
            raise_recorded(operation.error if operation else None, ChildContextError)
        return call.to_value(serdes, operation.result)

    def _value(self, call: Call, ended: Ended, serdes: SerDes[Any] | None) -> Any:
        """Return what the body came to, on its way through the serdes as in an invocation."""
        if ended.error is None:
            return call.to_value(serdes, call.to_payload(serdes, ended.value))
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
        found = examine_units(examination, answer, names, is_flat=options.is_flat)
        looks = examination.looks_inside(answer) or not found.is_complete
        ends: list[Ended] = [_NOT_RUN] * len(planned)
        if looks:
            units = batches.make_units(call, Scope(call.scope), planned, options)
            each = zip(units, found.units, strict=True)
            ends = list(await asyncio.gather(*(self._unit(*one, options) for one in each)))
        if not found.is_complete:
            await self._forever(call)
        recorded = call.recorded
        if recorded is None or recorded.status is not OperationStatus.SUCCEEDED:
            raise_recorded(recorded.error if recorded else None, ChildContextError)
        if not found.is_stripped:
            inline = self._inline(call, options)
            if isinstance(inline, BatchResult):  # and nothing that a serdes made of it
                was = {each.index: each.result for each in inline.succeeded()}
                compare_flat_results(examination, answer, was, returned(ends))
            return inline
        all_ended = ended_units(examination, found, ends)
        for unit, ended in zip(all_ended, ends, strict=True):
            if unit.status is UnitStatus.SUCCEEDED and ended.outcome is not Outcome.RETURNED:
                await self._forever(call)  # its value can't be known
        return _rebuilt(found.reason, all_ended, ends, planned)

    async def _unit(self, unit: Unit, answer: UnitAnswer, options: batches.BatchOptions) -> Ended:
        """Run the body of a unit; return what it is recorded to have come to, where it is."""
        if not answer.runs:
            return _NOT_RUN
        recorded = None if answer.node is None else answer.node.recorded
        identity = Identity("CONTEXT", unit.call.sub_type, unit.call.name)
        self._plant(unit.call, planted(recorded, unit.call.id, unit.call.parent_id, identity))
        ended = await self._look(unit.call, answer.trace, lambda scope: unit.body(unit.call, scope))
        operation = None if recorded is None else recorded.operation
        succeeded = operation is not None and operation.status is OperationStatus.SUCCEEDED
        if operation and succeeded and not self._verified.examination.is_stripped(recorded):
            if ended.outcome is Outcome.RETURNED:
                payload = unit.call.to_payload(options.unit_serdes, ended.value)
                compare_unit_result(self._verified.examination, answer, payload)
            value = unit.call.to_value(options.unit_serdes, operation.result)
            return Ended(Outcome.RETURNED, value)
        if ended.outcome is Outcome.RETURNED:
            payload = unit.call.to_payload(options.unit_serdes, ended.value)
            value = unit.call.to_value(options.unit_serdes, payload)
            return Ended(Outcome.RETURNED, value)
        return ended

    def _inline(self, call: VerifyingCall, options: batches.BatchOptions) -> BatchResult[Any]:
        examination = self._verified.examination
        examination.take_payload(call.answer)
        payload = call.recorded.result if call.recorded else None
        if options.serdes is not None:
            return cast("BatchResult[Any]", call.to_value(options.serdes, payload))
        inline = read_inline(payload)
        if inline is None:
            examination.doubt(
                f"the recorded result of {call.label} is not one of a map or parallel of this "
                "runtime",
                "verify with a handler of the SDK that wrote the history",
                call.path,
            )
            return BatchResult([], CompletionReason.ALL_COMPLETED)
        return batches.inline_result(call, inline, options)


_NOT_RUN = Ended(Outcome.NOT_RUN)


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
        if status is UnitStatus.FAILED and ended.error is not None:
            error = error_object(ended.error)
        items.append(BatchItem(index, status, value, error, planned[index].name))
    return BatchResult(items, reason or CompletionReason.ALL_COMPLETED)
