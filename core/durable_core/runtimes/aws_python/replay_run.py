"""One run of a handler of AWS's SDK under session: what each operation and unit comes to.

What the SDK would do is asked of it with the recorded operation planted in its state, so that the
value, the error and the serdes are its own. Units run one after another, on no clock and no thread.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, Final

from durable_core.ids import Path
from durable_core.model import (
    ContextDetails,
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.raised import format_exception, is_from_outside
from durable_core.runtimes.aws_python.decisions import options_asked
from durable_core.runtimes.aws_python.given import handed_by_executor, handed_to_units
from durable_core.runtimes.aws_python.replay_attach import Parts, SerDesCall
from durable_core.runtimes.aws_python.replay_shapes import (
    as_sdk,
    batch_result,
    completed_context,
    identity_of,
    name_of,
    recorded_error,
    summarizes,
    uses_own_serdes,
)
from durable_core.verifying.contexts import (
    AnswerFrom,
    after_body,
    compare_unit,
    needs_body,
    plan_context,
    plan_unit,
    settled,
)
from durable_core.verifying.differences import compare_flat_results, note_end
from durable_core.verifying.leaks import running_body
from durable_core.verifying.matching import Fit
from durable_core.verifying.missing_values import NotDone, NotKnown, is_unknown
from durable_core.verifying.recorded_tree import adapt_recorded
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import BodyEnd, BodyOutcome, ContextTrace, Resolution, UnitPlan
from durable_core.verifying.units import (
    doubt_form,
    lost_unit,
    plan_units,
    rebuilt_units,
)

Original = Callable[[Any], Any]
"""What the SDK would do with an operation."""
_NOT_RUN: Final = BodyOutcome(BodyEnd.NOT_RUN)


class ReplayRun:
    """One run: which trace belongs to which of the SDK's contexts, and what each call comes to."""

    def __init__(self, sdk: Any, parts: Parts, session: ReplaySession, arn: str) -> None:
        self.sdk = sdk
        self.parts = parts
        self.session = session
        self._arn = arn
        self._traces: dict[str | None, ContextTrace] = {None: session.root}
        self._issued: dict[str, ContextTrace] = {}
        self._batches: dict[str, Resolution] = {}
        self._units: dict[str, UnitPlan] = {}
        self._answers: dict[str, Resolution] = {}
        self._unwritten: dict[str, Any] = {}
        self._unread: set[str] = set()
        self.thread = threading.get_ident()
        session.missing.suspension = parts.suspend

    def issued(self, prefix: str | None, operation_id: str) -> None:
        """Note in which context an id was made."""
        self._issued[operation_id] = self._traces.get(prefix, self.session.root)

    def is_replaying(self, prefix: str | None) -> bool:
        """Return True while what a context asks for next is recorded."""
        return self._traces.get(prefix, self.session.root).is_replaying

    def logs(self) -> AbstractContextManager[None]:
        """Watch over a call of a context's logger."""
        return self.session.logs()

    # -- operations ----------------------------------------------------------------------------

    def process(self, executor: Any, original: Original) -> Any:
        """Do in an operation's place what a replay does with it."""
        if threading.get_ident() != self.thread:
            self.session.has_threads = True
        identifier = executor.operation_identifier
        operation_id = identifier.operation_id
        unit = self._units.get(operation_id)
        if unit is not None:
            return self._unit(executor, original, unit)
        virtual = bool(getattr(executor, "is_virtual", False))
        identity = identity_of(executor, virtual=virtual)
        trace = self._issued.get(operation_id, self.session.root)
        if identity.type == OperationType.CHAINED_INVOKE:
            self._write_payload(executor, original, trace)
        options = options_asked(executor, self.parts, self._arn)
        answer = self.session.ask(trace, identity, options)
        if self.session.on_handed is not None:
            self.session.on_handed(operation_id, partial(handed_by_executor, executor))
        operation = adapt_recorded(answer.recorded, operation_id, identifier.parent_id, identity)
        self._answers[operation_id] = answer
        if isinstance(executor, self.parts.child_executor):
            return self._context(executor, original, answer, operation)
        if operation is not None and identity.type == OperationType.CALLBACK:
            return self._from_record(executor, original, operation, answer)  # its id: see `result`
        if operation is None or not operation.is_terminal:
            raise self.parts.suspend("not recorded any further")
        return self._take(executor, original, operation, answer)

    def callback_result(self, callback: Any, original: Original) -> Any:
        """Return what a callback was answered, or raise it."""
        answer = self._answers.get(callback.operation_id)
        if answer is None or not answer.is_terminal:
            return original(callback)
        unknown = self.session.take_payload(answer)
        if unknown is not None:
            return unknown
        with self._reading(answer, callback.serdes is None):
            return original(callback)

    def _take(
        self, executor: Any, original: Original, operation: Operation, answer: Resolution
    ) -> Any:
        """Return what is recorded, or what stands for it, or raise it."""
        unknown = self.session.take_payload(answer)
        return (
            self._from_record(executor, original, operation, answer) if unknown is None else unknown
        )

    def _write_payload(self, executor: Any, original: Original, trace: ContextTrace) -> None:
        """Let the SDK serialize the payload of an invoke that isn't recorded; raise what it raises.

        It does so before anything is written: where it can't, the history has no trace of it.
        """
        if len(trace.asked) < len(trace.sequence):
            return
        with suppress(self.parts.suspend):  # what comes next is to write its START
            original(executor)

    def _from_record(
        self, executor: Any, original: Original, operation: Operation, answer: Resolution
    ) -> Any:
        """Let the SDK return what is recorded, or raise it."""
        self._plant(executor, operation)
        with self._reading(answer, uses_own_serdes(executor)):
            return original(executor)

    @contextmanager
    def _reading(self, answer: Resolution, is_default: bool) -> Iterator[None]:
        """Note what the SerDes of an operation can't read. `is_default`: it is the SDK's own."""
        try:
            yield
        except self.parts.serdes_errors as error:
            recorded = answer.recorded
            if recorded is not None and recorded.operation.status is OperationStatus.SUCCEEDED:
                self.session.unreadable(answer.identity, answer.path, error, is_default=is_default)
            if answer.trace.asked[answer.asked_at].fit in (Fit.SUBSTITUTED, Fit.NEW):
                raise self.parts.suspend("what another operation came to") from None
            raise

    # -- values and payloads -------------------------------------------------------------------

    def serialize(self, work: Callable[[], Any], given: SerDesCall) -> Any:
        """Return the payload of a value; a stand-in for one that its SerDes keeps elsewhere."""
        missing = self.session.missing
        made = missing.serialize(work)
        if not isinstance(made, NotDone):
            return made
        place = self._place(given.operation_id)
        if place is not None:
            missing.not_written(*place, made)
        if missing.is_comparing:
            raise NotKnown(made.why)
        payload = f"not written while verifying: {len(self._unwritten)}"
        self._unwritten[payload] = given.content
        return payload

    def deserialize(self, work: Callable[[], Any], given: SerDesCall) -> Any:
        """Return the value of a payload, or what stands for one that is kept elsewhere."""
        if given.content in self._unwritten:
            return self._unwritten[given.content]
        missing = self.session.missing
        if given.serdes is None:
            return work()
        if missing.is_comparing:  # the states of a wait_for_condition, not the last one only
            return missing.deserialize_earlier(work)
        made = missing.deserialize(work)
        if not isinstance(made, NotDone):
            return made
        place = self._place(given.operation_id)
        if place is None:
            raise self.parts.suspend("its value is kept elsewhere")
        return missing.not_loaded(*place, made)

    def _place(self, operation_id: str) -> tuple[Path, object] | None:
        """Return where an operation is that was asked for, and what it is."""
        unit, answer = self._units.get(operation_id), self._answers.get(operation_id)
        if unit is not None:
            return unit.trace.path, unit.trace.identity
        return None if answer is None else (answer.path, answer.identity)

    def returned(self, value: Any) -> Any:
        """Return the JSON of what the handler returned, which the SDK makes of it, or NotDone where
        that holds a value that isn't known. Raises what `json` does."""
        return self.session.missing.serialize(lambda: json.dumps(value))

    def _plant(self, executor: Any, operation: Operation) -> None:
        executor.state._operations[operation.id] = as_sdk(self.sdk, operation)

    def look(self, trace: ContextTrace, body: Callable[[], Any]) -> BodyOutcome:
        """Run a body to its end, or until it asks for what isn't recorded."""
        token = running_body.set(trace.path or None)
        try:
            ended = self._ended(body)
        finally:
            running_body.reset(token)
        note_end(self.session, trace, ended)
        return ended

    def _ended(self, work: Callable[[], Any]) -> BodyOutcome:
        """Do what may suspend or raise, and return how it ended."""
        try:
            return BodyOutcome(BodyEnd.RETURNED, work())
        except self.parts.suspend:
            return BodyOutcome(BodyEnd.SUSPENDED)
        except BaseException as error:
            if is_from_outside(error):
                raise
            return BodyOutcome(BodyEnd.RAISED, error=error)

    # -- contexts ------------------------------------------------------------------------------

    def _context(
        self, executor: Any, original: Original, answer: Resolution, operation: Operation | None
    ) -> Any:
        session = self.session
        operation_id = executor.operation_identifier.operation_id
        plan = plan_context(session, answer, summarizes=summarizes(executor, answer.identity))
        if plan.trace is None:
            raise self.parts.suspend("not recorded any further")
        self._traces[operation_id] = plan.trace
        self._batches[operation_id] = answer
        if operation is not None and not plan.runs_body:
            value = self._take(executor, original, operation, answer)
            if not needs_body(session, answer, value):
                return value
        if operation is not None and self._is_unread(executor, original, operation, answer):
            self._unread.add(operation_id)
        with session.watched(answer, executor.func):
            ended = self.look(plan.trace, executor.func)
        is_batch = answer.identity.is_batch
        written = None if is_batch else partial(self._written, executor, ended)
        source = after_body(session, answer, plan, ended, written)
        if source is AnswerFrom.NOTHING:
            raise self.parts.suspend("not recorded any further")
        if source is AnswerFrom.BODY or operation is None:
            return self._from_body(executor, original, operation, ended)
        value = self._take(executor, original, operation, answer)
        if is_batch and not is_unknown(value) and ended.outcome is BodyEnd.RETURNED:
            self._compare_flat(answer, value, ended.value)
        return settled(session, answer.path, answer.identity, value, ended)

    def _is_unread(
        self, executor: Any, original: Original, operation: Operation, answer: Resolution
    ) -> bool:
        """Return True for a completed map or parallel whose result can't be had."""
        recorded = answer.recorded
        if recorded is None or operation.status is not OperationStatus.SUCCEEDED:
            return False
        if not answer.identity.is_batch or self.session.is_stripped(recorded):
            return False
        if recorded.is_lost:
            self.session.take_payload(answer)  # before any unit runs on it
            return True
        if uses_own_serdes(executor):
            doubt_form(self.session, answer)
            return False
        try:
            return is_unknown(self._take(executor, original, operation, answer))
        except Exception:
            return False  # it is told where the result is read

    def _written(self, executor: Any, ended: BodyOutcome) -> str | NotDone | None:
        """Return what a context would write of what its body returned."""
        try:
            with self.session.missing.comparing():
                return self._payload(executor, ended.value)
        except Exception as error:
            return NotDone(format_exception(error))

    def _payload(self, executor: Any, value: Any) -> str | None:
        """Return what a context would write of its result. Raises what its serdes does."""
        payload: str | None = self.parts.serialize(
            serdes=executor.config.serdes,
            value=value,
            operation_id=executor.operation_identifier.operation_id,
            durable_execution_arn=self._arn,
        )
        return payload

    def _compare_flat(self, answer: Resolution, recorded: Any, current: Any) -> None:
        """Note where FLAT units come to other results than those of the map or parallel hold."""
        if isinstance(recorded, self.parts.batch_result):
            # Before 3.0, `succeeded()` leaves out what returned None.
            succeeded = self.parts.batch_status("SUCCEEDED")
            was, now = (
                {each.index: each.result for each in batch.all if each.status is succeeded}
                for batch in (recorded, current)
            )
            compare_flat_results(self.session, answer, was, now)

    def _from_body(
        self, executor: Any, original: Original, operation: Operation | None, ended: BodyOutcome
    ) -> Any:
        """Let the SDK return what the body came to, as for a context whose value isn't stored."""

        def again() -> Any:
            if ended.error is not None:
                raise ended.error
            return ended.value

        if not getattr(executor, "is_virtual", False):
            details = ContextDetails(True, operation.result if operation else "")
            self._plant(executor, completed_context(executor, details))
        executor.func = again
        try:
            return original(executor)
        except self.parts.suspend:
            if ended.error is None:
                raise
        # What it was to write is how the context failed: from there on it has.
        details = ContextDetails(error=recorded_error(self.parts, ended.error))
        self._plant(executor, completed_context(executor, details))
        return original(executor)

    # -- units ---------------------------------------------------------------------------------

    def units(self, concurrent: Any, context: Any) -> Any:
        """Run the units of a map or parallel that are recorded to have ended, and freeze them."""
        answer = self._batches[context._step_id_prefix]
        executables = concurrent.executables
        names = [name_of(concurrent.get_iteration_name(each.index)) for each in executables]
        is_flat = concurrent.nesting_type.name == "FLAT"
        if self.session.on_handed is not None:
            handed = partial(handed_to_units, concurrent)
            self.session.on_handed(context._step_id_prefix, handed)
        is_unread = context._step_id_prefix in self._unread
        found = plan_units(self.session, answer, names, is_flat=is_flat, is_unread=is_unread)
        ends = [
            self._run_unit(concurrent, context, executable, unit)
            for executable, unit in zip(executables, found.units, strict=True)
        ]
        results = rebuilt_units(self.session, found, ends, is_unread=is_unread)
        if results is None:
            raise self.parts.suspend("which of its units ended, and how, can't be known")
        return batch_result(self.parts, found.reason, results)

    def _run_unit(
        self, concurrent: Any, context: Any, executable: Any, unit: UnitPlan
    ) -> BodyOutcome:
        if not unit.runs:
            return _NOT_RUN
        unit_id = context._create_step_id_for_logical_step(executable.index)
        self._units[unit_id] = unit
        self._traces[unit_id] = unit.trace
        run = concurrent._execute_item_in_child_context
        return self._ended(partial(run, context, executable))

    def _unit(self, executor: Any, original: Original, unit: UnitPlan) -> Any:
        """Run a unit's body; return what it is recorded to have come to, where it is."""
        plan = plan_unit(self.session, unit)
        ended = self.look(unit.trace, executor.func) if plan.runs_body else _NOT_RUN
        if plan.answer_from is AnswerFrom.BODY:
            if ended.outcome is BodyEnd.SUSPENDED:
                raise self.parts.suspend("not recorded any further")
            return self._from_body(executor, original, None, ended)
        compare_unit(self.session, unit, ended, partial(self._written, executor, ended))
        recorded = None if unit.node is None else unit.node.recorded
        identifier = executor.operation_identifier
        identity = identity_of(executor)
        operation = adapt_recorded(
            recorded, identifier.operation_id, identifier.parent_id, identity
        )
        assert operation is not None
        self._plant(executor, operation)
        value = lost_unit(self.session, unit)
        if value is None:
            value = self._unit_value(executor, original, unit)
        if is_unknown(value) and not plan.runs_body:
            ended = self.look(unit.trace, executor.func)
        return settled(self.session, unit.trace.path, unit.trace.identity, value, ended)

    def _unit_value(self, executor: Any, original: Original, unit: UnitPlan) -> Any:
        try:
            return original(executor)
        except self.parts.serdes_errors as error:
            recorded = None if unit.node is None else unit.node.recorded
            if recorded is None or recorded.operation.status is OperationStatus.SUCCEEDED:
                self.session.unreadable(
                    unit.trace.identity,
                    unit.trace.path,
                    error,
                    is_default=uses_own_serdes(executor),
                )
            raise
