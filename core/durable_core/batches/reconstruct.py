"""From the events of a history back to the updates that a handler checkpointed.

A reconstruction: a history keeps what each update did, not which request carried it. Updates are
grouped by invocation, the only boundary that is recorded. ReplayChildren, which no event says, is
inferred from the payload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from durable_core.events import (
    EVENTS,
    detail,
    is_truncated,
    next_attempt_delay_of,
    payload_of,
)
from durable_core.frozen import dataclass
from durable_core.invocations import invocations
from durable_core.limits import LIMITS
from durable_core.model import (
    ChainedInvokeOptions,
    ContextDetails,
    Event,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    stores_summary,
)
from durable_core.sizes import utf8_bytes
from durable_core.summaries.reading import read_summary
from durable_core.summaries.stripped import replay_children_of
from durable_core.wire import error_of


@dataclass(frozen=True, slots=True)
class InvocationUpdates:
    """The updates that one invocation checkpointed, in the order of their events.

    `number` counts from 1. `truncated` counts those whose payload the history leaves out, so that
    their sizes are too small.
    """

    number: int
    updates: tuple[OperationUpdate, ...]
    truncated: int = 0


def updates_of(events: Sequence[Event]) -> tuple[InvocationUpdates, ...]:
    """Return the updates behind the events, which must be in the order of their ids.

    Events that the service wrote by itself have none, nor have types that aren't known. A result
    that was too large for a response is the one EXECUTION update: it belongs to the last
    invocation.
    """
    found = [
        _updates(invocation.number, events[invocation.first : invocation.stop])
        for invocation in invocations(events)
    ]
    last = next((update for event in events if (update := _execution(event))), None)
    if last is not None and found:
        ending = found[-1]
        found[-1] = InvocationUpdates(ending.number, (*ending.updates, last), ending.truncated)
    return tuple(found)


def _updates(number: int, events: Sequence[Event]) -> InvocationUpdates:
    written = list(_written_by_handler(events))
    return InvocationUpdates(
        number,
        tuple(update for _, update in written),
        sum(is_truncated(event) for event, _ in written),
    )


def _written_by_handler(events: Sequence[Event]) -> Iterator[tuple[Event, OperationUpdate]]:
    for event in events:
        spec = EVENTS.get(event.event_type)
        if spec is None or spec.backend or spec.operation is None or event.id is None:
            continue
        assert spec.status is not None
        yield event, _update(event, spec.operation, _action(event, spec.status))


_ACTIONS: Final = {
    OperationStatus.STARTED: OperationAction.START,
    OperationStatus.SUCCEEDED: OperationAction.SUCCEED,
    OperationStatus.FAILED: OperationAction.FAIL,
    OperationStatus.CANCELLED: OperationAction.CANCEL,
}


def _action(event: Event, status: OperationStatus) -> OperationAction:
    return OperationAction.RETRY if next_attempt_delay_of(event) else _ACTIONS[status]


def _update(event: Event, kind: OperationType, action: OperationAction) -> OperationUpdate:
    assert event.id is not None
    options = _OPTIONS.get((kind, action))
    return OperationUpdate(
        id=event.id,
        type=kind,
        action=action,
        parent_id=event.parent_id,
        name=event.name,
        sub_type=event.sub_type,
        payload=payload_of(event),
        error=None if action is OperationAction.CANCEL else error_of(event),
        **(options(event) if options else {}),
    )


def _retry(event: Event) -> Mapping[str, Any]:
    return {"next_attempt_delay_seconds": next_attempt_delay_of(event)}


def _wait(event: Event) -> Mapping[str, Any]:
    return {"wait_seconds": detail(event, "Duration")}


def _callback(event: Event) -> Mapping[str, Any]:
    return {
        "callback_timeout_seconds": detail(event, "Timeout"),
        "callback_heartbeat_seconds": detail(event, "HeartbeatTimeout"),
    }


def _invoke(event: Event) -> Mapping[str, Any]:
    name = detail(event, "FunctionName")
    if name is None:
        return {}
    return {"chained_invoke": ChainedInvokeOptions(name, detail(event, "TenantId"))}


def _context_end(event: Event) -> Mapping[str, Any]:
    payload = payload_of(event)
    ended = Operation(
        id=event.id or "",
        type=OperationType.CONTEXT,
        status=OperationStatus.SUCCEEDED,
        sub_type=event.sub_type,
        context_details=ContextDetails(result=payload),
    )
    summary = (
        read_summary(payload) if stores_summary(OperationType.CONTEXT, event.sub_type) else None
    )
    fact = replay_children_of(ended, summary, payload_known=not is_truncated(event))
    return {"replay_children": True if fact.value else None}


_OPTIONS: Final[
    Mapping[tuple[OperationType, OperationAction], Callable[[Event], Mapping[str, Any]]]
] = {
    (OperationType.STEP, OperationAction.RETRY): _retry,
    (OperationType.WAIT, OperationAction.START): _wait,
    (OperationType.CALLBACK, OperationAction.START): _callback,
    (OperationType.CHAINED_INVOKE, OperationAction.START): _invoke,
    (OperationType.CONTEXT, OperationAction.SUCCEED): _context_end,
}


def _execution(event: Event) -> OperationUpdate | None:
    """Return the update that carried an execution's result, if it didn't fit a response."""
    if event.event_type != "ExecutionSucceeded" or event.id is None:
        return None
    result = payload_of(event)
    if result is None or utf8_bytes(result) <= LIMITS.response_bytes:
        return None
    return OperationUpdate(
        event.id, OperationType.EXECUTION, OperationAction.SUCCEED, payload=result
    )
