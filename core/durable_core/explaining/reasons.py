"""Why an execution waits or has failed, in sentences that name the operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from durable_core.events import format_timestamp, seconds_after
from durable_core.excerpts import labelled
from durable_core.explaining.pauses import timeout_text
from durable_core.explaining.report import Reason, Replay, Row
from durable_core.explaining.sentences import describe_error, duration_text, error_text
from durable_core.fold import ExecutionFacts, Recorded
from durable_core.ids import Located
from durable_core.invocations import Invocation
from durable_core.model import ErrorObject, ExecutionStatus, OperationStatus, OperationType

MOST_REASONS: Final = 20

PAUSING: Final = (
    "the execution is being paused: its invocation goes on to its next checkpoint, which ends it"
)

_FAILED: Final = frozenset(
    {
        OperationStatus.FAILED,
        OperationStatus.TIMED_OUT,
        OperationStatus.STOPPED,
    }
)
_ENDED_BADLY: Final = frozenset(
    {ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.STOPPED}
)


def reasons(
    facts: ExecutionFacts,
    recorded: Mapping[str, Recorded],
    rows: Sequence[Row],
    located: Located,
    invocations: Sequence[Invocation],
) -> tuple[Reason, ...]:
    """Return why the execution waits or failed; nothing for one that succeeded."""
    if facts.status is ExecutionStatus.SUCCEEDED:
        return ()
    if facts.status is ExecutionStatus.FAILED:
        return _failure(facts, recorded, located)
    if facts.last_event is None and not recorded:
        return (Reason("nothing was recorded: there are no events"),)
    waits = _waits(recorded, rows, facts.last_event)
    if facts.status in _ENDED_BADLY:
        ended = describe_error(facts.error, facts.status)
        after = timeout_text(facts) if facts.status is ExecutionStatus.TIMED_OUT else ""
        paused = facts.pauses[-1] if facts.pauses else None
        if paused is not None and paused.resumed is None:
            after += f", paused since {format_timestamp(paused.paused)}"
        head = f"the execution ended as {facts.status}{after}: {ended}; open then:"
        return (Reason(head.removesuffix("; open then:") if not waits else head), *waits)
    if facts.status is ExecutionStatus.DELETING:
        return (Reason("the execution is being deleted: soon it can't be fetched any more"),)
    if facts.status is ExecutionStatus.PAUSING:
        return (Reason(PAUSING), *waits)
    if facts.status is ExecutionStatus.PAUSED:
        return waits
    if invocations and invocations[-1].ended is None:
        return (Reason("an invocation was running when the history was read"), *waits)
    return waits or (Reason("nothing is open: the next invocation is due, or is running"),)


# -- waiting -------------------------------------------------------------------------------------


def _waits(
    recorded: Mapping[str, Recorded], rows: Iterable[Row], last: datetime | None
) -> tuple[Reason, ...]:
    found: list[Reason] = []
    more = 0
    for row in rows:
        if row.id is None or row.id not in recorded:
            continue
        each = recorded[row.id]
        if each.operation.is_terminal or each.operation.type is OperationType.CONTEXT:
            continue
        if row.replay is Replay.NOT_REACHED:
            continue
        if len(found) == MOST_REASONS:
            more += 1
            continue
        found.append(_wait(row, each, last))
    if more:
        found.append(Reason(f"and {more:,} more operations that are open"))
    return tuple(found)


def _label(row: Row) -> str:
    return labelled(row.sub_type or row.type, row.name)


def _at(moment: datetime | None, last: datetime | None) -> str:
    """Say when, and how long after the last event that is: there is no other clock in a history."""
    if moment is None:
        return "a time that isn't recorded"
    if last is None or moment <= last:
        return format_timestamp(moment)
    left = duration_text((moment - last).total_seconds())
    return f"{format_timestamp(moment)} ({left} after the last event)"


def _wait(row: Row, each: Recorded, last: datetime | None) -> Reason:
    operation = each.operation
    label = _label(row)
    until = row.until
    match operation.type:
        case OperationType.WAIT:
            text = f"{label} ends at {_at(until, last)}"
        case OperationType.CALLBACK:
            text, until = _callback(label, each, last)
        case OperationType.CHAINED_INVOKE:
            child = f", execution {each.execution_arn}" if each.execution_arn else ""
            text = f"{label} waits for function {each.function_name or '?'}{child}"
        case _:
            text = _step(label, row, each, last)
    return Reason(text, row.position, until)


def _callback(label: str, each: Recorded, last: datetime | None) -> tuple[str, datetime | None]:
    details, start = each.operation.callback_details, each.operation.start_timestamp
    callback_id = details.callback_id if details else None
    ends: list[tuple[datetime, str]] = []
    if start is not None and each.callback_timeout_seconds:
        ends.append((seconds_after(start, each.callback_timeout_seconds), "times out"))
    if start is not None and each.callback_heartbeat_seconds:
        moment = seconds_after(start, each.callback_heartbeat_seconds)
        ends.append((moment, "times out unless a heartbeat came"))
    lives = "; ".join(f"{what} at {_at(moment, last)}" for moment, what in sorted(ends))
    text = f"{label} waits for an answer to callback id {callback_id or '?'}"
    return f"{text}; {lives or 'no timeout is recorded'}", min(ends)[0] if ends else None


def _step(label: str, row: Row, each: Recorded, last: datetime | None) -> str:
    if each.operation.status is OperationStatus.STARTED:
        return f"{label} was interrupted in attempt {max(each.attempts, 1)}"
    if each.operation.status is OperationStatus.READY:
        return f"{label} is ready for its next attempt"
    failure = each.failures[-1] if each.failures else each.operation.error
    why = f" after {describe_error(failure, 'FAILED')}" if failure else ""
    return f"{label} waits for attempt {each.attempts + 1} at {_at(row.until, last)}{why}"


# -- failed --------------------------------------------------------------------------------------


def _failure(
    facts: ExecutionFacts, recorded: Mapping[str, Recorded], located: Located
) -> tuple[Reason, ...]:
    """Return the chain of errors, the root cause first and the execution's own error last."""
    chain = _chain(recorded, facts.error)
    end = Reason(f"the execution failed: {describe_error(facts.error, facts.status)}")
    if not chain:
        return (end,)
    links = [_link(each, located) for each in chain]
    if not _is_cause(chain[-1].operation.error, facts.error):
        note = "the last operation that failed before it (its error is not the execution's own): "
        links = [Reason(note + links[0].text, links[0].position)]
    return (*links, end)


def _chain(recorded: Mapping[str, Recorded], error: ErrorObject | None) -> list[Recorded]:
    """Return a failed operation that no failed one below explains, and what it made fail.

    It is the last one whose chain ends in the execution's error, or else the last one.
    """
    failed = {key: each for key, each in recorded.items() if each.operation.status in _FAILED}
    explained = {each.operation.parent_id for each in failed.values()}
    roots = [each for key, each in failed.items() if key not in explained]
    roots.sort(key=lambda each: each.events[1], reverse=True)
    chains = (_upwards(each, failed) for each in roots)
    fitting = (chain for chain in chains if _is_cause(chain[-1].operation.error, error))
    return next(fitting, _upwards(roots[0], failed) if roots else [])


def _upwards(root: Recorded, failed: Mapping[str, Recorded]) -> list[Recorded]:
    chain = [root]
    while (parent := failed.get(chain[-1].operation.parent_id or "")) is not None:
        if len(chain) > len(failed):
            break
        chain.append(parent)
    return chain


def _link(each: Recorded, located: Located) -> Reason:
    operation = each.operation
    label = labelled(operation.sub_type or operation.type.value, operation.name)
    tries = f" after {each.attempts} attempts" if each.attempts > 1 else ""
    text = f"{label} failed{tries}: {error_text(each)}"
    return Reason(text, located.text(operation.id) or operation.id)


def _is_cause(inner: ErrorObject | None, outer: ErrorObject | None) -> bool:
    """Tell whether an error can come from another: its message is the same or holds it."""
    if inner is None or outer is None:
        return inner is outer
    if not inner.message or not outer.message:
        return inner.type == outer.type
    return inner.message in outer.message
