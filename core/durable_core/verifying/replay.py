"""Verifying a handler against what was recorded: the run, and what it comes to.

The handler runs once on the whole record, or once for each invocation that was recorded. Nothing
that the record holds is done again and nothing new is done; see `examination`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from durable_core.arns import UNKNOWN_ARN
from durable_core.events import INVOCATION_COMPLETED
from durable_core.fold import Folded, fold, folded_of, has_suspended
from durable_core.history import RecordedHistory
from durable_core.ids import IdScheme
from durable_core.model import ExecutionStatus
from durable_core.values import dataclass
from durable_core.verifying.code_lines import shown
from durable_core.verifying.consequences import Runtime, with_consequence
from durable_core.verifying.divergence import Found
from durable_core.verifying.endings import compare_final_error
from durable_core.verifying.examination import Examination
from durable_core.verifying.examined import divergences_of
from durable_core.verifying.recorded_tree import RecordedTree, tree_of
from durable_core.verifying.runs import Outcome
from durable_core.verifying.verifiability import (
    doubts_of,
    notes_of,
    scheme_doubt,
    uncertain_doubts,
)
from durable_core.verifying.verification import (
    Cause,
    Divergence,
    Doubt,
    Verdict,
    Verification,
)

if TYPE_CHECKING:
    from durable_core.verifying.stand_ins import StandIns


class Replayer(Protocol):
    """Runs a handler, whatever SDK it is written with, under an examination."""

    @property
    def runtime(self) -> Runtime: ...
    @property
    def scheme(self) -> IdScheme: ...
    def replay(self, examination: Examination, arn: str) -> None:
        """Run the handler once, to its end or as far as it can go, and note how it ended."""


# -- one history -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How a history is verified. `most` is how many divergences are told."""

    deep: bool = True
    every_invocation: bool = False
    strict: bool = False
    most: int = 10


@dataclass(frozen=True, slots=True)
class _Picture:
    """What one run is compared with: a record as it stood. `number` of the invocation, if one.

    `suspended`: the invocation ended and the execution went on; `proven`: something came after it,
    or the service said of the execution that it runs.
    `left_at` is after which event the last invocation left it, where something came since that the
    code may go on with.
    """

    folded: Folded
    number: int | None = None
    suspended: bool = False
    proven: bool = True
    left_at: int | None = None


Watch = Callable[[Examination], AbstractContextManager[None]]
"""Watches over a run of a handler."""


def verify_history(
    replayer: Replayer,
    history: RecordedHistory,
    options: VerifyOptions | None = None,
    watch: Watch = lambda examination: nullcontext(),
) -> Verification:
    """Verify the replayer's handler against a history. What the handler does wrong is a value."""
    options = options or VerifyOptions()
    began = perf_counter()
    folded = folded_of(history)
    outcome = _before(history, folded, replayer.runtime.name)
    if not outcome:
        return outcome
    for picture in _pictures(history, folded, options):
        outcome = _run(replayer, history, picture, options, outcome, watch)
        if outcome.verdict is not Verdict.COMPATIBLE:
            break
    if options.strict and outcome.verdict is Verdict.COMPATIBLE and outcome.differences:
        outcome = replace(outcome, verdict=Verdict.DIVERGED)
    return replace(outcome, seconds=perf_counter() - began)


def unverified(history: RecordedHistory, runtime: str) -> Verification:
    """Return what is known of a history that no handler could be run against."""
    return _before(history, folded_of(history), runtime)


def _before(history: RecordedHistory, folded: Folded, runtime: str) -> Verification:
    doubts = tuple(doubts_of(history, folded))
    return Verification(
        source=history.source,
        verdict=Verdict.CANNOT_VERIFY if doubts else Verdict.COMPATIBLE,
        doubts=doubts,
        status=folded.execution.status.value,
        operations=len(folded.operations),
        invocations=len(folded.invocations) or 1,
        runtime=runtime,
        name=folded.execution.name,
        function=function_of(history.arn),
    )


def _run(
    replayer: Replayer,
    history: RecordedHistory,
    picture: _Picture,
    options: VerifyOptions,
    so_far: Verification,
    watch: Watch,
) -> Verification:
    tree = tree_of(picture.folded.operations, replayer.scheme)
    doubt = scheme_doubt(tree, replayer.scheme)
    if doubt is not None:
        return _unsure(so_far, doubt)
    examination, found = _examined(replayer, history, picture, tree, options, watch)
    stand_ins = examination.stand_ins
    ended = _end_divergence(examination, picture)
    if ended is not None and not found and picture.left_at is not None:
        left = fold(history.events[: picture.left_at])
        earlier = _Picture(left, picture.number, picture.suspended)
        tree = tree_of(earlier.folded.operations, replayer.scheme)
        again, _ = _examined(replayer, history, earlier, tree, options, watch)
        ended = _end_divergence(again, earlier)
    if ended is not None and not found:
        found = [ended]
    if not found:
        compare_final_error(examination)
    compared = max(so_far.compared, sum(len(trace.asked) for trace in examination.traces))
    new = (replace(each, where=shown(each.where)) for each in examination.differences)
    differences = tuple(dict.fromkeys((*so_far.differences, *new)))
    outcome = replace(
        so_far,
        compared=compared,
        differences=differences,
        notes=tuple(notes_of(examination, is_green=not found)),
    )
    first = found[0].moment if found else None
    doubts = tuple(each for moment, each in examination.doubts if first is None or moment < first)
    if first is not None and not doubts:
        doubts = uncertain_doubts(examination, found[0])
    if doubts:
        return replace(outcome, verdict=Verdict.CANNOT_VERIFY, doubts=doubts)
    if not found:
        if stand_ins is None:
            return outcome
        doubt = stand_ins.strict_doubt() if options.strict else None
        noted = replace(outcome, notes=(stand_ins.note(), *outcome.notes))
        return noted if doubt is None else _unsure(outcome, doubt)
    alike = _alike(found, examination)
    told = tuple(
        _told(each, replayer.runtime, picture.number, examination) for each in alike[: options.most]
    )
    outcome = replace(
        outcome,
        verdict=Verdict.DIVERGED,
        divergences=told,
        more_divergences=len(alike) - len(told),
    )
    doubt = stand_ins.doubt(found[0]) if stand_ins is not None else None
    return outcome if doubt is None else _unsure(outcome, doubt)


def _examined(
    replayer: Replayer,
    history: RecordedHistory,
    picture: _Picture,
    tree: RecordedTree,
    options: VerifyOptions,
    watch: Watch,
) -> tuple[Examination, list[Found]]:
    """Run the handler, and again where its code left the record by an operation that may be new.

    Code that has left its record can only be followed on a supposition: that the operation is the
    recorded one, changed, or that it is a new one. The one on which more is as recorded is told.
    """

    def run(borrows: bool) -> tuple[Examination, list[Found]]:
        examination = Examination(
            tree,
            picture.folded.execution,
            deep=options.deep,
            is_pruned=history.operations is not None,
            stand_ins=_stand_ins_of(history),
            borrows=borrows,
        )
        with watch(examination):
            replayer.replay(examination, history.arn or UNKNOWN_ARN)
        return examination, divergences_of(examination)

    examination, found = run(True)
    if not found or found[0].divergence.cause not in _MAY_BE_NEW:
        return examination, found
    other, others = run(False)
    if others and others[0].divergence.position == found[0].divergence.position:
        return (other, others) if other.matched > examination.matched else (examination, found)
    return examination, found


def _stand_ins_of(history: RecordedHistory) -> StandIns | None:
    if not history.is_redacted:
        return None
    from durable_core.verifying.stand_ins import stand_ins_of

    return stand_ins_of(history)


_MAY_BE_NEW: Final = (Cause.RENAMED, Cause.TYPE_CHANGED, Cause.REPLACED)


def _alike(found: Sequence[Found], examination: Examination) -> list[Divergence]:
    """Return the divergences, those that one line of code makes in several contexts as one."""
    alike: dict[Any, list[Divergence]] = {}
    for each in found:
        one = each.divergence
        sides = [
            line and replace(line, position="", status=None) for line in (one.expected, one.current)
        ]
        answered = examination.answered_by(one.position)
        place = one.where or one.position
        key = (one.cause, one.why, place, *sides, answered)
        alike.setdefault(key, []).append(one)
    return [
        replace(first, also_at=tuple(each.position for each in rest))
        for first, *rest in alike.values()
    ]


def _unsure(outcome: Verification, doubt: Doubt) -> Verification:
    return replace(outcome, verdict=Verdict.CANNOT_VERIFY, doubts=(doubt,))


def _told(
    divergence: Divergence, runtime: Runtime, invocation: int | None, examination: Examination
) -> Divergence:
    divergence = with_consequence(divergence, runtime, examination.answered_by(divergence.position))
    return replace(divergence, where=shown(divergence.where), invocation=invocation)


def _pictures(
    history: RecordedHistory, folded: Folded, options: VerifyOptions
) -> Iterator[_Picture]:
    """Return the records to compare with: as each invocation left it, then the whole."""
    invocations = folded.invocations
    if options.every_invocation:
        for each in invocations[:-1]:
            events = history.events[: each.stop]
            cut = fold(events)
            suspended = has_suspended(each, folded.execution.pauses)
            yield _Picture(cut, each.number, suspended)
    last = invocations[-1] if invocations else None
    suspended = last is not None and has_suspended(last, folded.execution.pauses)
    number = len(invocations) if options.every_invocation else None
    known = None if history.execution is None else history.execution.status
    proven = (known is not None and known.is_open) or (
        bool(history.events) and history.events[-1].event_type != INVOCATION_COMPLETED
    )
    is_open = folded.execution.status.is_open
    came_since = last is not None and suspended and last.stop < len(history.events)
    left_at = last.stop if last is not None and is_open and came_since else None
    yield _Picture(folded, number, suspended, proven, left_at)


def _end_divergence(examination: Examination, picture: _Picture) -> Found | None:
    """Return where the handler ends although the invocation is recorded to have suspended, or
    suspends although the execution is recorded to have succeeded."""
    root, status = examination.root, picture.folded.execution.status
    position = str(len(root.asked) + 1)
    if status is ExecutionStatus.SUCCEEDED and root.outcome is Outcome.SUSPENDED:
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
    label = f'{waiting[0].sub_type or waiting[0].type} "{waiting[0].name or ""}"'
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
        why = f"the code raises {root.error} where it is recorded to wait for {label}"
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


def function_of(arn: str | None) -> str | None:
    """Return the name of the function in an execution's ARN."""
    _, found, rest = (arn or "").partition(":function:")
    return rest.partition("/")[0].partition(":")[0] if found else None
