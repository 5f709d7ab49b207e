"""The records that a handler is compared with: as each invocation left the execution, and the
whole. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from durable_core.events import INVOCATION_COMPLETED
from durable_core.excerpts import excerpt
from durable_core.execution_facts import has_suspended
from durable_core.fold import Folded, fold
from durable_core.history import RecordedHistory
from durable_core.model import ExecutionStatus, OperationType
from durable_core.positions import label_of
from durable_core.values import dataclass
from durable_core.verifying.divergence import SHOWN_OF_AN_ERROR, Found
from durable_core.verifying.recorded_tree import RecordedTree
from durable_core.verifying.session import Examination
from durable_core.verifying.traces import Outcome
from durable_core.verifying.verification import Cause, Divergence


@dataclass(frozen=True, slots=True)
class Picture:
    """What one run is compared with: a record as it stood. `number` of the invocation, if one.

    `is_whole`: all that is recorded.
    `suspended`: the invocation ended and the execution went on; `proven`: something came after it,
    or the service said of the execution that it runs.
    `left_at` is after which event the last invocation left it, where something came since that the
    code may go on with.
    """

    folded: Folded
    number: int | None = None
    is_whole: bool = False
    suspended: bool = False
    proven: bool = True
    left_at: int | None = None


def pictures_of(
    history: RecordedHistory, folded: Folded, *, every_invocation: bool
) -> Iterator[Picture]:
    """Return the records to compare with: as each invocation left it, then the whole."""
    invocations = folded.invocations
    if every_invocation:
        for each in invocations[:-1]:
            events = history.events[: each.stop]
            cut = fold(events)
            suspended = has_suspended(each, folded.execution.pauses)
            yield Picture(cut, each.number, suspended=suspended)
    last = invocations[-1] if invocations else None
    suspended = last is not None and has_suspended(last, folded.execution.pauses)
    number = len(invocations) if every_invocation else None
    known = None if history.execution is None else history.execution.status
    proven = (known is not None and known.is_open) or (
        bool(history.events) and history.events[-1].event_type != INVOCATION_COMPLETED
    )
    is_open = folded.execution.status.is_open
    came_since = last is not None and suspended and last.stop < len(history.events)
    left_at = last.stop if last is not None and is_open and came_since else None
    yield Picture(folded, number, True, suspended, proven, left_at)


def completed_contexts(picture: Picture, tree: RecordedTree) -> Mapping[str, int]:
    """Return the completed contexts that a replay answers from their checkpoints, by operation id,
    and the number of the invocation that completed each."""
    contexts = {
        key: each
        for key, each in picture.folded.operations.items()
        if each.operation.type is OperationType.CONTEXT and each.operation.is_terminal
    }
    stops = [each.stop for each in picture.folded.invocations]
    found = {key: bisect_right(stops, each.events[1] - 1) + 1 for key, each in contexts.items()}
    return {key: at for key, at in found.items() if not tree.is_stripped(contexts[key])}


def end_divergence(examination: Examination, picture: Picture) -> Found | None:
    """Return where the handler ends although the invocation is recorded to have suspended, or
    suspends although the execution is recorded to have succeeded."""
    root, status = examination.root, picture.folded.execution.status
    position = str(len(root.asked) + 1)
    if status is ExecutionStatus.SUCCEEDED and root.outcome is Outcome.SUSPENDED:
        if len(root.asked) > len(root.sequence):
            return None  # it goes on after the recorded end
        why = "the code waits for something that the recorded run did not wait for"
        return Found(
            root.ended_at,
            Divergence(position, root.label, Cause.WAITS, why, where=_last_line(examination)),
        )
    if not status.is_open or not picture.suspended:
        return None
    waiting = list(examination.tree.root.open_operations())
    if not waiting or root.outcome not in (Outcome.RETURNED, Outcome.RAISED):
        return None
    label = label_of(waiting[0])
    if not picture.proven:
        # Nobody need wait for what was asked for: a callback, a task that lost a race. The
        # invocation may have been about to end the execution.
        examination.doubt(
            f"the code ends without waiting for {label}, and the history stops where the recorded "
            "run either waited for it or had just ended too",
            "fetch the history again: it says by now which of the two",
        )
        return None
    if root.outcome is Outcome.RETURNED:
        why = f"the code ends where it is recorded to wait for {label}"
        cause = Cause.ENDED_EARLY
    else:
        error = excerpt(root.error, SHOWN_OF_AN_ERROR)
        why = f"the code raises {error} where it is recorded to wait for {label}"
        cause = Cause.RAISED
    return Found(
        root.ended_at,
        Divergence(
            position,
            root.label,
            cause,
            why,
            where=root.raised_where or _last_line(examination),
            traceback=root.traceback,
            escapes=root.escapes,
        ),
    )


def _last_line(examination: Examination) -> Any:
    asked = examination.root.asked
    return asked[-1].where if asked else None
