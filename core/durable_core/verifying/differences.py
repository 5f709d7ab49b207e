"""How the bodies of contexts and the handler ended, against how it is recorded that they did.

Where one that is recorded to have succeeded raises, the code has diverged (`divergence`); all else
is told as a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from durable_core.fold import Recorded
from durable_core.ids import Path
from durable_core.model import ExecutionStatus, OperationStatus
from durable_core.raised import format_exception, told_as_recorded
from durable_core.sandbox.user_code import is_defect, raising_line, users_traceback
from durable_core.verifying.missing_values import NotDone
from durable_core.verifying.payloads import json_of, same_json
from durable_core.verifying.recorded_tree import identity_of
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import (
    BodyEnd,
    BodyOutcome,
    ContextTrace,
    RequestedOperation,
    Resolution,
    UnitPlan,
)


def note_end(session: ReplaySession, trace: ContextTrace, ended: BodyOutcome) -> None:
    """Note how the body of a context, or the handler, ended."""
    if ended.error is not None:
        if is_defect(ended.error):
            session.defect = session.defect or ended.error
        session.missing.doubt_type_error(ended.error)
    session.moment += 1
    trace.ended_at = session.moment
    trace.outcome = ended.outcome
    error = ended.error
    if error is not None:
        from asyncio import CancelledError  # where this is imported, a handler need not have run

        trace.escapes = not isinstance(error, Exception | CancelledError)
        trace.error, trace.traceback = (
            format_exception(error),
            users_traceback(error, chained=False).rstrip(),
        )
        trace.raised_where = raising_line(error)
    _compare_failure(session, trace)


def _compare_failure(session: ReplaySession, trace: ContextTrace) -> None:
    """Note where a context that is recorded to have failed doesn't, or fails with another error."""
    node = trace.node
    if node is None or node.recorded is None or node.path != trace.path:
        return
    operation = node.recorded.operation
    if operation.status is not OperationStatus.FAILED or operation.error is None:
        return
    identity = identity_of(node)
    if identity is None or session.stand_ins is not None:
        return
    was, asked = told_as_recorded(operation.error), RequestedOperation(identity, trace.where)
    if trace.outcome is BodyEnd.RETURNED:
        if was.partition(":")[0] == _NOT_WRITTEN:
            return  # the body did return: its result could not be written
        what, now = "context end", "returns"
        session.differ(what, trace.path, f"failed with {was}", now, asked, of_context=True)
    elif trace.outcome is BodyEnd.RAISED and trace.error != was:
        what = "context error"
        session.differ(what, trace.path, was, trace.error, asked, of_context=True)


_NOT_WRITTEN: Final = "SerDesError"
"""What a context fails with, in every runtime, whose serdes raises."""


def compare_result(session: ReplaySession, answer: Resolution, payload: str | None) -> None:
    """Note where the body of a completed context came to another result than is recorded."""
    asked = answer.trace.asked[answer.asked_at]
    _compare_payload(session, answer.path, answer.recorded, payload, asked)


def compare_unit_result(session: ReplaySession, unit: UnitPlan, payload: str | None) -> None:
    """Note where the body of a unit with an operation of its own came to another result."""
    if unit.node is None or (identity := identity_of(unit.node)) is None:
        return
    asked = RequestedOperation(identity, unit.trace.where)
    _compare_payload(session, unit.trace.path, unit.node.recorded, payload, asked)


def compare_flat_results(
    session: ReplaySession,
    answer: Resolution,
    recorded: Mapping[int, object],
    current: Mapping[int, object],
) -> None:
    """Note where units without operations of their own came to other results, by their index.

    Theirs are recorded in the result of the map or parallel; compared is what has a JSON form.
    """
    if answer.node is None or session.stand_ins is not None:
        return
    asked = answer.trace.asked[answer.asked_at]
    for index in sorted(recorded.keys() & current.keys()):
        number = session.first_unit + index
        unit = answer.node.children.get(number)
        if unit is not None and unit.recorded is not None:
            continue
        with session.missing.comparing():
            was, now = json_of(recorded[index]), json_of(current[index])
        if was is not None and now is not None and not same_json(was, now):
            path = (*answer.path, number)
            session.differ("unit result", path, was, now, asked, of_context=True)


def returned(ends: Sequence[BodyOutcome]) -> dict[int, object]:
    """Return what bodies returned, by their index: of those that did."""
    return {
        index: ended.value for index, ended in enumerate(ends) if ended.outcome is BodyEnd.RETURNED
    }


def _compare_payload(
    session: ReplaySession,
    path: Path,
    recorded: Recorded | None,
    payload: str | None,
    asked: RequestedOperation,
) -> None:
    operation = None if recorded is None else recorded.operation
    if operation is None or operation.status is not OperationStatus.SUCCEEDED:
        return
    if recorded is not None and recorded.is_lost:
        return
    if session.stand_ins is not None and not session.stand_ins.compares(operation):
        return
    if not same_json(operation.result, payload):
        what = "context result"
        session.differ(what, path, operation.result, payload, asked, of_context=True)


def compare_final_result(session: ReplaySession, payload: str | NotDone | None) -> None:
    """Note where the handler returned something else than is recorded."""
    if session.is_refused:
        return
    facts, stand_ins = session.facts, session.stand_ins
    if stand_ins is not None and not stand_ins.compares_result(facts.result):
        return
    if facts.status is ExecutionStatus.SUCCEEDED:
        if isinstance(payload, NotDone):
            session.note(f"the result of the handler is not comparable: {payload.why}")
        elif facts.result is not None and not same_json(facts.result, payload):
            session.differ("final result", None, facts.result, payload)
    elif facts.status is ExecutionStatus.FAILED:
        error = facts.error
        was = told_as_recorded(error) if error is not None else "an error"
        session.differ("end", None, f"failed with {was}", "returns")


def compare_final_error(session: ReplaySession) -> None:
    """Note where the handler raised another error than the execution is recorded to have failed
    with."""
    error, now = session.facts.error, session.root.error
    if error is None or session.facts.status is not ExecutionStatus.FAILED:
        return
    if (
        session.is_refused
        or session.root.outcome is not BodyEnd.RAISED
        or session.stand_ins is not None
    ):
        return
    was = told_as_recorded(error)
    if was != now:
        session.differ("final error", None, was, now)
