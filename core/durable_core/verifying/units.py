"""The units of a map or parallel under session: which bodies run, and how each ended.

The driver of a runtime asks `plan_units` before any body runs, and `rebuilt_units` after them.
No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durable_core.fold import Recorded
from durable_core.frozen import dataclass
from durable_core.ids import Path, position_text
from durable_core.model import CompletionReason, ErrorObject, OperationStatus, UnitStatus
from durable_core.summaries.reading import read_summary
from durable_core.summaries.values import Summary, SummaryForm, UnitRun
from durable_core.verifying.divergence import Found
from durable_core.verifying.missing_values import TRUNCATED, UnknownValue
from durable_core.verifying.recorded_tree import Node, unit_sub_type
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import (
    BodyEnd,
    BodyOutcome,
    ContextTrace,
    Resolution,
    UnitPlan,
    UnitsPlan,
)
from durable_core.verifying.unit_divergence import BatchRun, UnitRecord
from durable_core.verifying.verification import Cause, Divergence, Identity


def plan_units(
    session: ReplaySession,
    answer: Resolution,
    names: list[str | None],
    *,
    is_flat: bool,
    is_unread: bool = False,
) -> UnitsPlan:
    """Say what happens with each unit of a map or parallel, which was asked for before.

    `is_unread`: it has completed, but its result isn't to be had. Then FLAT units all run, and how
    they ended is for their bodies to say; see `all_returned`.
    """
    session.moment += 1
    node, recorded = answer.node, answer.recorded
    operation = None if recorded is None else recorded.operation
    complete = operation is not None and operation.is_terminal
    summary = None
    if operation is not None and operation.status is OperationStatus.SUCCEEDED:
        summary = read_summary(operation.result)
    units = unit_records(node, summary, session.first_unit)
    where = answer.trace.asked[answer.asked_at].where
    if node is not None and operation is not None and answer.identity.type == "CONTEXT":
        run = BatchRun(
            answer.path,
            answer.identity,
            units,
            total_units(summary),
            names,
            is_flat,
            session.first_unit,
            where,
            session.moment,
        )
        session.batches.append(run)
    stripped = session.is_stripped(recorded)
    if stripped and (summary is None or (not summary.runs and names)):
        _doubt_summary(session, answer)
    answers = tuple(
        _unit(
            session,
            answer,
            summary,
            index,
            name,
            is_flat=is_flat,
            complete=complete,
            runs_anyway=is_flat and is_unread,
        )
        for index, name in enumerate(names)
    )
    return UnitsPlan(
        answers,
        completion_reason(summary),
        complete,
        stripped,
        answer.path,
        None if summary is None else summary.failures,
        where,
    )


def _doubt_summary(session: ReplaySession, answer: Resolution) -> None:
    if answer.recorded is None or answer.recorded.is_lost:
        return  # there is none to read
    session.doubt(
        f"the stored summary of {answer.identity} can't be read: which of its units ran isn't "
        "known",
        "give a history as the service returns it, of a map or parallel of an SDK that durable "
        "knows",
        answer.path,
    )


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What a unit is in the result of a map or parallel that is rebuilt: its frozen status, the
    value of this run, or the recorded error, or what its body raised in this run."""

    index: int
    status: UnitStatus
    value: Any = None
    error: ErrorObject | None = None
    raised: BaseException | None = None


def rebuilt_units(
    session: ReplaySession, found: UnitsPlan, ends: Sequence[BodyOutcome], *, is_unread: bool
) -> list[UnitResult] | None:
    """Return the units that the result of a map or parallel lists, from how their bodies ended.

    None: it can't be known, since it hasn't completed, a value that it holds isn't to be had, or
    (`is_unread`) which units ended.
    """
    if not found.is_complete or (is_unread and not all_returned(found, ends)):
        return None
    units = list(zip(_ended_units(session, found, ends), ends, strict=True))
    if found.is_stripped and any(
        unit.status is UnitStatus.SUCCEEDED and ended.outcome is not BodyEnd.RETURNED
        for unit, ended in units
    ):
        return None
    return [
        _result_of(index, unit, ended)
        for index, (unit, ended) in enumerate(units)
        if unit.is_listed
    ]


def _result_of(index: int, unit: UnitPlan, ended: BodyOutcome) -> UnitResult:
    if unit.status is UnitStatus.SUCCEEDED:
        return UnitResult(index, unit.status, ended.value)
    if unit.status is not UnitStatus.FAILED:
        return UnitResult(index, unit.status or UnitStatus.STARTED)
    recorded = None if unit.node is None else unit.node.recorded
    error = None if recorded is None else recorded.operation.error
    return UnitResult(index, unit.status, error=error, raised=ended.error)


def _ended_units(
    session: ReplaySession, found: UnitsPlan, ends: Sequence[BodyOutcome]
) -> tuple[UnitPlan, ...]:
    """Return the units with how each ended, now that the bodies of those that run have.

    Where a summary only counts failures, more of them than it counts are a divergence.
    """
    for unit in found.units:
        if unit.runs and unit.node is not None and unit.node.recorded is not None:
            session.hand(unit.trace.label, unit.node.recorded)
            if found.is_stripped:
                _doubt_lost_error(session, unit, unit.node.recorded)
    units = tuple(
        replace(unit, status=_status_of_end(ended)) if unit.runs and not unit.status else unit
        for unit, ended in zip(found.units, ends, strict=True)
    )
    raised = [
        (unit, ended)
        for unit, ended in zip(found.units, ends, strict=True)
        if unit.runs and unit.status is None and ended.outcome is BodyEnd.RAISED
    ]
    if found.failures is not None and len(raised) > found.failures:
        _note_failures(session, found, raised[0])
    return units


def _doubt_contradiction(
    session: ReplaySession, node: Node | None, run: UnitRun | None, path: Path
) -> None:
    """Note that a unit ended in the stored result otherwise than in its own record."""
    operation = None if node is None or node.recorded is None else node.recorded.operation
    if operation is None or run is None or run.status in (None, UnitStatus.STARTED):
        return
    if operation.status.text != str(run.status):
        session.doubt(
            f"the unit is {run.status} in the stored result of its map or parallel, and "
            f"{operation.status} in its own record",
            "give a history as the service returns it",
            path,
        )


def all_returned(found: UnitsPlan, ends: Sequence[BodyOutcome]) -> bool:
    """Return True where every unit has a value: then the result is known without the record."""
    return all(
        unit.status in (None, UnitStatus.SUCCEEDED) and ended.outcome is BodyEnd.RETURNED
        for unit, ended in zip(found.units, ends, strict=True)
    )


def doubt_form(session: ReplaySession, answer: Resolution) -> None:
    """Note that what a map or parallel stored by the default SerDes isn't a result of one."""
    result = None if answer.recorded is None else answer.recorded.operation.result
    if read_summary(result) is None:
        what = "is not one of a map or parallel" if result else "isn't in the history"
        session.doubt(
            f"the recorded result of {answer.identity} {what}",
            "give a history as the service returns it; if the version that wrote it had a SerDes "
            "of its own there, a replay by this one fails there",
            answer.path,
        )


def lost_unit(session: ReplaySession, unit: UnitPlan) -> UnknownValue | None:
    """Return what stands for the result of a unit that the history leaves out, if it does."""
    recorded = None if unit.node is None else unit.node.recorded
    if recorded is None or not recorded.is_lost:
        return None
    if recorded.operation.status is not OperationStatus.SUCCEEDED:
        return None
    why = f"the payload of {unit.trace.label} was left out of the history (Truncated)"
    return session.missing.unknown(unit.trace.path, unit.trace.identity, why, TRUNCATED)


def _doubt_lost_error(session: ReplaySession, unit: UnitPlan, recorded: Recorded) -> None:
    if recorded.is_lost and recorded.operation.status is OperationStatus.FAILED:
        why = f"the error of {unit.trace.label} was left out of the history (Truncated)"
        session.doubt(why, TRUNCATED, unit.trace.path)


def _note_failures(
    session: ReplaySession, found: UnitsPlan, raised: tuple[UnitPlan, BodyOutcome]
) -> None:
    session.moment += 1
    unit = raised[0].trace
    why = (
        f"more units fail than the {found.failures:,} that are recorded to have: {unit.label} "
        f"raises {unit.error}"
    )
    session.extra.append(
        Found(
            session.moment,
            Divergence(
                position_text(unit.path),
                unit.label,
                Cause.RAISED,
                why,
                where=unit.raised_where or found.where,
                traceback=unit.traceback,
                escapes=unit.escapes,
            ),
            unit.path,
        )
    )


def _unit(
    session: ReplaySession,
    answer: Resolution,
    summary: Summary | None,
    index: int,
    name: str | None,
    *,
    is_flat: bool,
    complete: bool,
    runs_anyway: bool,
) -> UnitPlan:
    number = session.first_unit + index
    node = None if answer.node is None else answer.node.children.get(number)
    run = None if summary is None else summary.status_of(index)
    status = unit_status(node, run, complete=complete, summary=summary)
    path = (*answer.path, number)
    _doubt_contradiction(session, node, run, path)
    identity = Identity("CONTEXT", unit_sub_type(answer.identity.sub_type), name, is_flat)
    has_begun = node is not None
    has_ended = run is not None and run.status is not UnitStatus.STARTED
    if runs_anyway:
        runs, status = True, None
    elif complete:
        runs = status in (UnitStatus.SUCCEEDED, UnitStatus.FAILED) or has_ended
    else:
        runs = has_begun or is_flat  # of a FLAT one without operations nothing is recorded
    has_closed = complete or (node is not None and node.is_terminal)
    trace = ContextTrace(
        path,
        identity,
        node,
        not has_closed,
        status is UnitStatus.SUCCEEDED and has_closed,
        is_exact=answer.trace.is_exact and answer.is_known,
        where=answer.trace.asked[answer.asked_at].where,
        substitutes=session.substitutes,
    )
    if runs:
        session.follow(trace)
    dispatched = run.dispatched if run is not None else has_begun or runs_anyway
    return UnitPlan(trace, node, status, runs, dispatched and (runs or status is not None))


def _status_of_end(ended: BodyOutcome) -> UnitStatus:
    return UnitStatus.SUCCEEDED if ended.outcome is BodyEnd.RETURNED else UnitStatus.FAILED


def unit_records(node: Node | None, summary: Summary | None, first: int) -> dict[int, UnitRecord]:
    """Return what is recorded of each unit, by index."""
    units: dict[int, UnitRecord] = {}
    if node is not None:
        for number, child in node.children.items():
            flat = child.recorded is None
            name = None if child.recorded is None else (child.recorded.operation.name or "")
            units[number - first] = UnitRecord(name, flat)
    if summary is not None:
        for index, name in summary.names.items():
            known = units.get(index, UnitRecord())
            if known.name is None and name is not None:
                units[index] = UnitRecord(name, known.is_flat)
    return units


_LISTS_ALL = frozenset(
    {SummaryForm.DOTNET, SummaryForm.COMPACT, SummaryForm.JAVA, SummaryForm.JAVASCRIPT}
)


def total_units(summary: Summary | None) -> int | None:
    """Return how many units there were, None where only those that were started are listed."""
    if summary is None or summary.form is SummaryForm.EMPTY:
        return None
    if summary.form in _LISTS_ALL or summary.reason == CompletionReason.ALL_COMPLETED:
        return summary.total
    return None


def unit_status(
    node: Node | None, run: UnitRun | None, *, complete: bool, summary: Summary | None
) -> UnitStatus | None:
    """Return how a unit ended; None where nothing but its body tells."""
    if run is not None and run.status is not None:
        return run.status
    operation = None if node is None or node.recorded is None else node.recorded.operation
    if operation is not None:
        if operation.status is OperationStatus.SUCCEEDED:
            return UnitStatus.SUCCEEDED
        return UnitStatus.FAILED if operation.is_terminal else UnitStatus.STARTED
    if run is not None:
        return UnitStatus.SUCCEEDED if summary is not None and summary.failures == 0 else None
    if summary is None and complete and node is not None:
        return UnitStatus.FAILED
    return UnitStatus.STARTED if node is not None else None


def completion_reason(summary: Summary | None) -> CompletionReason | None:
    """Return why the map or parallel completed, where that is known."""
    try:
        return CompletionReason(summary.reason or "") if summary is not None else None
    except ValueError:
        return None
