"""Where changes are written: the operations, the events about them and the timers they set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from durable_core.events import (
    EXECUTION_ENDS,
    EXECUTION_PAUSED,
    EXECUTION_RESUMED,
    EXECUTION_STARTED,
    seconds_after,
)
from durable_core.model import Event, ExecutionDetails, Operation, OperationStatus, OperationType
from durable_core.service.changes import Alarm, CallbackDue, Change, ExecutionDue
from durable_core.service.clock import Timers
from durable_core.service.events import (
    Details,
    invocation_event,
    operation_event,
    outcome_details,
    paused_details,
    payload_carrier,
    resumed_details,
)
from durable_core.service.request import RequestDecision
from durable_core.service.state import OperationStore
from durable_core.service.values import (
    LONGEST_EXECUTION_SECONDS,
    RESOURCE_CONFLICT,
    CallbackCreated,
    ExecutionStart,
    Pause,
    Refusal,
)

_END_EVENTS: Final = {status: event for event, status in EXECUTION_ENDS.items()}


class Ledger:
    """The operations, events and timers of one execution. It judges nothing."""

    def __init__(self, start: ExecutionStart, now: datetime) -> None:
        self.timers: Timers[Alarm] = Timers()
        self._events: list[Event] = []
        self._alarms: dict[str, list[tuple[Alarm, int]]] = {}
        self._callbacks: dict[str, str] = {}
        self._heartbeats: dict[str, int] = {}
        self._timeout: tuple[int, datetime] | None = None
        self._latest = seconds_after(now, LONGEST_EXECUTION_SECONDS)
        self.store = OperationStore(self._begin(start, now))

    def _begin(self, start: ExecutionStart, now: datetime) -> Operation:
        execution = Operation(
            id=start.execution_arn.rpartition("/")[2],
            type=OperationType.EXECUTION,
            status=OperationStatus.STARTED,
            start_timestamp=now,
            name=start.execution_name,
            execution_details=ExecutionDetails(start.input_payload),
        )
        seconds = start.execution_timeout_seconds
        details = {
            "Input": payload_carrier(start.input_payload),
            "ExecutionTimeout": LONGEST_EXECUTION_SECONDS if seconds is None else seconds,
        }
        self._write(EXECUTION_STARTED, now, execution, details)
        if seconds is not None:
            self._set_timeout(seconds_after(now, seconds))
        return execution

    def _set_timeout(self, due: datetime) -> None:
        if self._timeout is not None:
            self.timers.cancel(self._timeout[0])
        self._timeout = (self.timers.set(due, ExecutionDue(), last=True), due)

    @property
    def timeout(self) -> datetime | None:
        """When the execution times out, as far as is known; None where it has no timeout."""
        return None if self._timeout is None else self._timeout[1]

    def pause(self, now: datetime, requested: datetime, pause: Pause) -> datetime | None:
        """Write that the execution is paused. Returns when it would have timed out otherwise.

        Where the pause extends the timeout, the execution times out 366 days after its start until
        it is resumed (service model: ExpectedExecutionTimeoutTimestamp).
        """
        details = paused_details(requested, pause.reason, timeout_paused=pause.timeout_paused)
        self._write(EXECUTION_PAUSED, now, self._execution, details)
        due = self.timeout
        if due is not None and pause.timeout_paused:
            self._set_timeout(self._latest)
        return due

    def resume(self, now: datetime, reason: str | None, due: datetime | None) -> None:
        """Write that the execution goes on; it times out when due, at most after 366 days."""
        self._write(EXECUTION_RESUMED, now, self._execution, resumed_details(now, reason))
        if due is not None:
            self._set_timeout(min(due, self._latest))

    @property
    def _execution(self) -> Operation:
        return self.store.operations[self.store.execution_id]

    @property
    def events(self) -> Sequence[Event]:
        """Every event so far. It only ever grows; read it, never change it."""
        return self._events

    def callback(self, callback_id: str) -> Operation | None:
        """Return the operation of a callback id, or None."""
        operation_id = self._callbacks.get(callback_id)
        return None if operation_id is None else self.store.get(operation_id)

    def put(self, now: datetime, change: Change, *, woken: bool = False) -> None:
        """Write a change: the operation, its events, its timers in place of those it had."""
        operation = change.operation
        for _, key in self._alarms.pop(operation.id, ()):
            self.timers.cancel(key)
        self.store.put(operation, woken=woken)
        for event_type, details in change.events:
            self._write(event_type, now, operation, details)
        if change.alarms:
            self._alarms[operation.id] = [
                (alarm, self.timers.set(due, alarm)) for due, alarm in change.alarms
            ]
        if isinstance(change.effect, CallbackCreated):
            self._callbacks[change.effect.callback_id] = operation.id
            self._heartbeats[operation.id] = change.heartbeat_seconds

    def beat(self, now: datetime, operation_id: str) -> None:
        """Start the heartbeat timeout of a callback anew; one without it has nothing to start."""
        seconds = self._heartbeats[operation_id]
        if not seconds:
            return
        due = CallbackDue(operation_id, heartbeat=True)
        kept = [(alarm, key) for alarm, key in self._alarms[operation_id] if alarm != due]
        for alarm, key in self._alarms[operation_id]:
            if alarm == due:
                self.timers.cancel(key)
        kept.append((due, self.timers.set(seconds_after(now, seconds), due)))
        self._alarms[operation_id] = kept

    def complete_invocation(self, now: datetime, details: Details) -> None:
        """Write InvocationCompleted."""
        self._events.append(invocation_event(len(self._events) + 1, now, details))

    def end(self, now: datetime, decision: RequestDecision) -> None:
        """End the execution: its operation, its last event, no timers any more."""
        self.timers.clear()
        self._alarms.clear()
        status = OperationStatus(decision.status.value)
        ended = replace(self._execution, status=status, end_timestamp=now)
        self.store.put(ended)
        failed = status is not OperationStatus.SUCCEEDED
        details = outcome_details(decision.result, decision.error, failed=failed)
        self._write(_END_EVENTS[decision.status], now, ended, details)

    def _write(
        self, event_type: str, now: datetime, operation: Operation, details: Details
    ) -> None:
        event_id = len(self._events) + 1
        self._events.append(operation_event(event_id, event_type, now, operation, details))


NOT_RUNNING: Final = Refusal(RESOURCE_CONFLICT, "The execution is not running.", 409)
NOT_PAUSED: Final = Refusal(RESOURCE_CONFLICT, "The execution is not paused.", 409)

PAUSED: Final = "the execution is paused"
RESUMED: Final = "the execution was resumed"
SUPERSEDED: Final = "a newer invocation took over"


class Pausing:
    """The pause that an execution is in, or that waits for its invocation to end.

    `asked` is None where there is none, `taken` are all that ever were. Nothing is judged here:
    who calls has seen to it that the execution can be paused or resumed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._began: datetime | None = None
        self._due: datetime | None = None
        self.asked: Pause | None = None
        self.requested: datetime | None = None
        self.taken: list[Pause] = []

    @property
    def has_begun(self) -> bool:
        """True once no invocation runs any more."""
        return self._began is not None

    def ask(self, now: datetime, asked: Pause) -> None:
        """Note that a pause is asked for."""
        self.taken.append(asked)
        self.asked, self.requested, self._began, self._due = asked, now, None, None

    def begin(self, now: datetime) -> None:
        """Write that the execution is paused."""
        assert self.asked is not None
        assert self.requested is not None
        self._began = now
        self._due = self._ledger.pause(now, self.requested, self.asked)

    def end(self, now: datetime, reason: str | None) -> None:
        """Forget the pause; where it had begun, write that the execution goes on."""
        began, due, asked = self._began, self._due, self.asked
        self.forget()
        if began is None or asked is None:
            return
        if due is not None and asked.timeout_paused:
            due = seconds_after(due, (now - began).total_seconds())
        self._ledger.resume(now, reason, due)

    def forget(self) -> None:
        """Forget the pause: the execution has ended."""
        self.asked = self.requested = self._began = self._due = None
