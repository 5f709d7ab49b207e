"""What a pause means for an execution: since when, what happens meanwhile, what comes at resume.

Pure. Source: PauseDurableExecution, ResumeDurableExecution and GetDurableExecution in the service
model (botocore 1.44).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from durable_core.events import format_timestamp
from durable_core.excerpts import labelled
from durable_core.explaining.report import AtResume, Reason, Row
from durable_core.explaining.sentences import duration_text
from durable_core.fold import ExecutionFacts, Pause, Recorded, is_cut_short
from durable_core.invocations import Invocation
from durable_core.model import ExecutionRecord, ExecutionStatus, OperationStatus

_MOST_NAMED: Final = 5


def pauses_with_record(facts: ExecutionFacts, record: ExecutionRecord) -> tuple[Pause, ...]:
    """Return the pauses, that of GetDurableExecution included where no event tells of it."""
    if record.status is not ExecutionStatus.PAUSED or facts.open_pause is not None:
        return facts.pauses
    said = record.pause
    since = (said.requested if said is not None else None) or facts.last_event
    if since is None or not facts.status.is_open:
        return facts.pauses
    if said is None:
        return (*facts.pauses, Pause(since))
    extends = said.timeout_paused is not False
    return (*facts.pauses, Pause(since, said.requested, said.reason, extends))


def at_resume(
    facts: ExecutionFacts, recorded: Mapping[str, Recorded], invocations: Sequence[Invocation]
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
            found.append(Reason(f"meanwhile {_label(row)} {ended}", row.position))
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


def _since(pause: Pause, last: datetime | None) -> str:
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


def _label(row: Row) -> str:
    return labelled(row.sub_type or row.type, row.name)
