"""What each legal update makes of its operation, as values: the operation, its event, its timers.

Nothing is written here and nothing is refused: `validation` has looked at the update before, and
`simulated` writes the changes when the whole request has been accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from durable_core.events import seconds_after
from durable_core.frozen import dataclass
from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ContextDetails,
    ErrorObject,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    WaitDetails,
)
from durable_core.service.deterministic_ids import made_token, made_uuid
from durable_core.service.events import (
    NO_DETAILS,
    Details,
    callback_started_details,
    error_carrier,
    invoke_started_details,
    outcome_details,
    step_details,
    wait_started_details,
)
from durable_core.service.values import (
    Answer,
    CallbackCreated,
    Effect,
    InvokeRequested,
    InvokeTarget,
    Resolver,
)
from durable_core.transitions import MOVES

_A, _S = OperationAction, OperationStatus


# -- what rings when its time has come ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WaitDue:
    """A wait is over."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The next attempt of a step may begin."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class CallbackDue:
    """A callback has got no answer, or no heartbeat, for too long."""

    operation_id: str
    heartbeat: bool = False


@dataclass(frozen=True, slots=True)
class InvokeAgain:
    """The invocation that came to nothing is tried again."""


@dataclass(frozen=True, slots=True)
class ExecutionDue:
    """The execution has run for too long."""


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer from outside arrives."""

    answer: Answer


Alarm = WaitDue | RetryDue | CallbackDue | InvokeAgain | ExecutionDue | Scripted


@dataclass(frozen=True, slots=True)
class Change:
    """What one update does. `events` are pairs of type and details, in order."""

    operation: Operation
    events: tuple[tuple[str, Details], ...]
    alarms: tuple[tuple[datetime, Alarm], ...] = ()
    effect: Effect | None = None
    heartbeat_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a change may depend on beside the update and its operation."""

    now: datetime
    execution_arn: str
    target_of: Resolver


def _moved(
    update: OperationUpdate, current: Operation | None, now: datetime, **details: Any
) -> Operation:
    """Return the operation in its new status, with its new details.

    Written out, and not with `replace`: this is the inner loop of every simulation.
    """
    if current is None:
        status = MOVES[update.type, None, update.action]
        return Operation(
            id=update.id,
            type=update.type,
            status=status,
            start_timestamp=now,
            parent_id=update.parent_id,
            name=update.name,
            sub_type=update.sub_type,
            end_timestamp=now if status.is_terminal else None,
            **details,
        )
    status = MOVES[update.type, current.status, update.action]
    return Operation(
        id=current.id,
        type=current.type,
        status=status,
        start_timestamp=current.start_timestamp,
        parent_id=current.parent_id,
        name=current.name,
        sub_type=current.sub_type,
        end_timestamp=now if status.is_terminal else None,
        **details,
    )


def _context(update: OperationUpdate, current: Operation | None, setting: Setting) -> Change:
    if update.action is _A.START:
        opened = _moved(update, current, setting.now, context_details=ContextDetails())
        return Change(opened, (("ContextStarted", NO_DETAILS),))
    failed = update.action is _A.FAIL
    details = ContextDetails(bool(update.replay_children), update.payload, update.error)
    event = "ContextFailed" if failed else "ContextSucceeded"
    carried = outcome_details(update.payload, update.error, failed=failed)
    ended = _moved(update, current, setting.now, context_details=details)
    return Change(ended, ((event, carried),))


def _step(update: OperationUpdate, current: Operation | None, setting: Setting) -> Change:
    before = current.step_details if current is not None else None
    attempt = (before.attempt or 0) if before is not None else 0
    if update.action is _A.START:
        # What the last attempt left stays until the next one ends: a poll resumes from it even
        # when the invocation dies in between.
        kept = replace(before, next_attempt_timestamp=None) if before else StepDetails(attempt=0)
        started = _moved(update, current, setting.now, step_details=kept)
        return Change(started, (("StepStarted", NO_DETAILS),))
    attempt += 1
    delay = update.next_attempt_delay_seconds if update.action is _A.RETRY else None
    due = None if delay is None else seconds_after(setting.now, delay)
    # A retry without an error is a poll that goes on: an attempt that succeeded.
    failed = update.action is _A.FAIL or (delay is not None and update.error is not None)
    carried = step_details(
        update.payload, update.error, attempt, failed=failed, delay_seconds=delay
    )
    details = StepDetails(attempt, due, update.payload, update.error)
    return Change(
        _moved(update, current, setting.now, step_details=details),
        (("StepFailed" if failed else "StepSucceeded", carried),),
        () if due is None else ((due, RetryDue(update.id)),),
    )


def _wait(update: OperationUpdate, current: Operation | None, setting: Setting) -> Change:
    if current is not None:
        kept = current.wait_details
        carried = {"Error": error_carrier(update.error)} if update.error else NO_DETAILS
        cancelled = _moved(update, current, setting.now, wait_details=kept)
        return Change(cancelled, (("WaitCancelled", carried),))
    seconds = update.wait_seconds or 0
    end = seconds_after(setting.now, seconds)
    return Change(
        _moved(update, current, setting.now, wait_details=WaitDetails(end)),
        (("WaitStarted", wait_started_details(seconds, end)),),
        ((end, WaitDue(update.id)),),
    )


def _callback(update: OperationUpdate, current: Operation | None, setting: Setting) -> Change:
    callback_id = made_token("callback", setting.execution_arn, update.id)
    timeout, heartbeat = update.callback_timeout_seconds, update.callback_heartbeat_seconds
    alarms: list[tuple[datetime, Alarm]] = []
    if timeout:
        alarms.append((seconds_after(setting.now, timeout), CallbackDue(update.id)))
    if heartbeat:
        due = CallbackDue(update.id, heartbeat=True)
        alarms.append((seconds_after(setting.now, heartbeat), due))
    details = CallbackDetails(callback_id)
    return Change(
        _moved(update, current, setting.now, callback_details=details),
        (("CallbackStarted", callback_started_details(callback_id, timeout, heartbeat)),),
        tuple(alarms),
        CallbackCreated(update.id, callback_id, update.name, update.parent_id),
        heartbeat or 0,
    )


def _invoke(update: OperationUpdate, current: Operation | None, setting: Setting) -> Change:
    options = update.chained_invoke
    assert options is not None  # validation has seen to it
    target = setting.target_of(options.function_name)
    if target.error is not None:
        return _unresolved(update, options, target.error, setting)
    arn = _execution_arn_of(options, target, update, setting) if target.durable else None
    name, tenant = options.function_name, options.tenant_id
    carried = invoke_started_details(name, tenant, update.payload, target.executed_version, arn)
    opened = _moved(update, current, setting.now, chained_invoke_details=ChainedInvokeDetails())
    return Change(
        opened,
        (("ChainedInvokeStarted", carried),),
        effect=InvokeRequested(update.id, name, update.payload, tenant, arn, update.name),
    )


def _unresolved(
    update: OperationUpdate, options: ChainedInvokeOptions, error: ErrorObject, setting: Setting
) -> Change:
    """Return a chained invoke whose target can't be resolved.

    No input is stored, and the answer to this very request carries the failure (AWS's Python
    testing library 1.4.0).
    """
    details = ChainedInvokeDetails(error=error)
    opened = _moved(update, None, setting.now, chained_invoke_details=details)
    failed = replace(opened, status=_S.FAILED, end_timestamp=setting.now)
    started = {"FunctionName": options.function_name}
    if options.tenant_id is not None:
        started["TenantId"] = options.tenant_id
    ended = {"Error": error_carrier(error)}
    return Change(failed, (("ChainedInvokeStarted", started), ("ChainedInvokeFailed", ended)))


def _execution_arn_of(
    options: ChainedInvokeOptions, target: InvokeTarget, update: OperationUpdate, setting: Setting
) -> str:
    """Return the ARN of the execution that a chained invoke starts, in its caller's account."""
    prefix, _, _ = setting.execution_arn.partition(":function:")
    function = options.function_name.rpartition("function:")[2].partition(":")[0]
    name = made_uuid("chained execution name", setting.execution_arn, update.id)
    unique = made_uuid("chained execution", setting.execution_arn, update.id)
    version = target.executed_version
    return f"{prefix}:function:{function}:{version}/durable-execution/{name}/{unique}"


_CHANGES: Final[
    Mapping[OperationType, Callable[[OperationUpdate, Operation | None, Setting], Change]]
] = {
    OperationType.CONTEXT: _context,
    OperationType.STEP: _step,
    OperationType.WAIT: _wait,
    OperationType.CALLBACK: _callback,
    OperationType.CHAINED_INVOKE: _invoke,
}


def change(update: OperationUpdate, current: Operation | None, setting: Setting) -> Change:
    """Return what the update does to its operation.

    The update has been found legal. One of type EXECUTION changes no operation: the execution ends
    with the invocation that decided it.
    """
    return _CHANGES[update.type](update, current, setting)
