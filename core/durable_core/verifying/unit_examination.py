"""The units of a map or parallel under examination: which bodies run, and how each ended.

The driver of a runtime asks `examine_units` before any body runs, and `ended_units` after them.
No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from durable_core.ids import position_text
from durable_core.model import OperationStatus, UnitStatus
from durable_core.summaries.reading import read_summary
from durable_core.summaries.values import Summary
from durable_core.verifying.divergence import Found
from durable_core.verifying.examination import Examination
from durable_core.verifying.recorded_tree import unit_sub_type
from durable_core.verifying.recorded_units import (
    completion_reason,
    total_units,
    unit_records,
    unit_status,
)
from durable_core.verifying.runs import Outcome
from durable_core.verifying.traces import Answer, BatchAnswer, Ended, Trace, UnitAnswer
from durable_core.verifying.unit_divergence import BatchRun
from durable_core.verifying.verification import Cause, Divergence, Identity


def examine_units(
    examination: Examination, answer: Answer, names: list[str | None], *, is_flat: bool
) -> BatchAnswer:
    """Say what happens with each unit of a map or parallel, which was asked for before."""
    examination.moment += 1
    node, recorded = answer.node, answer.recorded
    operation = None if recorded is None else recorded.operation
    complete = operation is not None and operation.is_terminal
    summary = None
    if operation is not None and operation.status is OperationStatus.SUCCEEDED:
        summary = read_summary(operation.result)
    units = unit_records(node, summary, examination.first_unit)
    if node is not None and operation is not None and answer.identity.type == "CONTEXT":
        examination.batches.append(
            BatchRun(
                answer.path,
                answer.identity,
                units,
                total_units(summary),
                names,
                is_flat,
                examination.first_unit,
                answer.trace.asked[answer.asked_at].where,
                examination.moment,
            )
        )
    stripped = examination.is_stripped(answer.recorded)
    if stripped and (summary is None or (not summary.runs and names)):
        examination.doubt(
            f"the stored summary of {answer.identity} can't be read: which of its units ran "
            "isn't known",
            "verify against a history of the version that wrote it, or report its form",
            answer.path,
        )
    answers = tuple(
        _unit(examination, answer, summary, index, name, is_flat=is_flat, complete=complete)
        for index, name in enumerate(names)
    )
    return BatchAnswer(
        answers,
        completion_reason(summary),
        complete,
        stripped,
        answer.path,
        None if summary is None else summary.failures,
        answer.trace.asked[answer.asked_at].where,
    )


def ended_units(
    examination: Examination, found: BatchAnswer, ends: Sequence[Ended]
) -> tuple[UnitAnswer, ...]:
    """Return the units with how each ended, now that the bodies of those that run have.

    Where a summary only counts failures, more of them than it counts are a divergence.
    """
    for unit in found.units:
        if unit.runs and unit.node is not None:
            examination.hand(unit.trace.label, unit.node.recorded)
    units = tuple(
        replace(unit, status=_status_of_end(ended)) if unit.runs and not unit.status else unit
        for unit, ended in zip(found.units, ends, strict=True)
    )
    raised = [
        (unit, ended)
        for unit, ended in zip(found.units, ends, strict=True)
        if unit.runs and unit.status is None and ended.outcome is Outcome.RAISED
    ]
    if found.failures is not None and len(raised) > found.failures:
        _note_failures(examination, found, raised[0])
    return units


def _note_failures(
    examination: Examination, found: BatchAnswer, raised: tuple[UnitAnswer, Ended]
) -> None:
    examination.moment += 1
    unit = raised[0].trace
    why = (
        f"more units fail than the {found.failures:,} that are recorded to have: {unit.label} "
        f"raises {unit.error}"
    )
    examination.extra.append(
        Found(
            examination.moment,
            Divergence(
                position_text(unit.path),
                unit.label,
                Cause.RAISED,
                why,
                where=unit.raised_where or found.where,
                traceback=unit.traceback,
                escapes=unit.escapes,
            ),
        )
    )


def _unit(
    examination: Examination,
    answer: Answer,
    summary: Summary | None,
    index: int,
    name: str | None,
    *,
    is_flat: bool,
    complete: bool,
) -> UnitAnswer:
    number = examination.first_unit + index
    node = None if answer.node is None else answer.node.children.get(number)
    run = None if summary is None else summary.status_of(index)
    status = unit_status(node, run, complete=complete, summary=summary)
    path = (*answer.path, number)
    identity = Identity("CONTEXT", unit_sub_type(answer.identity.sub_type), name, is_flat)
    has_begun = node is not None
    has_ended = run is not None and run.status is not UnitStatus.STARTED
    if complete:
        runs = status in (UnitStatus.SUCCEEDED, UnitStatus.FAILED) or has_ended
    else:
        runs = has_begun
    trace = Trace(
        path,
        identity,
        node,
        not complete,
        status is UnitStatus.SUCCEEDED and complete,
        is_exact=answer.trace.is_exact and answer.is_known,
        where=answer.trace.asked[answer.asked_at].where,
        borrows=examination.borrows,
    )
    if runs:
        examination.follow(trace)
    dispatched = run.dispatched if run is not None else has_begun
    return UnitAnswer(trace, node, status, runs, dispatched and (runs or status is not None))


def _status_of_end(ended: Ended) -> UnitStatus:
    return UnitStatus.SUCCEEDED if ended.outcome is Outcome.RETURNED else UnitStatus.FAILED
