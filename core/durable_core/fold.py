"""From events to operations: what the service's state holds after a history, or at any point in it.

`fold` is pure and reads each event once. The events say less than the state: ReplayChildren is in
no event and stays None (see `summaries.stripped`), and no event says that a retry has become READY,
which follows from the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Final

from durable_core.errors import HistoryError
from durable_core.events import (
    EVENTS,
    INVOCATION_COMPLETED,
    EventSpec,
    detail,
    is_marked_error,
    is_truncated,
    next_attempt_delay_of,
    parse_timestamp,
    payload_of,
    seconds_after,
)
from durable_core.execution_facts import ExecutionFacts, facts_of_events, facts_of_state
from durable_core.frozen import dataclass
from durable_core.history import RecordedHistory
from durable_core.invocations import RecordedInvocation, invocations
from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ErrorObject,
    Event,
    ExecutionDetails,
    Operation,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_core.state_errors import error_in_state, lacks_message
from durable_core.wire import error_of


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How one attempt of a step, or one poll, ended: with an error, or with a payload.

    `failed` tells which of the two, also where it is left out. `retry_seconds` None: it was the
    last one.
    """

    error: ErrorObject | None
    payload: str | None
    retry_seconds: int | None
    failed: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """An operation and what a history tells of it beyond the service's state.

    `events` are the ids of its first and last event (0, 0 when it comes from a state document).
    `attempts` counts the attempts that were started, `failures` those that failed and were retried,
    `ends` are how those of a step that ended did, in order.
    `payloads` are all texts that it stored, in order, for sizing; `truncated` is True when the
    history leaves one out, `is_lost` when that is what it came to. `outcome_doubt` says why its
    result or error may not be all that the service hands over. The rest is what only a start event
    carries: a wait's or callback's seconds, a chained invoke's function, version, execution ARN,
    tenant and input.
    """

    operation: Operation
    events: tuple[int, int] = (0, 0)
    attempts: int = 0
    failures: tuple[ErrorObject, ...] = ()
    ends: tuple[AttemptEnd, ...] = ()
    payloads: tuple[str, ...] = ()
    truncated: bool = False
    is_lost: bool = False
    outcome_doubt: str | None = None
    last_started: datetime | None = None
    wait_seconds: int | None = None
    callback_timeout_seconds: int | None = None
    callback_heartbeat_seconds: int | None = None
    function_name: str | None = None
    executed_version: str | None = None
    execution_arn: str | None = None
    tenant_id: str | None = None
    invoke_input: str | None = None


@dataclass(frozen=True, slots=True)
class Folded:
    """A history as operations, in the order in which they were first recorded."""

    execution: ExecutionFacts
    operations: Mapping[str, Recorded] = field(default_factory=dict)
    invocations: tuple[RecordedInvocation, ...] = ()


class _Builder:
    """One operation while its events go by."""

    __slots__ = (
        "attempt",
        "attempts",
        "end",
        "ends",
        "error",
        "failures",
        "first",
        "is_lost",
        "last",
        "last_started",
        "next_attempt",
        "outcome_doubt",
        "payloads",
        "result",
        "start",
        "started",
        "status",
        "truncated",
        "type",
    )

    def __init__(self, event: Event, spec: EventSpec) -> None:
        assert spec.operation is not None
        self.type: OperationType = spec.operation
        self.status: OperationStatus = OperationStatus.STARTED
        self.first = event
        self.last = event
        self.start: Event | None = None
        self.started: datetime = event.timestamp
        self.last_started: datetime | None = None
        self.end: datetime | None = None
        self.attempt = 0
        self.attempts = 0
        self.next_attempt: datetime | None = None
        self.result: str | None = None
        self.error: ErrorObject | None = None
        self.failures: list[ErrorObject] = []
        self.ends: list[AttemptEnd] = []
        self.payloads: list[str] = []
        self.truncated = self.is_lost = False
        self.outcome_doubt: str | None = None

    def take(self, event: Event, spec: EventSpec) -> None:
        if spec.operation is not self.type:
            raise HistoryError(
                f"{event.event_type} for operation {event.id}, which is a {self.type}",
                event.event_id,
            )
        self.last = event
        assert spec.status is not None
        if spec.status is OperationStatus.STARTED:
            self._begin(event)
            return
        payload, error = payload_of(event), error_of(event)
        if error is not None:
            error = error_in_state(event.event_type, error)
        if payload is not None:
            self.payloads.append(payload)
        self.is_lost = is_truncated(event)
        self.truncated = self.truncated or self.is_lost
        self.result = payload
        self.error = error
        is_whole = payload is not None and error is None
        self.outcome_doubt = None if is_whole else _outcome_doubt(event, error)
        if self.type is OperationType.STEP:
            self.attempt += 1
            delay = next_attempt_delay_of(event)
            failed = spec.status is OperationStatus.FAILED
            self.ends.append(AttemptEnd(error, payload, delay, failed))
            if delay is not None:
                self.status = OperationStatus.PENDING
                self.next_attempt = seconds_after(event.timestamp, delay)
                if error is not None:
                    self.failures.append(error)
                return
        self.next_attempt = None
        self.status = spec.status
        self.end = event.timestamp

    def _begin(self, event: Event) -> None:
        if self.start is None:
            self.start = event
            self.started = event.timestamp
            if event.details and (given := payload_of(event)) is not None:
                self.payloads.append(given)
        self.attempts += 1
        self.last_started = event.timestamp
        self.next_attempt = self.end = None
        self.status = OperationStatus.STARTED
        self.truncated = self.truncated or is_truncated(event)

    def build(self, now: datetime | None) -> Recorded:
        start = self.start
        first, last = self.first, self.last
        status = self.status
        if (
            status is OperationStatus.PENDING
            and now is not None
            and self.next_attempt is not None
            and self.next_attempt <= now
        ):
            status = OperationStatus.READY
            self.next_attempt = None  # "only populated when the step is pending" (service model)
        # In the order of the fields: to name each would take a third longer.
        operation = Operation(
            first.id or "",
            self.type,
            status,
            self.started,
            first.parent_id if first.parent_id is not None else last.parent_id,
            first.name if first.name is not None else last.name,
            first.sub_type if first.sub_type is not None else last.sub_type,
            self.end,
            **_DETAILS[self.type](self, start),
        )
        facts = _FACTS.get(self.type) if start is not None else None
        return Recorded(
            operation,
            (first.event_id, last.event_id),
            self.attempts,
            tuple(self.failures),
            tuple(self.ends),
            tuple(self.payloads),
            self.truncated,
            self.is_lost,
            self.outcome_doubt,
            self.last_started,
            **(facts(start) if facts is not None and start is not None else {}),
        )


def _outcome_doubt(event: Event, error: ErrorObject | None) -> str | None:
    """Return why a result or error may not be all of what the service hands over, or None."""
    if error is None:
        return ABSENT if event.event_type in _HAVE_RESULTS and _is_absent(event) else None
    if is_marked_error(event):
        return MARKED
    if lacks_message(event.event_type, error):
        return "has a message in the service's state, which the event leaves out"
    return None


def _is_absent(event: Event) -> bool:
    """Tell whether a result isn't there, and nothing says that there was none."""
    carrier = detail(event, "Result") or {}
    return carrier.get("Payload") is None and carrier.get("Truncated") is None


_HAVE_RESULTS: Final = ("StepSucceeded", "ChainedInvokeSucceeded")
ABSENT: Final = "isn't in the history, which doesn't say that there was none"
MARKED: Final = "is marked as truncated"


def _execution(builder: _Builder, start: Event | None) -> dict[str, ExecutionDetails]:
    payload = payload_of(start) if start is not None else None
    return {"execution_details": ExecutionDetails(input_payload=payload)}


def _context(builder: _Builder, _: Event | None) -> dict[str, ContextDetails]:
    return {"context_details": ContextDetails(None, builder.result, builder.error)}


def _step(builder: _Builder, _: Event | None) -> dict[str, StepDetails]:
    details = StepDetails(builder.attempt, builder.next_attempt, builder.result, builder.error)
    return {"step_details": details}


def _wait(builder: _Builder, start: Event | None) -> dict[str, WaitDetails]:
    end = detail(start, "ScheduledEndTimestamp") if start is not None else None
    moment = None if end is None else parse_timestamp(end)
    return {"wait_details": WaitDetails(scheduled_end_timestamp=moment)}


def _callback(builder: _Builder, start: Event | None) -> dict[str, CallbackDetails]:
    callback_id = detail(start, "CallbackId") if start is not None else None
    details = CallbackDetails(callback_id, builder.result, builder.error)
    return {"callback_details": details}


def _invoke(builder: _Builder, _: Event | None) -> dict[str, ChainedInvokeDetails]:
    return {"chained_invoke_details": ChainedInvokeDetails(builder.result, builder.error)}


_DETAILS: Final[Mapping[OperationType, Callable[[_Builder, Event | None], Mapping[str, Any]]]] = {
    OperationType.EXECUTION: _execution,
    OperationType.CONTEXT: _context,
    OperationType.STEP: _step,
    OperationType.WAIT: _wait,
    OperationType.CALLBACK: _callback,
    OperationType.CHAINED_INVOKE: _invoke,
}

_FACTS: Final[Mapping[OperationType, Callable[[Event], Mapping[str, Any]]]] = {
    OperationType.WAIT: lambda start: {"wait_seconds": detail(start, "Duration")},
    OperationType.CALLBACK: lambda start: {
        "callback_timeout_seconds": detail(start, "Timeout") or None,
        "callback_heartbeat_seconds": detail(start, "HeartbeatTimeout") or None,
    },
    OperationType.CHAINED_INVOKE: lambda start: {
        "function_name": detail(start, "FunctionName"),
        "executed_version": detail(start, "ExecutedVersion"),
        "execution_arn": detail(start, "DurableExecutionArn"),
        "tenant_id": detail(start, "TenantId"),
        "invoke_input": payload_of(start),
    },
}


def fold(events: Sequence[Event], *, now: datetime | None = None) -> Folded:
    """Return the operations, invocations and execution facts that the events add up to.

    `events` must be in the order of their ids. With `now`, a retry that is due by then is READY;
    without, it stays PENDING. Events of unknown types change nothing. Raises HistoryError where an
    operation changes its type, with the event at which it does.
    """
    builders: dict[str, _Builder] = {}
    for event in events:
        spec = EVENTS.get(event.event_type)
        if spec is None or spec.operation is None or event.id is None:
            continue
        if spec.operation is OperationType.EXECUTION:
            continue
        builder = builders.get(event.id)
        if builder is None:
            builder = builders[event.id] = _Builder(event, spec)
        builder.take(event, spec)
    if any(each.outcome_doubt is MARKED for each in builders.values()) and _marks_all(events):
        for each in builders.values():
            each.outcome_doubt = None if each.outcome_doubt is MARKED else each.outcome_doubt
    return Folded(
        execution=facts_of_events(events),
        operations={key: builders.pop(key).build(now) for key in list(builders)},
        invocations=invocations(events),
    )


def _marks_all(events: Sequence[Event]) -> bool:
    """Tell whether AWS's local runner (1.4.0) wrote it, which marks whole errors as truncated: it
    leaves out the details of InvocationCompleted."""
    return any(each.event_type == INVOCATION_COMPLETED and not each.details for each in events)


# -- of events or of a state --------------------------------------------------------------------


def folded_of(history: RecordedHistory) -> Folded:
    """Return the operations and facts of a history, be it events or a state."""
    if history.operations is None:
        return fold(history.events)
    facts = ExecutionFacts()
    recorded: dict[str, Recorded] = {}
    for operation in history.operations:
        if operation.type is OperationType.EXECUTION:
            facts = facts_of_state(operation)
        else:
            recorded[operation.id] = _from_state(operation)
    return Folded(execution=facts, operations=recorded)


def _from_state(operation: Operation) -> Recorded:
    details = operation.context_details
    if operation.type is OperationType.CONTEXT and (
        details is None or details.replay_children is None
    ):
        # A state leaves the flag out where it is false; there is nothing to infer.
        known = replace(details or ContextDetails(), replay_children=False)
        operation = replace(operation, context_details=known)
    attempts = (operation.step_details.attempt or 0) if operation.step_details else 0
    started = operation.status is OperationStatus.STARTED
    return Recorded(operation, attempts=attempts + started)


# -- what an invocation finds --------------------------------------------------------------------


def as_found_by(events: Sequence[Event], invocation: RecordedInvocation) -> Folded:
    """Return the operations as the invocation finds them when it begins, nothing pruned."""
    return fold(events[: invocation.found], now=invocation.started)


def visible(operations: Iterable[Operation], rebuilt: Mapping[str, bool]) -> list[Operation]:
    """Return the operations that the service hands to an invocation.

    It leaves out everything below a completed context, unless the context has ReplayChildren
    (`rebuilt[id]`, explicit or inferred). An operation whose parent isn't there is kept.
    """
    known = {operation.id: operation for operation in operations}
    opens: dict[str, bool] = {}
    for key in known:
        path: list[str] = []
        at: str | None = key
        while at is not None and at in known and at not in opens:
            path.append(at)
            at = known[at].parent_id
        shown = True if at is None else opens.get(at, True)
        for below in reversed(path):
            shown = opens[below] = shown and _opens(known[below], rebuilt)
    return [
        each for each in known.values() if each.parent_id is None or opens.get(each.parent_id, True)
    ]


def _opens(operation: Operation, rebuilt: Mapping[str, bool]) -> bool:
    """Tell whether the service hands over what is right below an operation, if that is there."""
    closed = operation.type is OperationType.CONTEXT and operation.is_terminal
    return not closed or rebuilt.get(operation.id, False)
