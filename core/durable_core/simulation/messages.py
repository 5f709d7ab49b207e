"""Why invocations began and ended, in words, and what would answer those who wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from durable_core.events import detail
from durable_core.excerpts import short_name
from durable_core.model import (
    InvocationOutput,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
)
from durable_core.operation_types import OPERATION_TYPES
from durable_core.positions import locate, places_of
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import Crash, Invocation
from durable_core.simulation.outcome import InvocationEnd, WaitingFor
from durable_core.simulation.scenario import (
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
    callback_text,
    function_name_of,
    invoke_text,
)

_WOKEN = {
    OperationStatus.READY: "is due for its next attempt",
    OperationStatus.SUCCEEDED: "succeeded",
    OperationStatus.FAILED: "failed",
    OperationStatus.TIMED_OUT: "timed out",
    OperationStatus.STOPPED: "was stopped",
}


def label_of(operation: Operation) -> str:
    """Return an operation as a person would name it: `wait 'boundary'`."""
    noun = OPERATION_TYPES[operation.type].noun
    return f"{noun} {short_name(operation.name)!r}" if operation.name else f"{noun} without a name"


def began_because(invocation: Invocation, woken_by: Sequence[Operation]) -> str:
    """Say why an invocation began."""
    if woken_by:
        return _some(
            [f"{label_of(each)} {_WOKEN.get(each.status, each.status.value)}" for each in woken_by]
        )
    if invocation.because is not None:
        return invocation.because
    if invocation.number == 1:
        return "the execution started"
    return "the invocation before came to nothing" if invocation.retry else "it was invoked again"


def ended_because(
    end: InvocationEnd,
    outcome: InvocationOutput | Crash | None,
    pending: Sequence[Operation],
    now: datetime,
    cut_short: str | None = None,
) -> str:
    """Say why an invocation ended. `cut_short` is why it got no checkpoint token any more."""
    match end:
        case InvocationEnd.SUCCEEDED:
            return "the handler returned"
        case InvocationEnd.PENDING if cut_short is not None:
            return f"its checkpoint token was taken back: {cut_short}"
        case InvocationEnd.PENDING:
            return f"waits for {_some([_wait(each, now) for each in pending]) or 'nothing'}"
        case InvocationEnd.INTERRUPTED:
            return "you ended the simulation"
    error = None if outcome is None else outcome.error
    text = "no error was given" if error is None else str(error)
    if end is not InvocationEnd.CRASHED:
        return f"the handler failed: {text}"
    cause = outcome.cause if isinstance(outcome, Crash) else None
    return text if cause is None else f"{text}; it raised {cause}"


def _wait(operation: Operation, now: datetime) -> str:
    until = None
    if operation.wait_details is not None:
        until = operation.wait_details.scheduled_end_timestamp
    elif operation.step_details is not None:
        until = operation.step_details.next_attempt_timestamp
    left = "" if until is None else f" ({(until - now).total_seconds():g} s)"
    return f"{label_of(operation)}{left}"


def _some(same: Sequence[str], most: int = 3) -> str:
    counts = Counter(same)
    texts = [text if count == 1 else f"{count:,} of {text}" for text, count in counts.items()]
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {len(texts) - most:,} more"


def waiting_for(waiting: Sequence[Operation], service: SimulatedService) -> tuple[WaitingFor, ...]:
    """Return those who wait for the world outside, with what a scenario would have to say."""
    located = locate(places_of(service.operations.values()))
    found = []
    for operation in waiting:
        if not OPERATION_TYPES[operation.type].is_answered:
            continue
        position = located.text(operation.id)
        place = f" ({position})" if position else ""
        found.append(
            WaitingFor(operation, f"{label_of(operation)}{place}", _snippet(operation, service))
        )
    return tuple(found)


def _snippet(operation: Operation, service: SimulatedService) -> str:
    if operation.type is OperationType.CALLBACK:
        name = operation.name
        parent = service.operations.get(operation.parent_id or "")
        if parent is not None and parent.sub_type == SubType.WAIT_FOR_CALLBACK:
            name = parent.name or name
        return callback_text(CallbackScript(name or "*", payload='"..."'))
    function = next(
        detail(event, "FunctionName")
        for event in service.events
        if event.id == operation.id and event.event_type == "ChainedInvokeStarted"
    )
    script = InvokeScript(function_name_of(function), InvokeOutcome.RESULT, result='"..."')
    return invoke_text(script)
