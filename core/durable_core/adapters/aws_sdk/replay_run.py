"""One run of a handler of AWS's SDK under examination: what each operation and unit comes to.

What the SDK would do is asked of it with the recorded operation planted in its state, so that the
value, the error and the serdes are its own. Units run one after another, on no clock and no thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from durable_core.adapters.aws_sdk.decisions import decider, details_of
from durable_core.adapters.aws_sdk.given import handed_by_executor, handed_to_units
from durable_core.adapters.aws_sdk.replay_attach import Parts
from durable_core.fold import Recorded
from durable_core.model import (
    ContextDetails,
    ErrorObject,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
    UnitStatus,
)
from durable_core.safe_text import plain, shown
from durable_core.verifying.alignment import Fit
from durable_core.verifying.endings import (
    compare_flat_results,
    compare_result,
    compare_unit_result,
    is_summarized,
    note_end,
)
from durable_core.verifying.examination import Examination
from durable_core.verifying.planting import planted
from durable_core.verifying.raised import is_from_outside
from durable_core.verifying.runs import Outcome
from durable_core.verifying.traces import Answer, BatchAnswer, Ended, Trace, UnitAnswer
from durable_core.verifying.unit_examination import ended_units, examine_units
from durable_core.verifying.verification import Identity
from durable_core.wire import operation_to_wire

BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When everything that is planted happened: long ago, so that nothing is due."""


class ReplayRun:
    """One run: which trace belongs to which of the SDK's contexts, and what each call comes to."""

    def __init__(self, sdk: Any, parts: Parts, examination: Examination, arn: str) -> None:
        self.sdk = sdk
        self.parts = parts
        self.examination = examination
        self._arn = arn
        self._traces: dict[str | None, Trace] = {None: examination.root}
        self._issued: dict[str, Trace] = {}
        self._batches: dict[str, Answer] = {}
        self._units: dict[str, UnitAnswer] = {}

    def issued(self, prefix: str | None, operation_id: str) -> None:
        """Note in which context an id was made."""
        self._issued[operation_id] = self._traces.get(prefix, self.examination.root)

    def is_replaying(self, prefix: str | None) -> bool:
        """Return True while what a context asks for next is recorded."""
        return self._traces.get(prefix, self.examination.root).is_replaying

    def logs(self) -> AbstractContextManager[None]:
        """Watch over a call of a context's logger."""
        return self.examination.logs()

    # -- operations ----------------------------------------------------------------------------

    def process(self, executor: Any, original: Callable[[Any], Any]) -> Any:
        """Do in an operation's place what a replay does with it."""
        identifier = executor.operation_identifier
        operation_id = identifier.operation_id
        unit = self._units.get(operation_id)
        if unit is not None:
            return self._unit(executor, original, unit)
        virtual = bool(getattr(executor, "is_virtual", False))
        identity = _identity(executor, virtual)
        trace = self._issued.get(operation_id, self.examination.root)
        if identity.type == OperationType.CHAINED_INVOKE:
            self._write_payload(executor, original, trace)
        decide = decider(executor, self.parts, self._arn)
        answer = self.examination.ask(
            trace, identity, details_of(executor, self.parts, self._arn), decide
        )
        if self.examination.on_handed is not None:
            self.examination.on_handed(operation_id, partial(handed_by_executor, executor))
        operation = planted(answer.recorded, operation_id, identifier.parent_id, identity)
        if isinstance(executor, self.parts.child_executor):
            return self._context(executor, original, answer, operation)
        if operation is None or not (operation.is_terminal or identity.type == "CALLBACK"):
            raise self.parts.suspend("not recorded any further")
        self.examination.take_payload(answer)
        return self._from_record(executor, original, operation, answer)

    def _write_payload(self, executor: Any, original: Callable[[Any], Any], trace: Trace) -> None:
        """Let the SDK serialize the payload of an invoke that isn't recorded; raise what it raises.

        It does so before anything is written: where it can't, the history has no trace of it.
        """
        if len(trace.asked) >= len(trace.sequence):
            with suppress(self.parts.suspend):  # what comes next is to write its START
                original(executor)

    def _from_record(
        self, executor: Any, original: Callable[[Any], Any], operation: Operation, answer: Answer
    ) -> Any:
        """Let the SDK return what is recorded, or raise it."""
        self._plant(executor, operation)
        try:
            return original(executor)
        except self.parts.serdes_errors as error:
            if operation.status is OperationStatus.SUCCEEDED:
                self.examination.unreadable(answer.identity, answer.path, error)
            if answer.trace.asked[answer.asked_at].fit in (Fit.BORROWED, Fit.NEW):
                raise self.parts.suspend("what another operation came to") from None
            raise

    def _plant(self, executor: Any, operation: Operation) -> None:
        executor.state._operations[operation.id] = self.as_sdk(operation)

    def as_sdk(self, operation: Operation) -> Any:
        """Return an operation as the SDK's own, nothing in it due."""
        wire = operation_to_wire(operation)
        for key in ("StartTimestamp", "EndTimestamp"):
            if key in wire:
                wire[key] = BEGAN
        for details, key in (("StepDetails", "NextAttemptTimestamp"), _WAIT_END):
            if key in wire.get(details, {}):
                wire[details][key] = BEGAN
        return self.sdk.operation.from_dict(wire)

    def look(self, trace: Trace, body: Callable[[], Any]) -> Ended:
        """Run a body to its end, or until it asks for what isn't recorded."""
        try:
            ended = Ended(Outcome.RETURNED, body())
        except self.parts.suspend:
            ended = Ended(Outcome.SUSPENDED)
        except BaseException as error:
            if is_from_outside(error):
                raise
            ended = Ended(Outcome.RAISED, error=error)
        note_end(self.examination, trace, ended)
        return ended

    # -- contexts ------------------------------------------------------------------------------

    def _context(
        self,
        executor: Any,
        original: Callable[[Any], Any],
        answer: Answer,
        operation: Operation | None,
    ) -> Any:
        examination = self.examination
        operation_id = executor.operation_identifier.operation_id
        if not examination.may_enter(answer):
            raise self.parts.suspend("not recorded any further")
        self._traces[operation_id] = trace = examination.context(answer)
        self._batches[operation_id] = answer
        looks = examination.looks_inside(answer, summarizes=_summarizes(executor, answer))
        if operation is not None and answer.is_terminal and not looks:
            examination.take_payload(answer)
            return self._from_record(executor, original, operation, answer)
        ended = self.look(trace, executor.func)
        is_context = answer.recorded is not None and (
            answer.recorded.operation.type is OperationType.CONTEXT
        )
        stripped = examination.is_stripped(answer.recorded)
        if operation is not None and is_context and answer.is_terminal and not stripped:
            is_batch = answer.identity.sub_type in (SubType.MAP, SubType.PARALLEL)
            if not is_batch and not self._is_as_stored(executor, answer, ended):
                return self._from_body(executor, original, operation, ended)
            examination.take_payload(answer)
            value = self._from_record(executor, original, operation, answer)
            if is_batch and ended.outcome is Outcome.RETURNED:
                self._compare_flat(answer, value, ended.value)
            return value
        is_open = is_context and not answer.is_terminal
        if is_open or ended.outcome is Outcome.SUSPENDED:
            raise self.parts.suspend("not recorded any further")
        return self._from_body(executor, original, operation, ended)

    def _is_as_stored(self, executor: Any, answer: Answer, ended: Ended) -> bool:
        """Compare a body's result with what is stored; False when that is only a summary of it."""
        if ended.outcome is not Outcome.RETURNED:
            return True
        try:
            payload = self._payload(executor, ended.value)
        except Exception:
            return True  # the body is compared by what it asks for; its value is a difference only
        if is_summarized(answer, payload):
            return False
        compare_result(self.examination, answer, payload)
        return True

    def _payload(self, executor: Any, value: Any) -> str | None:
        """Return what a context would write of its result. Raises what its serdes does."""
        payload: str | None = self.parts.serialize(
            serdes=executor.config.serdes,
            value=value,
            operation_id=executor.operation_identifier.operation_id,
            durable_execution_arn=self._arn,
        )
        return payload

    def _compare_flat(self, answer: Answer, recorded: Any, current: Any) -> None:
        """Note where FLAT units come to other results than those of the map or parallel hold."""
        if isinstance(recorded, self.parts.batch_result):
            # Before 3.0, `succeeded()` leaves out what returned None.
            succeeded = self.parts.batch_status("SUCCEEDED")
            was, now = (
                {each.index: each.result for each in batch.all if each.status is succeeded}
                for batch in (recorded, current)
            )
            compare_flat_results(self.examination, answer, was, now)

    def _from_body(
        self,
        executor: Any,
        original: Callable[[Any], Any],
        operation: Operation | None,
        ended: Ended,
    ) -> Any:
        """Let the SDK return what the body came to, as for a context whose value isn't stored."""

        def again() -> Any:
            if ended.error is not None:
                raise ended.error
            return ended.value

        if not getattr(executor, "is_virtual", False):
            self._plant_context(
                executor, ContextDetails(True, operation.result if operation else "")
            )
        executor.func = again
        try:
            return original(executor)
        except self.parts.suspend:
            if ended.error is None:
                raise
        # What it was to write is how the context failed: from there on it has.
        error = _error_object(self.parts.error_object.from_exception(ended.error))
        self._plant_context(executor, ContextDetails(error=error))
        return original(executor)

    def _plant_context(self, executor: Any, details: ContextDetails) -> None:
        identifier = executor.operation_identifier
        has_failed = details.error is not None
        self._plant(
            executor,
            Operation(
                id=identifier.operation_id,
                type=OperationType.CONTEXT,
                status=OperationStatus.FAILED if has_failed else OperationStatus.SUCCEEDED,
                start_timestamp=BEGAN,
                parent_id=identifier.parent_id,
                name=_name(identifier.name),
                sub_type=_sub_type(executor),
                end_timestamp=BEGAN,
                context_details=details,
            ),
        )

    # -- units ---------------------------------------------------------------------------------

    def units(self, concurrent: Any, context: Any) -> Any:
        """Run the units of a map or parallel that are recorded to have ended, and freeze them."""
        answer = self._batches[context._step_id_prefix]
        executables = concurrent.executables
        names = [_name(concurrent.get_iteration_name(each.index)) for each in executables]
        is_flat = concurrent.nesting_type.name == "FLAT"
        if self.examination.on_handed is not None:
            handed = partial(handed_to_units, concurrent)
            self.examination.on_handed(context._step_id_prefix, handed)
        found = examine_units(self.examination, answer, names, is_flat=is_flat)
        ends = [
            self._run_unit(concurrent, context, executable, unit)
            for executable, unit in zip(executables, found.units, strict=True)
        ]
        if not found.is_complete:
            raise self.parts.suspend("not recorded any further")
        units = ended_units(self.examination, found, ends)
        if found.is_stripped:
            for unit, ended in zip(units, ends, strict=True):
                if unit.status is UnitStatus.SUCCEEDED and ended.outcome is not Outcome.RETURNED:
                    raise self.parts.suspend("its value can't be known")
        return self._result(found, units, ends)

    def _run_unit(self, concurrent: Any, context: Any, executable: Any, unit: UnitAnswer) -> Ended:
        if not unit.runs:
            return Ended(Outcome.NOT_RUN)
        unit_id = context._create_step_id_for_logical_step(executable.index)
        self._units[unit_id] = unit
        self._traces[unit_id] = unit.trace
        try:
            value = concurrent._execute_item_in_child_context(context, executable)
        except self.parts.suspend:
            return Ended(Outcome.SUSPENDED)
        except BaseException as error:
            if is_from_outside(error):
                raise
            return Ended(Outcome.RAISED, error=error)
        return Ended(Outcome.RETURNED, value)

    def _unit(self, executor: Any, original: Callable[[Any], Any], unit: UnitAnswer) -> Any:
        """Run a unit's body; return what it is recorded to have come to, where it is."""
        virtual = bool(getattr(executor, "is_virtual", False))
        identifier = executor.operation_identifier
        recorded: Recorded | None = None if unit.node is None else unit.node.recorded
        ended = self.look(unit.trace, executor.func)
        has_ended = recorded is not None and recorded.operation.is_terminal
        if has_ended and not virtual and not self.examination.is_stripped(recorded):
            identity = _identity(executor, virtual=False)
            operation = planted(recorded, identifier.operation_id, identifier.parent_id, identity)
            assert operation is not None
            if ended.outcome is Outcome.RETURNED:
                with suppress(Exception):  # as in `_is_as_stored`
                    payload = self._payload(executor, ended.value)
                    compare_unit_result(self.examination, unit, payload)
            self._plant(executor, operation)
            return original(executor)
        if ended.outcome is Outcome.SUSPENDED:
            raise self.parts.suspend("not recorded any further")
        return self._from_body(executor, original, None, ended)

    def _result(
        self, found: BatchAnswer, units: Sequence[UnitAnswer], ends: Sequence[Ended]
    ) -> Any:
        parts = self.parts
        items = []
        for index, (unit, ended) in enumerate(zip(units, ends, strict=True)):
            if not unit.is_listed:
                continue
            status = unit.status or UnitStatus.STARTED
            value = ended.value if status is UnitStatus.SUCCEEDED else None
            error = self._error_of(unit, ended) if status is UnitStatus.FAILED else None
            items.append(parts.batch_item(index, parts.batch_status(status.value), value, error))
        reason = found.reason.value if found.reason is not None else "ALL_COMPLETED"
        return parts.batch_result(items, parts.completion_reason(reason))

    def _error_of(self, unit: UnitAnswer, ended: Ended) -> Any:
        recorded = None if unit.node is None else unit.node.recorded
        if recorded is not None and recorded.operation.error is not None:
            operation = replace(recorded.operation)
            return self.as_sdk(operation).context_details.error
        error = ended.error
        if error is None:
            return None
        if getattr(error, "error_type", None) is not None:  # what escaped an inner operation
            return self.parts.error_object(
                message=getattr(error, "message", None),
                type=getattr(error, "error_type", None),
                data=getattr(error, "data", None),
                stack_trace=getattr(error, "stack_trace", None),
            )
        return self.parts.error_object.from_exception(error)


_WAIT_END: Final = ("WaitDetails", "ScheduledEndTimestamp")


def _sub_type(executor: Any) -> str | None:
    """Return the sub-type that an operation records. Before 3.0 a child's may be in its config."""
    found = getattr(executor, "sub_type", None) or executor.operation_identifier.sub_type
    return None if found is None else str(getattr(found, "value", found))


def _name(name: Any) -> str | None:
    """Return a name as text. One that is no text is never the recorded one: it has its type."""
    if name is None or isinstance(name, str):
        return plain(name) if name else None
    return f"{shown(name)} ({type(name).__name__})"


def _error_object(error: Any) -> ErrorObject:
    return ErrorObject(error.message, error.type, error.data, tuple(error.stack_trace or ()))


def _identity(executor: Any, virtual: bool) -> Identity:
    identifier = executor.operation_identifier
    return Identity(
        str(identifier.type.value), _sub_type(executor), _name(identifier.name), virtual
    )


def _summarizes(executor: Any, answer: Answer) -> bool:
    is_batch = answer.identity.sub_type in (SubType.MAP, SubType.PARALLEL)  # these always do
    return not is_batch and getattr(executor.config, "summary_generator", None) is not None
