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
from durable_core.raised import told, told_as_recorded
from durable_core.sandbox.user_code import is_defect, raising_line, users_traceback
from durable_core.verifying.missing_values import NotDone
from durable_core.verifying.payloads import json_of, same_json
from durable_core.verifying.recorded_tree import identity_of
from durable_core.verifying.session import Examination
from durable_core.verifying.traces import Answer, Asked, Ended, Outcome, Trace, UnitAnswer


def note_end(examination: Examination, trace: Trace, ended: Ended) -> None:
    """Note how the body of a context, or the handler, ended."""
    if ended.error is not None:
        if is_defect(ended.error):
            examination.defect = examination.defect or ended.error
        examination.missing.doubt_type_error(ended.error)
    examination.moment += 1
    trace.ended_at = examination.moment
    trace.outcome = ended.outcome
    error = ended.error
    if error is not None:
        from asyncio import CancelledError  # where this is imported, a handler need not have run

        trace.escapes = not isinstance(error, Exception | CancelledError)
        trace.error, trace.traceback = told(error), users_traceback(error, chained=False).rstrip()
        trace.raised_where = raising_line(error)
    _compare_failure(examination, trace)


def _compare_failure(examination: Examination, trace: Trace) -> None:
    """Note where a context that is recorded to have failed doesn't, or fails with another error."""
    node = trace.node
    if node is None or node.recorded is None or node.path != trace.path:
        return
    operation = node.recorded.operation
    if operation.status is not OperationStatus.FAILED or operation.error is None:
        return
    identity = identity_of(node)
    if identity is None or examination.stand_ins is not None:
        return
    was, asked = told_as_recorded(operation.error), Asked(identity, trace.where)
    if trace.outcome is Outcome.RETURNED:
        if was.partition(":")[0] == _NOT_WRITTEN:
            return  # the body did return: its result could not be written
        what, now = "context end", "returns"
        examination.differ(what, trace.path, f"failed with {was}", now, asked, of_context=True)
    elif trace.outcome is Outcome.RAISED and trace.error != was:
        what = "context error"
        examination.differ(what, trace.path, was, trace.error, asked, of_context=True)


_NOT_WRITTEN: Final = "SerDesError"
"""What a context fails with, in every runtime, whose serdes raises."""


def compare_result(examination: Examination, answer: Answer, payload: str | None) -> None:
    """Note where the body of a completed context came to another result than is recorded."""
    asked = answer.trace.asked[answer.asked_at]
    _compare_payload(examination, answer.path, answer.recorded, payload, asked)


def compare_unit_result(examination: Examination, unit: UnitAnswer, payload: str | None) -> None:
    """Note where the body of a unit with an operation of its own came to another result."""
    if unit.node is None or (identity := identity_of(unit.node)) is None:
        return
    asked = Asked(identity, unit.trace.where)
    _compare_payload(examination, unit.trace.path, unit.node.recorded, payload, asked)


def compare_flat_results(
    examination: Examination,
    answer: Answer,
    recorded: Mapping[int, object],
    current: Mapping[int, object],
) -> None:
    """Note where units without operations of their own came to other results, by their index.

    Theirs are recorded in the result of the map or parallel; compared is what has a JSON form.
    """
    if answer.node is None or examination.stand_ins is not None:
        return
    asked = answer.trace.asked[answer.asked_at]
    for index in sorted(recorded.keys() & current.keys()):
        number = examination.first_unit + index
        unit = answer.node.children.get(number)
        if unit is not None and unit.recorded is not None:
            continue
        with examination.missing.comparing():
            was, now = json_of(recorded[index]), json_of(current[index])
        if was is not None and now is not None and not same_json(was, now):
            path = (*answer.path, number)
            examination.differ("unit result", path, was, now, asked, of_context=True)


def returned(ends: Sequence[Ended]) -> dict[int, object]:
    """Return what bodies returned, by their index: of those that did."""
    return {
        index: ended.value for index, ended in enumerate(ends) if ended.outcome is Outcome.RETURNED
    }


def _compare_payload(
    examination: Examination,
    path: Path,
    recorded: Recorded | None,
    payload: str | None,
    asked: Asked,
) -> None:
    operation = None if recorded is None else recorded.operation
    if operation is None or operation.status is not OperationStatus.SUCCEEDED:
        return
    if recorded is not None and recorded.is_lost:
        return
    if examination.stand_ins is not None and not examination.stand_ins.compares(operation):
        return
    if not same_json(operation.result, payload):
        what = "context result"
        examination.differ(what, path, operation.result, payload, asked, of_context=True)


def compare_final_result(examination: Examination, payload: str | NotDone | None) -> None:
    """Note where the handler returned something else than is recorded."""
    if examination.is_refused:
        return
    facts, stand_ins = examination.facts, examination.stand_ins
    if stand_ins is not None and not stand_ins.compares_result(facts.result):
        return
    if facts.status is ExecutionStatus.SUCCEEDED:
        if isinstance(payload, NotDone):
            examination.remark(f"the result of the handler is not comparable: {payload.why}")
        elif facts.result is not None and not same_json(facts.result, payload):
            examination.differ("final result", None, facts.result, payload)
    elif facts.status is ExecutionStatus.FAILED:
        error = facts.error
        was = told_as_recorded(error) if error is not None else "an error"
        examination.differ("end", None, f"failed with {was}", "returns")


def compare_final_error(examination: Examination) -> None:
    """Note where the handler raised another error than the execution is recorded to have failed
    with."""
    error, now = examination.facts.error, examination.root.error
    if error is None or examination.facts.status is not ExecutionStatus.FAILED:
        return
    if (
        examination.is_refused
        or examination.root.outcome is not Outcome.RAISED
        or examination.stand_ins is not None
    ):
        return
    was = told_as_recorded(error)
    if was != now:
        examination.differ("final error", None, was, now)
