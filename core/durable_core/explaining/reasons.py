"""Why an execution waits or has failed, in sentences that name the operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from durable_core.events import format_timestamp, seconds_after
from durable_core.execution_facts import ExecutionFacts, RecordedPause, is_cut_short
from durable_core.explaining.messages import describe_error, duration_text, error_text
from durable_core.explaining.report import AtResume, Reason, Replay, Row
from durable_core.fold import Recorded
from durable_core.invocations import RecordedInvocation
from durable_core.model import (
    ErrorObject,
    ExecutionRecord,
    ExecutionStatus,
    OperationStatus,
    OperationType,
)
from durable_core.positions import Located, label_of

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
    invocations: Sequence[RecordedInvocation],
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
    label = label_of(row)
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
    label = label_of(operation)
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


_MOST_NAMED: Final = 5


def pauses_with_record(facts: ExecutionFacts, record: ExecutionRecord) -> tuple[RecordedPause, ...]:
    """Return the pauses, that of GetDurableExecution included where no event tells of it."""
    if record.status is not ExecutionStatus.PAUSED or facts.open_pause is not None:
        return facts.pauses
    said = record.pause
    since = (said.requested if said is not None else None) or facts.last_event
    if since is None or not facts.status.is_open:
        return facts.pauses
    if said is None:
        return (*facts.pauses, RecordedPause(since))
    extends = said.timeout_paused is not False
    return (*facts.pauses, RecordedPause(since, said.requested, said.reason, extends))


def at_resume(
    facts: ExecutionFacts,
    recorded: Mapping[str, Recorded],
    invocations: Sequence[RecordedInvocation],
) -> AtResume | None:
    """Return what a resume does; None where the execution is not paused."""
    pause = facts.open_pause
    if pause is None:
        return None
    cut = bool(invocations) and is_cut_short(invocations[-1], pause)
    open_operations = [each for each in recorded.values() if not each.operation.is_terminal]
    if cut or pause.completed or any(_is_due(each, facts.last_event) for each in open_operations):
        return AtResume.INVOKES
    return AtResume.WAITS if open_operations else AtResume.INVOKES


def _is_due(each: Recorded, now: datetime | None) -> bool:
    operation = each.operation
    if operation.status is OperationStatus.READY:
        return True
    details = operation.step_details
    due = details.next_attempt_timestamp if details is not None else None
    return due is not None and now is not None and due <= now


def pause_reasons(
    facts: ExecutionFacts, resume: AtResume | None, rows: Sequence[Row]
) -> tuple[Reason, ...]:
    """Say that an execution is paused, since when, what happened meanwhile, what comes then."""
    pause = facts.open_pause
    if pause is None:
        return ()
    why = f" ({pause.reason})" if pause.reason else ""
    since = _since(pause, facts.last_event)
    found = [
        Reason(
            f"the execution is paused since {since}{why}: the function isn't invoked, "
            "while waits and callbacks still complete"
        )
    ]
    labels = {row.id: row for row in rows if row.id is not None}
    for key in pause.completed[:_MOST_NAMED]:
        row = labels.get(key)
        if row is not None and row.status is not None:
            ended = row.status.replace("_", " ").lower()
            found.append(Reason(f"meanwhile {label_of(row)} {ended}", row.position))
    if len(pause.completed) > _MOST_NAMED:
        more = len(pause.completed) - _MOST_NAMED
        found.append(Reason(f"meanwhile {more:,} more operations completed"))
    if text := deadline_text(facts):
        found.append(Reason(text, until=facts.deadline))
    found.append(Reason(_AT_RESUME[resume or AtResume.WAITS]))
    return tuple(found)


_AT_RESUME: Final[Mapping[AtResume, str]] = {
    AtResume.INVOKES: "at resume the function is invoked at once: what completed meanwhile, or an "
    "invocation that the pause cut short, has to go on",
    AtResume.WAITS: "at resume it goes on waiting: nothing that it waits for has completed",
}


def _since(pause: RecordedPause, last: datetime | None) -> str:
    taken = pause.seconds(last)
    lasts = f", {duration_text(taken)} before the last event" if taken >= 1 else ""
    return f"{format_timestamp(pause.paused)}{lasts}"


def deadline_text(facts: ExecutionFacts) -> str:
    """Say when an execution that was paused times out; nothing where that isn't known."""
    deadline = facts.deadline
    if deadline is None or not facts.pauses:
        return ""
    text = f"it times out at {format_timestamp(deadline)}"
    pause = facts.open_pause
    if pause is not None and pause.timeout_paused:
        return (
            f"{text}, 366 days after its start, if it stays paused: after a resume it has the time "
            "that was left of its timeout"
        )
    extended = sum(each.seconds(None) for each in facts.pauses if each.timeout_paused)
    if pause is not None:
        text += ", which this pause doesn't extend"
    return f"{text}, {duration_text(extended)} later for its pauses" if extended else text


def timeout_text(facts: ExecutionFacts) -> str:
    """Say after how long a timeout ended an execution: its own, and what pauses added."""
    if not facts.timeout_seconds:
        return ""
    ended = facts.ended or facts.last_event
    extended = sum(each.seconds(ended) for each in facts.pauses if each.timeout_paused)
    more = f" and {duration_text(extended)} of pauses" if extended else ""
    return f" after {facts.timeout_seconds:,} s{more}"
