"""What each type of history event means and carries, as one table, and how to read it.

Source: `GetDurableExecutionHistory` in the service model (botocore 1.44). A type that isn't in the
table is kept as it is and takes no part in the fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.model import Event, ExecutionStatus, OperationStatus, OperationType


class Kind(Enum):
    """What may stand in a field of an event's details."""

    __hash__ = object.__hash__  # looked up for every field of every event

    PAYLOAD = "an object with Payload"
    ERROR = "an object with an error object as Payload"
    RETRY = "an object with CurrentAttempt and NextAttemptDelaySeconds"
    INTEGER = "a whole number"
    TEXT = "a string"
    FLAG = "true or false"
    TIMESTAMP = "a timestamp"


@dataclass(frozen=True, slots=True)
class EventSpec:
    """What one type of event says.

    `status` is what its operation becomes (None: no operation changes). `backend` is True for the
    events that the service writes by itself, between or during invocations; all others are written
    by a handler's checkpoint.
    """

    operation: OperationType | None
    status: OperationStatus | None
    backend: bool
    fields: Mapping[str, Kind]


_RESULT = {"Result": Kind.PAYLOAD}
_ERROR = {"Error": Kind.ERROR}
_STEP = {"RetryDetails": Kind.RETRY}


def _spec(
    operation: OperationType | None,
    status: OperationStatus | None,
    backend: bool,
    fields: dict[str, Kind],
) -> EventSpec:
    return EventSpec(operation, status, backend, MappingProxyType(fields))


def _build() -> dict[str, EventSpec]:
    kind, state = OperationType, OperationStatus
    pause = {"Reason": Kind.PAYLOAD, "ExecutionTimeoutPaused": Kind.FLAG}
    return {
        "ExecutionStarted": _spec(
            kind.EXECUTION,
            state.STARTED,
            True,
            {"Input": Kind.PAYLOAD, "ExecutionTimeout": Kind.INTEGER},
        ),
        "ExecutionSucceeded": _spec(kind.EXECUTION, state.SUCCEEDED, True, _RESULT),
        "ExecutionFailed": _spec(kind.EXECUTION, state.FAILED, True, _ERROR),
        "ExecutionTimedOut": _spec(kind.EXECUTION, state.TIMED_OUT, True, _ERROR),
        "ExecutionStopped": _spec(kind.EXECUTION, state.STOPPED, True, _ERROR),
        "ExecutionPaused": _spec(
            None, None, True, {"PauseRequestTimestamp": Kind.TIMESTAMP, **pause}
        ),
        "ExecutionResumed": _spec(
            None,
            None,
            True,
            {"ResumeRequestTimestamp": Kind.TIMESTAMP, "Reason": Kind.PAYLOAD},
        ),
        "ContextStarted": _spec(kind.CONTEXT, state.STARTED, False, {}),
        "ContextSucceeded": _spec(kind.CONTEXT, state.SUCCEEDED, False, _RESULT),
        "ContextFailed": _spec(kind.CONTEXT, state.FAILED, False, _ERROR),
        "StepStarted": _spec(kind.STEP, state.STARTED, False, {}),
        "StepSucceeded": _spec(kind.STEP, state.SUCCEEDED, False, {**_RESULT, **_STEP}),
        "StepFailed": _spec(kind.STEP, state.FAILED, False, {**_ERROR, **_STEP}),
        "WaitStarted": _spec(
            kind.WAIT,
            state.STARTED,
            False,
            {"Duration": Kind.INTEGER, "ScheduledEndTimestamp": Kind.TIMESTAMP},
        ),
        "WaitSucceeded": _spec(kind.WAIT, state.SUCCEEDED, True, {"Duration": Kind.INTEGER}),
        "WaitCancelled": _spec(kind.WAIT, state.CANCELLED, False, _ERROR),
        "CallbackStarted": _spec(
            kind.CALLBACK,
            state.STARTED,
            False,
            {"CallbackId": Kind.TEXT, "Timeout": Kind.INTEGER, "HeartbeatTimeout": Kind.INTEGER},
        ),
        "CallbackSucceeded": _spec(kind.CALLBACK, state.SUCCEEDED, True, _RESULT),
        "CallbackFailed": _spec(kind.CALLBACK, state.FAILED, True, _ERROR),
        "CallbackTimedOut": _spec(kind.CALLBACK, state.TIMED_OUT, True, _ERROR),
        "ChainedInvokeStarted": _spec(
            kind.CHAINED_INVOKE,
            state.STARTED,
            False,
            {
                "FunctionName": Kind.TEXT,
                "TenantId": Kind.TEXT,
                "Input": Kind.PAYLOAD,
                "ExecutedVersion": Kind.TEXT,
                "DurableExecutionArn": Kind.TEXT,
            },
        ),
        "ChainedInvokeSucceeded": _spec(kind.CHAINED_INVOKE, state.SUCCEEDED, True, _RESULT),
        "ChainedInvokeFailed": _spec(kind.CHAINED_INVOKE, state.FAILED, True, _ERROR),
        "ChainedInvokeTimedOut": _spec(kind.CHAINED_INVOKE, state.TIMED_OUT, True, _ERROR),
        "ChainedInvokeStopped": _spec(kind.CHAINED_INVOKE, state.STOPPED, True, _ERROR),
        "InvocationCompleted": _spec(
            None,
            None,
            True,
            {
                "StartTimestamp": Kind.TIMESTAMP,
                "EndTimestamp": Kind.TIMESTAMP,
                "RequestId": Kind.TEXT,
                **_ERROR,
            },
        ),
    }


EVENTS: Final[Mapping[str, EventSpec]] = MappingProxyType(_build())

CARRIERS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"Result": Kind.PAYLOAD, "Input": Kind.PAYLOAD, **_ERROR, **_STEP}
)
"""What the service writes by these names, wherever it does: an event of a type that has no such
field keeps one as a field that isn't known, and nothing else may stand there."""

EXECUTION_STARTED: Final = "ExecutionStarted"
EXECUTION_PAUSED: Final = "ExecutionPaused"
EXECUTION_RESUMED: Final = "ExecutionResumed"
INVOCATION_COMPLETED: Final = "InvocationCompleted"

EXECUTION_ENDS: Final[Mapping[str, ExecutionStatus]] = MappingProxyType(
    {
        event_type: ExecutionStatus(spec.status.text)
        for event_type, spec in EVENTS.items()
        if spec.operation is OperationType.EXECUTION and spec.status and spec.status.is_terminal
    }
)


def details_key(event_type: str) -> str:
    """Return the name of the field that holds the details of this type of event."""
    return f"{event_type}Details"


_PAYLOADS: Final[Mapping[str, str]] = {
    kind: name
    for kind, spec in EVENTS.items()
    for name in ("Result", "Input")
    if name in spec.fields
}
"""The one field for a payload that each type of event has, which has one."""
_WITH_ERROR: Final = frozenset(kind for kind, spec in EVENTS.items() if "Error" in spec.fields)
_WITH_RETRY: Final = frozenset(
    kind for kind, spec in EVENTS.items() if "RetryDetails" in spec.fields
)


def detail(event: Event, name: str) -> Any:
    """Return one field of the event's details, or None.

    A field that this type of event doesn't have is one that isn't known, whatever its name.
    """
    details = event.details
    if not details or name not in details:
        return None
    spec = EVENTS.get(event.event_type)
    return details[name] if spec is not None and name in spec.fields else None


def payload_of(event: Event) -> str | None:
    """Return the JSON text of the event's input or result; None if it carries none, or a part.

    What stands beside `Truncated: true` is the beginning of a text at most: not what was written,
    even where it happens to be JSON.
    """
    details = event.details
    name = _PAYLOADS.get(event.event_type)
    carrier = details.get(name) if details and name is not None else None
    return None if not carrier or carrier.get("Truncated") is True else carrier.get("Payload")


def error_carrier(event: Event) -> Mapping[str, Any] | None:
    """Return what holds the event's error object, or a part of one; None if it carries none."""
    details = event.details
    return details.get("Error") if details and event.event_type in _WITH_ERROR else None


def is_truncated(event: Event) -> bool:
    """Return True when the service left out a payload of this event, or the end of one.

    An error object beside the flag counts as there: AWS's local runner (1.4.0) sets it on errors
    that are whole. See `is_marked_error`.
    """
    details, kind = event.details, event.event_type
    if not details:
        return False
    name = _PAYLOADS.get(kind)
    carrier = details.get(name) if name is not None else None
    if carrier and carrier.get("Truncated") is True:
        return True
    carrier = details.get("Error") if kind in _WITH_ERROR else None
    if not carrier or carrier.get("Truncated") is not True:
        return False
    return not isinstance(carrier.get("Payload"), dict)


def is_marked_error(event: Event) -> bool:
    """Return True for an error object beside `Truncated: true`: it may be whole, or cut."""
    carrier = error_carrier(event) or {}
    return carrier.get("Truncated") is True and isinstance(carrier.get("Payload"), dict)


def next_attempt_delay_of(event: Event) -> int | None:
    """Return the delay in seconds before the next attempt, or None if there is none.

    0 also means that there is none: AWS's local runner (1.4.0) writes 0 into the last failed
    attempt, where the cloud leaves the field out.
    """
    details = event.details
    if not details or event.event_type not in _WITH_RETRY:
        return None
    retry = details.get("RetryDetails")
    return (retry.get("NextAttemptDelaySeconds") or None) if retry else None


def parse_timestamp(value: object) -> datetime:
    """Return an aware datetime for any form in which timestamps occur.

    ISO-8601 with T or a space, with Z, an offset or nothing (then UTC), and epoch seconds as int,
    float or text (milliseconds when the number is too large for seconds). Always UTC. Raises
    ValueError.
    """
    if isinstance(value, str):
        if "-" not in value and "T" not in value:
            # A number as text. fromisoformat would take 13 digits for a date and a time of day.
            return parse_timestamp(float(value))
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment if moment.tzinfo is UTC else _to_utc(moment)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a timestamp")
    try:
        seconds = value / 1000 if abs(value) > 100_000_000_000 else value
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("out of range") from None


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None


def seconds_after(moment: datetime, seconds: float) -> datetime:
    """Return the moment so many seconds later; the last moment that there is where it is beyond,
    and the first one where it is before that."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return (datetime.max if seconds > 0 else datetime.min).replace(tzinfo=UTC)


def format_timestamp(moment: datetime) -> str:
    """Return the ISO-8601 form in UTC with a Z, milliseconds or, where needed, microseconds."""
    utc = moment.astimezone(UTC)
    digits = "milliseconds" if utc.microsecond % 1000 == 0 else "microseconds"
    return utc.isoformat(timespec=digits).replace("+00:00", "Z")
