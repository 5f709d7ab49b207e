"""What the service makes of answers from outside and of timers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from durable_core.limits import ServiceLimits
from durable_core.model import (
    ChainedInvokeDetails,
    ErrorObject,
    ExecutionStatus,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.service.changes import Change
from durable_core.service.events import error_carrier, outcome_details
from durable_core.service.request import RequestDecision
from durable_core.service.validation import too_large
from durable_core.service.values import (
    CALLBACK_TIMEOUT,
    INVALID_PARAMETER,
    RESOURCE_NOT_FOUND,
    CallbackFailure,
    CallbackSuccess,
    ExecutionStart,
    InvokeResult,
    Refusal,
)
from durable_core.sizes import error_bytes, utf8_bytes
from durable_core.state_errors import error_in_event, error_in_state

_S = OperationStatus

CALLBACK_CLOSED: Final = Refusal(
    CALLBACK_TIMEOUT,
    "The callback ID token has either expired or the callback associated with the token has "
    "already been closed.",
)

TIMED_OUT, HEARTBEAT_TIMED_OUT = (
    error_in_state("CallbackTimedOut", ErrorObject(type=kind))
    for kind in ("Callback.Timeout", "Callback.Heartbeat")
)

STOPPED: Final = ErrorObject(message="Execution stopped by user request")

INVOKE_ENDS: Final[Mapping[OperationStatus, str]] = {
    _S.SUCCEEDED: "ChainedInvokeSucceeded",
    _S.FAILED: "ChainedInvokeFailed",
    _S.TIMED_OUT: "ChainedInvokeTimedOut",
    _S.STOPPED: "ChainedInvokeStopped",
}


def unknown_callback(callback_id: str) -> Refusal:
    """Return the answer to a callback id that belongs to no callback of this execution."""
    return Refusal(RESOURCE_NOT_FOUND, f"Callback not found: {callback_id}", 404)


def _ended(operation: Operation, status: OperationStatus, now: datetime) -> Operation:
    return replace(operation, status=status, end_timestamp=now)


# -- timers ------------------------------------------------------------------------------------


def wait_over(operation: Operation, now: datetime) -> Change:
    """Return the end of a wait."""
    assert operation.start_timestamp is not None
    seconds = int((now - operation.start_timestamp).total_seconds())
    event = ("WaitSucceeded", {"Duration": seconds})
    return Change(_ended(operation, _S.SUCCEEDED, now), (event,))


def retry_ready(operation: Operation) -> Change:
    """Return a step whose next attempt may begin. No event says so."""
    assert operation.step_details is not None
    details = replace(operation.step_details, next_attempt_timestamp=None)
    return Change(replace(operation, status=_S.READY, step_details=details), ())


def callback_timed_out(operation: Operation, now: datetime, *, heartbeat: bool) -> Change:
    """Return a callback that got no answer, or no heartbeat, in time."""
    assert operation.callback_details is not None
    error = HEARTBEAT_TIMED_OUT if heartbeat else TIMED_OUT
    ended = replace(
        _ended(operation, _S.TIMED_OUT, now),
        callback_details=replace(operation.callback_details, error=error),
    )
    told = error_in_event("CallbackTimedOut", error)
    return Change(ended, (("CallbackTimedOut", {"Error": error_carrier(told)}),))


# -- answers -----------------------------------------------------------------------------------


def callback_answered(
    operation: Operation,
    answer: CallbackSuccess | CallbackFailure,
    now: datetime,
    limits: ServiceLimits,
) -> Change | Refusal:
    """Return a callback that was answered, or why the answer is refused."""
    assert operation.callback_details is not None
    if isinstance(answer, CallbackFailure):
        failed = replace(
            _ended(operation, _S.FAILED, now),
            callback_details=replace(operation.callback_details, error=answer.error),
        )
        return Change(failed, (("CallbackFailed", {"Error": error_carrier(answer.error)}),))
    size, limit = utf8_bytes(answer.result or ""), limits.callback_payload_bytes
    if size > limit:
        return Refusal(
            INVALID_PARAMETER,
            "1 validation error detected: Value at 'result' failed to satisfy constraint: "
            f"Member must have length less than or equal to {limit}",
            operation_id=operation.id,
            size=size,
            limit=limit,
        )
    succeeded = replace(
        _ended(operation, _S.SUCCEEDED, now),
        callback_details=replace(operation.callback_details, result=answer.result),
    )
    details = outcome_details(answer.result, None, failed=False)
    return Change(succeeded, (("CallbackSucceeded", details),))


def invoke_answered(
    operation: Operation | None, answer: InvokeResult, now: datetime, limits: ServiceLimits
) -> Change | Refusal:
    """Return a chained invoke whose target has ended, or why that can't be.

    A result that is too large makes it fail.
    """
    if (
        operation is None
        or operation.type is not OperationType.CHAINED_INVOKE
        or operation.status is not _S.STARTED
        or answer.status not in INVOKE_ENDS
    ):
        return Refusal(
            INVALID_PARAMETER,
            f"Chained invoke operation [{answer.operation_id}] is not active",
            operation_id=answer.operation_id,
        )
    status, result, error = answer.status, answer.result, answer.error
    limit = limits.invoke_payload_bytes
    if result is not None and utf8_bytes(result) > limit:
        status, result = _S.FAILED, None
        error = ErrorObject(message=too_large(OperationType.CHAINED_INVOKE, "output", limit))
    failed = status is not _S.SUCCEEDED
    if failed and error is None:
        error = ErrorObject(message="Chained invoke failed.")
    details = ChainedInvokeDetails(None if failed else result, error if failed else None)
    ended = replace(_ended(operation, status, now), chained_invoke_details=details)
    return Change(ended, ((INVOKE_ENDS[status], outcome_details(result, error, failed=failed)),))


# -- the handler's own answer ------------------------------------------------------------------

EMPTY_PENDING: Final = ErrorObject(
    message="Cannot return PENDING status with no pending operations.", type=INVALID_PARAMETER
)


def response_too_large(output: InvocationOutput, limits: ServiceLimits) -> ErrorObject | None:
    """Return what Lambda says of an answer that is too large, or None.

    Measured as the SDKs do: the UTF-8 bytes of the result, or the JSON of the error. The 50 bytes
    between the limit and 6 MiB are for the rest of the answer.
    """
    size = utf8_bytes(output.result or "")
    if output.error is not None:
        size += error_bytes(output.error)
    if size <= limits.response_bytes:
        return None
    return ErrorObject(
        message=f"Response payload size ({size} bytes) exceeded maximum allowed payload size "
        f"({limits.response_bytes} bytes).",
        type="Function.ResponseSizeTooLarge",
    )


def _result_too_large(
    output: InvocationOutput, start: ExecutionStart, limits: ServiceLimits
) -> ErrorObject | None:
    """Return why the execution fails for a result that its start has no room for, or None.

    Source: AWS's Python testing library 1.4.0, for what a chained invoke started.
    """
    limit = start.result_limit(limits)
    if limit is None or output.result is None or utf8_bytes(output.result) <= limit:
        return None
    return ErrorObject(
        message=f"Execution output payload size must be less than or equal to {limit} bytes."
    )


def _invalid_output(output: InvocationOutput) -> ErrorObject | None:
    """Return why the execution fails for an answer that contradicts itself, or None."""
    message = None
    if output.status is None:
        message = "Response status is required"
    elif output.status is InvocationStatus.FAILED and output.result is not None:
        message = "Cannot provide a Result for FAILED status."
    elif output.status is InvocationStatus.SUCCEEDED and output.error is not None:
        message = "Cannot provide an Error for SUCCEEDED status."
    return None if message is None else ErrorObject(message=message, type=INVALID_PARAMETER)


def decision_of(
    output: InvocationOutput, start: ExecutionStart, limits: ServiceLimits
) -> RequestDecision | None:
    """Return how an answer ends the execution; None where it goes on.

    One that contradicts itself, or is too large, fails it.
    """
    error = _invalid_output(output) or _result_too_large(output, start, limits)
    if error is not None:
        return RequestDecision(ExecutionStatus.FAILED, error=error)
    if output.status is InvocationStatus.SUCCEEDED:
        return RequestDecision(ExecutionStatus.SUCCEEDED, result=output.result)
    if output.status is InvocationStatus.FAILED:
        return RequestDecision(ExecutionStatus.FAILED, error=output.error)
    return None
