"""What a replay does with a context that the code asks for, decided once for every runtime.

A driver asks with `plan_context` before anything happens, carries out the plan, and asks again with
`after_body` and `settled` what the context comes to. The same for each unit of a map or parallel.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from durable_core.frozen import dataclass
from durable_core.ids import Path
from durable_core.limits import LIMITS
from durable_core.model import OperationStatus, OperationType
from durable_core.sizes import utf8_bytes
from durable_core.verifying.differences import compare_result, compare_unit_result
from durable_core.verifying.missing_values import NotDone, is_unknown
from durable_core.verifying.recorded_tree import Node
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import (
    BodyEnd,
    BodyOutcome,
    ContextTrace,
    Resolution,
    UnitPlan,
    status_of,
)

Written = Callable[[], str | NotDone | None]
"""Writes what a body returned as its runtime would: its payload, or NotDone where that can't be
had. A body is compared by what it asks for; its value is a difference only."""


class AnswerFrom(Enum):
    """What a context comes to."""

    RECORD = auto()
    """What is recorded of it: its result or its error."""
    BODY = auto()
    """What its body came to in this run."""
    NOTHING = auto()
    """It isn't recorded any further: the code waits there for ever."""


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """What a driver does with a context or a unit: whether its body runs, and what answers then.

    `trace` is where its body asks. None: the context is beyond what is recorded, and the driver
    doesn't enter it.
    """

    trace: ContextTrace | None
    runs_body: bool
    answer_from: AnswerFrom


_NOT_ENTERED = ContextPlan(None, runs_body=False, answer_from=AnswerFrom.NOTHING)


def is_entered(answer: Resolution) -> bool:
    """Return True where the body of a context may run: not beyond what is recorded."""
    return answer.is_known or answer.identity.virtual


def plan_context(
    session: ReplaySession, answer: Resolution, *, summarizes: bool = False
) -> ContextPlan:
    """Return what happens with a context that was asked for.

    `summarizes`: its code stores a summary of its own in the place of a large result.
    """
    if not is_entered(answer):
        return _NOT_ENTERED
    trace = _trace_of(session, answer)
    recorded = answer.recorded
    if answer.is_terminal and not _looks_inside(session, answer, summarizes=summarizes):
        return ContextPlan(trace, False, AnswerFrom.RECORD)
    source = AnswerFrom.BODY
    if recorded is not None and recorded.operation.type is OperationType.CONTEXT:
        if not answer.is_terminal:
            source = AnswerFrom.NOTHING
        elif not session.is_stripped(recorded):
            source = AnswerFrom.RECORD
    return ContextPlan(trace, True, source)


def needs_body(session: ReplaySession, answer: Resolution, value: object) -> bool:
    """Return True where the body has to run since the recorded value isn't to be had."""
    return is_unknown(value) and _can_look_inside(session, answer)


def after_body(
    session: ReplaySession,
    answer: Resolution,
    plan: ContextPlan,
    ended: BodyOutcome,
    written: Written | None,
) -> AnswerFrom:
    """Return what a context comes to whose body has run, and note where that differs.

    `written` None: the value is compared elsewhere, unit by unit.
    """
    if plan.answer_from is AnswerFrom.RECORD:
        if written is None or ended.outcome is not BodyEnd.RETURNED:
            return AnswerFrom.RECORD
        payload = written()
        if isinstance(payload, NotDone):
            return AnswerFrom.RECORD
        if _is_summarized(session, answer, payload):
            return AnswerFrom.BODY
        compare_result(session, answer, payload)
        return AnswerFrom.RECORD
    if ended.outcome is BodyEnd.SUSPENDED:
        return AnswerFrom.NOTHING
    return plan.answer_from


def settled(
    session: ReplaySession, path: Path, identity: object, value: object, ended: BodyOutcome
) -> object:
    """Return the value of a context or unit that its record answers: from its body where it isn't
    to be had otherwise."""
    if not is_unknown(value) or ended.outcome is not BodyEnd.RETURNED:
        return value
    session.missing.rebuilt(path, identity, ended.value)
    return ended.value


def runs_units(session: ReplaySession, answer: Resolution, *, lacks_values: bool) -> bool:
    """Return True where the units of a map or parallel run, of those that have begun.
    `lacks_values`: its result is stored, and a value in it isn't to be had."""
    looks = _looks_inside(session, answer)
    return looks or not answer.is_terminal or lacks_values


def plan_unit(session: ReplaySession, unit: UnitPlan) -> ContextPlan:
    """Return what happens with a unit that runs."""
    recorded = None if unit.node is None else unit.node.recorded
    has_value = (
        recorded is not None
        and recorded.operation.is_terminal
        and not unit.trace.is_virtual
        and not session.is_stripped(recorded)
    )
    source = AnswerFrom.RECORD if has_value else AnswerFrom.BODY
    return ContextPlan(unit.trace, _looks_inside_unit(session, unit), source)


def compare_unit(
    session: ReplaySession, unit: UnitPlan, ended: BodyOutcome, written: Written
) -> None:
    """Note where the body of a unit came to another result than its own record holds."""
    if ended.outcome is BodyEnd.RETURNED:
        payload = written()
        if not isinstance(payload, NotDone):
            compare_unit_result(session, unit, payload)


def _is_summarized(session: ReplaySession, answer: Resolution, payload: str | None) -> bool:
    """Return True, and note it, when a summary of the user's own must be what is stored.

    No event says so; but what the body came to is over the limit, and what is stored isn't it.
    """
    operation = None if answer.recorded is None else answer.recorded.operation
    if payload is None or operation is None or operation.result in (None, payload):
        return False
    if utf8_bytes(payload) <= LIMITS.payload_bytes:
        return False
    session.summarized.add(answer.path)
    return True


# -- whose bodies run ----------------------------------------------------------------------------


def _trace_of(session: ReplaySession, answer: Resolution) -> ContextTrace:
    """Return the trace for the body of a context that the code asks for."""
    node, recorded = answer.node, answer.recorded
    is_context = node is not None and (
        answer.identity.virtual
        or (recorded is not None and recorded.operation.type is OperationType.CONTEXT)
    )
    around = answer.trace
    if answer.identity.virtual:
        is_open, succeeded = around.is_open, False
    else:
        is_open = node is not None and not node.is_terminal
        succeeded = status_of(node) == OperationStatus.SUCCEEDED
    is_new = not is_context and not answer.identity.virtual
    return session.follow(
        ContextTrace(
            answer.path,
            answer.identity,
            node if is_context else None,
            is_open and not is_new,
            succeeded and not is_new,
            is_exact=not is_new and around.is_exact,
            where=around.asked[answer.asked_at].where,
            host=around if is_new else None,
            host_index=answer.asked_at,
            substitutes=session.substitutes,
        )
    )


def _can_look_inside(session: ReplaySession, answer: Resolution) -> bool:
    """Return True where the operations of a completed context are in the source: from a state
    the service leaves them out."""
    return not session.is_pruned or answer.node is None or bool(answer.node.children)


def _looks_inside(session: ReplaySession, answer: Resolution, *, summarizes: bool = False) -> bool:
    """Return True when the body of a completed context is to run.

    `summarizes`: its code stores a summary of its own in the place of a large result. Then no
    event says whether what is stored is one, and its body runs for us to know whether that
    matters; see `found`.
    """
    node, recorded = answer.node, answer.recorded
    if session.is_stripped(recorded):
        return True
    if not _can_look_inside(session, answer):
        session.unlooked += 1
        return False
    if node is None or recorded is None:
        return False
    if recorded.operation.type is not OperationType.CONTEXT:
        return True  # the code has left the record, and is followed to tell the cause
    if _enters(session, node):
        return True
    if summarizes and recorded.operation.status is OperationStatus.SUCCEEDED:
        details = recorded.operation.context_details
        if details is None or details.replay_children is None:
            session.unclear[answer.path] = answer.identity
            return recorded.operation.id not in session.stored
    return False


def _looks_inside_unit(session: ReplaySession, unit: UnitPlan) -> bool:
    """Return True when the body of a unit is to run, which the map or parallel has begun."""
    node = unit.node
    if node is None or not session.is_answered(node):
        return True
    if session.is_pruned and not node.children:
        session.unlooked += 1
        return False
    return _enters(session, node)


def _enters(session: ReplaySession, node: Node) -> bool:
    """Return True for a completed context whose body runs although a replay answers it."""
    assert node.recorded is not None
    operation_id = node.recorded.operation.id
    if operation_id in session.bodies:
        session.entered.setdefault(operation_id, session.moment)
        return True
    session.answered[operation_id] = node.path
    return False
