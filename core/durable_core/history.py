"""A recorded history as one value, and the rules by which events can belong to one execution.

Pure: values in, values out. Reading a file is `adapters.history_file`; what the events add up to is
`fold`. The rules refuse only what can't have happened; what is merely missing is a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from durable_core.errors import HistoryError
from durable_core.events import EVENTS, EventSpec, Kind, is_truncated, next_attempt_delay_of
from durable_core.frozen import dataclass
from durable_core.model import (
    Event,
    ExecutionRecord,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
)
from durable_core.positions import may_lack_parents, missing_parents, places_of, places_of_events
from durable_core.transitions import MUST_START

CLOCK_SKEW: Final = timedelta(seconds=5)
"""How much earlier than its start an operation may end by the clock. Order is told by EventId; the
timestamps come from several machines, whose clocks differ by far less than this."""


@dataclass(frozen=True, slots=True)
class RecordedHistory:
    """What was recorded of one execution, in the order of its EventIds.

    `operations` are those of a source that holds a state instead of events (then `events` is
    empty), else None. `execution` is what GetDurableExecution said, where it stands beside the
    events. `has_execution_data` is False when payloads were expected and not one is there: the
    history was fetched without IncludeExecutionData. `is_redacted` says that its payloads, errors
    and ids are stand-ins, `kept` what of it is real (paths of `keep_paths`). `warnings` are
    sentences for a person.
    """

    source: str
    events: tuple[Event, ...] = ()
    operations: tuple[Operation, ...] | None = None
    execution: ExecutionRecord | None = None
    arn: str | None = None
    has_execution_data: bool = True
    is_redacted: bool = False
    kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def history_of_events(
    source: str,
    events: Iterable[Event],
    arn: str | None = None,
    execution: ExecutionRecord | None = None,
    warnings: Iterable[str] = (),
) -> RecordedHistory:
    """Return the history that the events make, in any order and with repeated ones.

    Raises HistoryError when they can't be of one execution.
    """
    ordered = in_order(events)
    traces = check_events(ordered)
    parents = _missing_parents(ordered, traces)
    if parents:
        ordered = tuple(_with_parent(event, parents) for event in ordered)
        traces = check_events(ordered)
    has_data = has_execution_data(ordered)
    return RecordedHistory(
        source=source,
        events=ordered,
        execution=execution,
        arn=arn,
        has_execution_data=has_data,
        warnings=(
            *warnings,
            *_warn_of_parents(parents),
            *_warn_of_gaps(ordered),
            *_warn_of_unknown_types(ordered),
            *_warn_of_missing_starts(traces),
            *_warn_of_missing_payloads(ordered, has_data),
        ),
    )


def history_of_operations(
    source: str,
    operations: Iterable[Operation],
    arn: str | None = None,
    execution: ExecutionRecord | None = None,
    warnings: Iterable[str] = (),
) -> RecordedHistory:
    """Return the history that a recorded state makes.

    Raises HistoryError when the operations can't be of one execution.
    """
    checked = check_operations(operations)
    parents = missing_parents(places_of(checked))
    if parents:
        checked = tuple(_with_parent(operation, parents) for operation in checked)
    return RecordedHistory(
        source=source,
        operations=checked,
        execution=execution,
        arn=arn,
        warnings=(*warnings, *_warn_of_parents(parents)),
    )


# -- parents -------------------------------------------------------------------------------------


def _missing_parents(
    events: Sequence[Event], traces: Mapping[str, OperationTrace]
) -> dict[str, str]:
    roots = [
        key
        for key, trace in traces.items()
        if trace.parent_id is None and trace.type is not OperationType.EXECUTION
    ]
    return missing_parents(places_of_events(events)) if may_lack_parents(traces, roots) else {}


_Child = TypeVar("_Child", Event, Operation)


def _with_parent(child: _Child, parents: Mapping[str, str]) -> _Child:
    parent_id = parents.get(child.id or "")
    return child if parent_id is None else replace(child, parent_id=parent_id)


def _warn_of_parents(parents: Mapping[str, str]) -> Iterable[str]:
    if parents:
        are = "is" if len(parents) == 1 else "are"
        yield f"{_count(len(parents), 'operation')} without ParentId {are} placed by the id"


# -- order ---------------------------------------------------------------------------------------


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return the events by EventId, each once.

    Raises HistoryError when two different events have the same EventId.
    """
    found: dict[int, Event] = {}
    for event in events:
        other = found.setdefault(event.event_id, event)
        if other is not event and other != event:
            raise HistoryError(
                f"two different events have this EventId ({other.event_type} and "
                f"{event.event_type}): expected the pages of one execution",
                event.event_id,
            )
    return tuple(found[event_id] for event_id in sorted(found))


def _warn_of_gaps(events: Sequence[Event]) -> Iterable[str]:
    missing = events[-1].event_id - len(events) if events else 0
    if missing:
        first = next(n for n, event in enumerate(events, 1) if event.event_id != n)
        yield (
            f"incomplete: {missing:,} of the EventIds up to {events[-1].event_id:,} "
            f"{'is' if missing == 1 else 'are'} missing, the first is {first:,}"
        )


def _warn_of_unknown_types(events: Iterable[Event]) -> Iterable[str]:
    unknown = Counter([each.event_type for each in events if each.event_type not in EVENTS])
    for event_type, count in sorted(unknown.items()):
        yield (
            f"this version doesn't know event type {event_type}: "
            f"{_count(count, 'event')} of it kept but not explained"
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# -- what can't have happened --------------------------------------------------------------------


@dataclass(slots=True)
class OperationTrace:
    """What the events so far say of one operation."""

    id: str
    type: OperationType
    first: Event
    parent_id: str | None
    started: Event | None = None
    ended: Event | None = None


def check_events(events: Sequence[Event]) -> Mapping[str, OperationTrace]:
    """Check that the ordered events can have happened, and return what they say of each operation.

    Raises HistoryError: an event without the Id of its operation, an Id with two types or two
    parents, an end before its start, a parent that is its own descendant. A parent that isn't in
    the history is fine, and so is a missing start: it may be on a page that isn't here.
    """
    traces: dict[str, OperationTrace] = {}
    for position, event in enumerate(events, 1):
        spec = EVENTS.get(event.event_type)
        if spec is None or spec.operation is None:
            continue
        if event.id is None:
            if spec.operation is OperationType.EXECUTION:
                continue  # There is one execution only: its Id tells nothing.
            raise HistoryError(
                f"{event.event_type} without the Id of its operation", event.event_id
            )
        trace = traces.get(event.id)
        if trace is None:
            trace = traces[event.id] = OperationTrace(
                event.id, spec.operation, event, event.parent_id
            )
        elif trace.type is not spec.operation or event.parent_id != trace.parent_id:
            _check_identity(trace, event, spec.operation)
        if spec.status is OperationStatus.STARTED and trace.ended is None:
            trace.started = event
        else:
            _check_moment(trace, event, spec, event.event_id == position)
    _check_parents(traces)
    return traces


def _check_identity(trace: OperationTrace, event: Event, kind: OperationType) -> None:
    if trace.type is not kind:
        raise HistoryError(
            f"{event.event_type} for operation {_clip(trace.id)}, which is a {trace.type} since "
            f"EventId {trace.first.event_id}",
            event.event_id,
        )
    if event.parent_id != trace.parent_id and event.parent_id is not None:
        if trace.parent_id is not None:
            raise HistoryError(
                f"operation {_clip(trace.id)} has the parent {_clip(event.parent_id)} here and "
                f"{_clip(trace.parent_id)} at EventId {trace.first.event_id}",
                event.event_id,
            )
        trace.parent_id = event.parent_id


def _check_moment(trace: OperationTrace, event: Event, spec: EventSpec, is_gapless: bool) -> None:
    if spec.status is OperationStatus.STARTED:
        if trace.ended and not trace.started and is_gapless:
            raise HistoryError(
                f"{event.event_type} of {_clip(trace.id)} comes after its end, "
                f"{trace.ended.event_type} at EventId {trace.ended.event_id}",
                event.event_id,
            )
        trace.started = event
        return
    started = trace.started
    if started and event.timestamp < started.timestamp:
        earlier = started.timestamp - event.timestamp
        if earlier > CLOCK_SKEW:
            raise HistoryError(
                f"{event.event_type} of {_clip(trace.id)} is {earlier.total_seconds():,.3f} s "
                f"earlier than its start at EventId {started.event_id}",
                event.event_id,
            )
    if trace.ended is None and not may_start_again(event):
        trace.ended = event


def may_start_again(event: Event) -> bool:
    """Tell whether a start may follow: after a failed attempt, and after a poll of a condition.

    Neither needs a start before it. A poll is told by its sub-type, since not every recorder says
    when the next one is due.
    """
    return next_attempt_delay_of(event) is not None or event.sub_type == SubType.WAIT_FOR_CONDITION


def _check_parents(traces: Mapping[str, OperationTrace]) -> None:
    cycle = find_cycle({trace.id: trace.parent_id for trace in traces.values()})
    if cycle:
        raise HistoryError(_describe_cycle(cycle), traces[cycle[0]].first.event_id)


def find_cycle(parents: Mapping[str, str | None]) -> list[str]:
    """Return the Ids of one cycle of parents, or nothing. Linear, whatever the depth."""
    safe: set[str] = set()
    for start in parents:
        path: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in safe:
            if at in path:
                ids = list(path)
                return ids[ids.index(at) :]
            path[at] = None
            at = parents.get(at)
        safe.update(path)
    return []


def _describe_cycle(ids: Sequence[str]) -> str:
    shown = [_clip(each) for each in ids[:4]]
    if len(ids) > len(shown):
        shown.append("...")
    return f"a parent cycle: {' is in '.join([*shown, _clip(ids[0])])}"


def _clip(text: str, limit: int = 16) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


def _warn_of_missing_starts(traces: Mapping[str, OperationTrace]) -> Iterable[str]:
    orphans = [t for t in traces.values() if t.type in MUST_START and not t.started]
    if orphans:
        yield (
            f"{_count(len(orphans), 'operation')} without a start, the first is "
            f"{_clip(orphans[0].id)} at EventId {orphans[0].first.event_id:,}"
        )


def check_operations(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return the operations, each once, in the order in which they came.

    Raises HistoryError: one Id with two contents, an end before its start, a parent cycle.
    """
    found: dict[str, Operation] = {}
    for operation in operations:
        other = found.setdefault(operation.id, operation)
        if other is not operation and other != operation:
            raise HistoryError(f"two different operations have the Id {_clip(operation.id)}")
        start, end = operation.start_timestamp, operation.end_timestamp
        if start and end and start - end > CLOCK_SKEW:
            raise HistoryError(
                f"operation {_clip(operation.id)} ends {(start - end).total_seconds():,.3f} s "
                "before it starts"
            )
    cycle = find_cycle({operation.id: operation.parent_id for operation in found.values()})
    if cycle:
        raise HistoryError(_describe_cycle(cycle))
    return tuple(found.values())


# -- payloads ------------------------------------------------------------------------------------

_CARRIERS: Final = {
    event_type: tuple(
        name
        for name, kind in spec.fields.items()
        if name in ("Result", "Input", "Error") and kind in (Kind.PAYLOAD, Kind.ERROR)
    )
    for event_type, spec in EVENTS.items()
}
"""Of each type of event, the fields in which its payload would be."""


def has_execution_data(events: Iterable[Event]) -> bool:
    """Return False when results or inputs were expected and not one payload is there.

    A single payload shows that they were asked for: what has none then had none.
    """
    expected = False
    for event in events:
        for name in _CARRIERS.get(event.event_type, ()):
            carrier: Mapping[str, Any] = (event.details or {}).get(name) or {}
            if carrier.get("Payload") is not None:
                return True
            if name != "Error" and carrier.get("Truncated") is not False:
                expected = True
    return not expected


def _warn_of_missing_payloads(events: Iterable[Event], has_data: bool) -> Iterable[str]:
    if not has_data:
        yield "no payloads: the history was fetched without IncludeExecutionData"
        return
    truncated = [event for event in events if event.details and is_truncated(event)]
    if truncated:
        how = "left out or cut" if any(map(_is_cut, truncated)) else "left out"
        yield (
            f"{_count(len(truncated), 'payload')} {how} by the service (Truncated), the first at "
            f"EventId {truncated[0].event_id:,}"
        )


def _is_cut(event: Event) -> bool:
    """Tell whether the beginning of a truncated payload is there."""
    return any(
        ((event.details or {}).get(name) or {}).get("Payload") is not None
        for name in _CARRIERS.get(event.event_type, ())
    )
