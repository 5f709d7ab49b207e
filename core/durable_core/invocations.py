"""Which invocation wrote what: the boundaries that InvocationCompleted events give. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from durable_core.events import (
    EVENTS,
    EXECUTION_STARTED,
    INVOCATION_COMPLETED,
    detail,
    parse_timestamp,
)
from durable_core.frozen import dataclass
from durable_core.model import ErrorObject, Event
from durable_core.wire import error_of


@dataclass(frozen=True, slots=True)
class RecordedInvocation:
    """One invocation of the handler, as the events bound it.

    `number` counts from 1. `first` and `stop` are indexes into the events: its own are
    `events[first:stop]`. `found` is the index up to which events were known to it when it began:
    what the service did since the one before. `ended` None: it was running when the history was
    read, or it left no InvocationCompleted. `is_timed` says that both moments are recorded; else
    they are taken from its events. `error` is why it crashed, None if it didn't.
    """

    number: int
    first: int
    found: int
    stop: int
    started: datetime | None
    ended: datetime | None
    request_id: str | None = None
    error: ErrorObject | None = None
    is_timed: bool = False


def invocations(events: Sequence[Event]) -> tuple[RecordedInvocation, ...]:
    """Return the invocations that InvocationCompleted events bound, and one that is still open.

    What the service did by itself before an invocation's first own event, and not later than its
    StartTimestamp where that is recorded, was there when the invocation began.
    """
    found: list[RecordedInvocation] = []
    first = 0
    for index, event in enumerate(events):
        if event.event_type == INVOCATION_COMPLETED:
            found.append(_invocation(len(found) + 1, events, first, index + 1, event))
            first = index + 1
    rest = events[first:]
    if any(not _is_backend(event) for event in rest):
        found.append(_invocation(len(found) + 1, events, first, len(events), None))
    return tuple(found)


def _is_backend(event: Event) -> bool:
    spec = EVENTS.get(event.event_type)
    return spec is None or spec.backend


def _invocation(
    number: int, events: Sequence[Event], first: int, stop: int, completed: Event | None
) -> RecordedInvocation:
    started, ended = _moment(completed, "StartTimestamp"), _moment(completed, "EndTimestamp")
    found = first
    while found < stop and events[found] is not completed and _is_backend(events[found]):
        if started is not None and events[found].timestamp > started:
            break
        found += 1
    if number == 1 and found == first and first < stop:
        found = first + (events[first].event_type == EXECUTION_STARTED)
    return RecordedInvocation(
        number=number,
        first=first,
        found=found,
        stop=stop,
        started=started if started is not None else _first_moment(events, first, found, stop),
        ended=None if completed is None else ended or completed.timestamp,
        request_id=detail(completed, "RequestId") if completed is not None else None,
        error=error_of(completed) if completed is not None else None,
        is_timed=started is not None and ended is not None,
    )


def _moment(event: Event | None, name: str) -> datetime | None:
    value = detail(event, name) if event is not None else None
    return None if value is None else parse_timestamp(value)


def _first_moment(events: Sequence[Event], first: int, found: int, stop: int) -> datetime | None:
    """Guess when an invocation began: at its first own event, or after the last one before it."""
    if found < stop and events[found].event_type != INVOCATION_COMPLETED:
        return events[found].timestamp
    return events[found - 1].timestamp if found > first else None
