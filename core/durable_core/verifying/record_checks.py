"""What of a record can't be what the service wrote, though it can be read. Pure.

A history that can't have happened at all isn't loaded (`history`). What is here is of use for an
explanation still; a handler can't be verified against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from durable_core.events import EVENTS, EXECUTION_ENDS, EXECUTION_STARTED
from durable_core.excerpts import labelled
from durable_core.fold import Folded
from durable_core.history import RecordedHistory, may_start_again
from durable_core.model import Event, Operation, OperationType
from durable_core.transitions import MUST_START, STATUSES
from durable_core.verifying.payloads import not_json
from durable_core.verifying.verification import Inconclusive

_REMEDY = "give a history as the service returns it"


def impossible_in(history: RecordedHistory, folded: Folded) -> Iterator[Inconclusive]:
    """Yield what the service can't have written."""
    if (why := not_json(folded.execution.input_payload)) is not None:
        yield Inconclusive(
            f"the recorded input is no JSON, as each input of Lambda is: {why}", _REMEDY
        )
    if (why := not_json(folded.execution.result, takes_nan=True)) is not None:
        yield Inconclusive(
            f"the recorded result is no JSON, as each result of Lambda is: {why}", _REMEDY
        )
    if is_gapless(history.events):
        yield from _missing_from(history.events, folded)
    yield from _impossible_statuses(folded)
    yield from _out_of_order(history)


def is_gapless(events: Sequence[Event]) -> bool:
    """Tell whether no event is missing, as far as their ids say."""
    return bool(events) and events[-1].event_id == len(events)


def _missing_from(events: Sequence[Event], folded: Folded) -> Iterator[Inconclusive]:
    """Yield the first of what must be there where no event is missing by its id."""
    first = events[0].event_type
    if first != EXECUTION_STARTED:
        yield Inconclusive(
            f"the history begins with {first}, not with {EXECUTION_STARTED}", _REMEDY
        )
    for each in folded.operations.values():
        operation = each.operation
        if each.attempts == 0 and operation.type in MUST_START:
            yield Inconclusive(f"{_described(operation)} has no start", _REMEDY)
            return


def _described(operation: Operation) -> str:
    kind = operation.sub_type or operation.type
    return labelled(kind, operation.name) if operation.name else f"{kind} {operation.id}"


def _impossible_statuses(folded: Folded) -> Iterator[Inconclusive]:
    for each in folded.operations.values():
        operation = each.operation
        callback = operation.callback_details
        wrong = None
        if operation.status not in STATUSES[operation.type]:
            wrong = f"is {operation.status}, which a {operation.type} can't be"
        elif operation.type is OperationType.CALLBACK and not (callback and callback.callback_id):
            wrong = "has no CallbackId"
        if wrong is not None:
            yield Inconclusive(f"{_described(operation)} {wrong}", _REMEDY)
            return


def _out_of_order(history: RecordedHistory) -> Iterator[Inconclusive]:
    """Yield the first event that can't come where it is: after the end of its operation or of the
    execution, or before anything of the context that it is in."""
    gapless = is_gapless(history.events)
    ended: dict[str, Event] = {}
    seen: set[str] = set()
    over: Event | None = None
    for event in history.events:
        spec = EVENTS.get(event.event_type)
        if spec is None or spec.operation is None:
            continue
        if spec.operation is OperationType.EXECUTION or event.id is None:
            if over is None and event.event_type in EXECUTION_ENDS:
                over = event
            seen.add(event.id or "")
            continue
        before = ended.get(event.id)
        if before is None or may_start_again(before):
            before = None if spec.backend else over
        is_early = gapless and event.parent_id is not None and event.parent_id not in seen
        if before is not None or is_early:
            why = "before any event of the context that it is in"
            if before is not None:
                why = f"after {before.event_type} at EventId {before.event_id}, which ended it"
            yield Inconclusive(
                f"{event.event_type} at EventId {event.event_id} comes {why}", _REMEDY
            )
            return
        seen.add(event.id)
        assert spec.status is not None
        if spec.status.is_terminal:
            ended[event.id] = event
