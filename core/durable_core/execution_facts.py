"""What a history says of the execution itself: its input, its end, its timeout and its pauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from durable_core.events import (
    EVENTS,
    EXECUTION_ENDS,
    EXECUTION_PAUSED,
    EXECUTION_RESUMED,
    EXECUTION_STARTED,
    detail,
    is_truncated,
    parse_timestamp,
    payload_of,
    seconds_after,
)
from durable_core.frozen import dataclass
from durable_core.invocations import RecordedInvocation
from durable_core.limits import LIMITS
from durable_core.model import ErrorObject, Event, ExecutionStatus, Operation, OperationStatus
from durable_core.wire import error_of


@dataclass(frozen=True, slots=True)
class RecordedPause:
    """A time in which the service invoked nothing. `resumed` None: the execution is paused now.

    `timeout_paused`: the execution's timeout is extended by that time. `completed` are the ids of
    the operations that the service completed meanwhile.
    """

    paused: datetime
    requested: datetime | None = None
    reason: str | None = None
    timeout_paused: bool = True
    resumed: datetime | None = None
    resume_reason: str | None = None
    completed: tuple[str, ...] = ()

    def seconds(self, now: datetime | None) -> float:
        """Return how long it took, or has taken by now."""
        end = self.resumed or now or self.paused
        return max(0.0, (end - self.paused).total_seconds())


@dataclass(frozen=True, slots=True)
class ExecutionFacts:
    """What the events say of the execution itself. `status` is RUNNING until an event ends it.

    `expected_timeout` is set where the service itself says when the execution will time out.
    `is_input_lost` and `is_end_lost`: the history leaves out the input, or the result or error.
    """

    status: ExecutionStatus = ExecutionStatus.RUNNING
    id: str | None = None
    name: str | None = None
    input_payload: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    started: datetime | None = None
    ended: datetime | None = None
    last_event: datetime | None = None
    timeout_seconds: int | None = None
    is_input_lost: bool = False
    is_end_lost: bool = False
    pauses: tuple[RecordedPause, ...] = ()
    expected_timeout: datetime | None = None

    @property
    def open_pause(self) -> RecordedPause | None:
        """The pause that the execution is in."""
        last = self.pauses[-1] if self.pauses else None
        return last if last is not None and last.resumed is None and self.status.is_open else None

    @property
    def paused_seconds(self) -> float:
        """How long the execution was paused in all, to its end or the last event."""
        return sum(pause.seconds(self.ended or self.last_event) for pause in self.pauses)

    @property
    def deadline(self) -> datetime | None:
        """When the execution times out; None once it has ended, or where nothing says so.

        A pause extends the timeout by its time, unless it was asked not to; 366 days after its
        start an execution times out anyway, and while such a pause goes on nothing earlier is
        known (service model, botocore 1.44: ExpectedExecutionTimeoutTimestamp).
        """
        if not self.status.is_open or self.expected_timeout is not None:
            return self.expected_timeout
        if self.started is None or not self.timeout_seconds:
            return None
        latest = seconds_after(self.started, LIMITS.execution_seconds)
        pause = self.open_pause
        if pause is not None and pause.timeout_paused:
            return latest
        extended = sum(pause.seconds(None) for pause in self.pauses if pause.timeout_paused)
        return min(latest, seconds_after(self.started, self.timeout_seconds + extended))


def has_suspended(invocation: RecordedInvocation, pauses: Iterable[RecordedPause]) -> bool:
    """Return True for an invocation that waited for what was pending when it ended.

    One that crashed didn't, and one in which a pause was asked for may have been cut short.
    """
    if invocation.ended is None or invocation.error is not None:
        return False
    return not any(is_cut_short(invocation, pause) for pause in pauses)


def is_cut_short(invocation: RecordedInvocation, pause: RecordedPause) -> bool:
    """Tell whether a pause may have ended an invocation: it was asked for while that ran."""
    asked = pause.requested or pause.paused
    begins = invocation.started is None or invocation.started <= asked
    return begins and (invocation.ended is None or asked <= invocation.ended)


def facts_of_events(events: Sequence[Event]) -> ExecutionFacts:
    """Return what the events say of the execution, in the order of their ids."""
    facts = ExecutionFacts(last_event=events[-1].timestamp if events else None)
    pauses: list[RecordedPause] = []
    completed: list[str] = []
    for event in events:
        kind = event.event_type
        if not kind.startswith("Execution"):
            if facts.status is ExecutionStatus.PAUSED and _is_completion(event):
                completed.append(event.id or "")
            continue
        if kind == EXECUTION_STARTED:
            facts = replace(
                facts,
                id=event.id,
                name=event.name,
                input_payload=payload_of(event),
                started=event.timestamp,
                timeout_seconds=detail(event, "ExecutionTimeout"),
                is_input_lost=is_truncated(event),
            )
        elif kind == EXECUTION_PAUSED:
            completed = []
            pauses.append(_pause_of(event))
            facts = replace(facts, status=ExecutionStatus.PAUSED)
        elif kind == EXECUTION_RESUMED:
            pauses[-1:] = _resumed(pauses[-1:], event, completed)
            facts = replace(facts, status=ExecutionStatus.RUNNING)
        elif kind in EXECUTION_ENDS:
            facts = replace(
                facts,
                status=EXECUTION_ENDS[kind],
                name=facts.name if facts.name is not None else event.name,
                result=payload_of(event),
                error=error_of(event),
                ended=event.timestamp,
                is_end_lost=is_truncated(event),
            )
    if pauses and pauses[-1].resumed is None:
        pauses[-1] = replace(pauses[-1], completed=tuple(completed))
    return replace(facts, pauses=tuple(pauses))


def _pause_of(event: Event) -> RecordedPause:
    asked, extends = detail(event, "PauseRequestTimestamp"), detail(event, "ExecutionTimeoutPaused")
    return RecordedPause(
        paused=event.timestamp,
        requested=None if asked is None else parse_timestamp(asked),
        reason=_reason_of(event),
        timeout_paused=extends is not False,  # the default is true
    )


def _resumed(
    last: Sequence[RecordedPause], event: Event, completed: Sequence[str]
) -> Sequence[RecordedPause]:
    """Return the last pause with its end, if there is one that goes on."""
    if not last or last[0].resumed is not None:
        return last  # a pause that was cancelled before it began, or is on a missing page
    ended = replace(
        last[0],
        resumed=event.timestamp,
        resume_reason=_reason_of(event),
        completed=tuple(completed),
    )
    return [ended]


def _is_completion(event: Event) -> bool:
    """Tell whether the service completed an operation by itself."""
    spec = EVENTS.get(event.event_type)
    return spec is not None and spec.backend and spec.operation is not None and bool(event.id)


def _reason_of(event: Event) -> str | None:
    carrier = detail(event, "Reason")
    return carrier.get("Payload") if carrier else None


def facts_of_state(execution: Operation) -> ExecutionFacts:
    """Return what the EXECUTION operation of a state document says of the execution."""
    status = {
        OperationStatus.SUCCEEDED: ExecutionStatus.SUCCEEDED,
        OperationStatus.FAILED: ExecutionStatus.FAILED,
        OperationStatus.TIMED_OUT: ExecutionStatus.TIMED_OUT,
        OperationStatus.STOPPED: ExecutionStatus.STOPPED,
    }.get(execution.status, ExecutionStatus.RUNNING)
    details = execution.execution_details
    return ExecutionFacts(
        status=status,
        id=execution.id,
        name=execution.name,
        input_payload=details.input_payload if details else None,
        started=execution.start_timestamp,
        ended=execution.end_timestamp,
    )
