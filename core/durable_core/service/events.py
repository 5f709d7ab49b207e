"""The events that the service writes, with every detail that the cloud gives them.

Payloads, results and errors are never truncated here, and the events say so. Source: the published
conformance requirements of 2026-11 and the service model (botocore 1.44).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from durable_core.events import INVOCATION_COMPLETED, format_timestamp
from durable_core.model import ErrorObject, Event, Operation
from durable_core.wire import error_to_wire

Details = Mapping[str, Any]

NO_DETAILS: Final[Details] = {}


def payload_carrier(payload: str | None) -> Details:
    """Return a result or input as an event carries it."""
    return {"Truncated": False} if payload is None else {"Payload": payload, "Truncated": False}


def error_carrier(error: ErrorObject | None) -> Details:
    """Return an error as an event carries it."""
    if error is None:
        return {"Truncated": False}
    return {"Payload": error_to_wire(error), "Truncated": False}


def outcome_details(payload: str | None, error: ErrorObject | None, *, failed: bool) -> Details:
    """Return the details of an event that ends something: its result, or its error."""
    return {"Error": error_carrier(error)} if failed else {"Result": payload_carrier(payload)}


def step_details(
    payload: str | None,
    error: ErrorObject | None,
    attempt: int,
    *,
    failed: bool,
    delay_seconds: int | None = None,
) -> Details:
    """Return the details of the end of an attempt; the delay only where another one follows."""
    retry = {"CurrentAttempt": attempt}
    if delay_seconds is not None:
        retry["NextAttemptDelaySeconds"] = delay_seconds
    return {**outcome_details(payload, error, failed=failed), "RetryDetails": retry}


def wait_started_details(seconds: int, end: datetime) -> Details:
    """Return the details of WaitStarted."""
    return {"Duration": seconds, "ScheduledEndTimestamp": format_timestamp(end)}


def callback_started_details(
    callback_id: str, timeout_seconds: int | None, heartbeat_seconds: int | None
) -> Details:
    """Return the details of CallbackStarted; a timeout of 0 is none."""
    details: dict[str, Any] = {"CallbackId": callback_id}
    if timeout_seconds:
        details["Timeout"] = timeout_seconds
    if heartbeat_seconds:
        details["HeartbeatTimeout"] = heartbeat_seconds
    return details


def invoke_started_details(
    function_name: str,
    tenant_id: str | None,
    payload: str | None,
    executed_version: str,
    execution_arn: str | None,
) -> Details:
    """Return the details of ChainedInvokeStarted; no ARN where the target is a plain function."""
    details: dict[str, Any] = {"FunctionName": function_name}
    if tenant_id is not None:
        details["TenantId"] = tenant_id
    details["Input"] = payload_carrier(payload)
    details["ExecutedVersion"] = executed_version
    if execution_arn is not None:
        details["DurableExecutionArn"] = execution_arn
    return details


def invocation_completed_details(
    start: datetime, end: datetime, request_id: str, error: ErrorObject | None
) -> Details:
    """Return the details of InvocationCompleted; an error only where there was no clean answer."""
    details: dict[str, Any] = {
        "StartTimestamp": format_timestamp(start),
        "EndTimestamp": format_timestamp(end),
        "RequestId": request_id,
    }
    if error is not None:
        details["Error"] = error_carrier(error)
    return details


def paused_details(requested: datetime, reason: str | None, *, timeout_paused: bool) -> Details:
    """Return the details of ExecutionPaused."""
    details: dict[str, Any] = {"PauseRequestTimestamp": format_timestamp(requested)}
    if reason is not None:
        details["Reason"] = payload_carrier(reason)
    details["ExecutionTimeoutPaused"] = timeout_paused
    return details


def resumed_details(requested: datetime, reason: str | None) -> Details:
    """Return the details of ExecutionResumed."""
    details: dict[str, Any] = {"ResumeRequestTimestamp": format_timestamp(requested)}
    if reason is not None:
        details["Reason"] = payload_carrier(reason)
    return details


def operation_event(
    event_id: int, event_type: str, moment: datetime, operation: Operation, details: Details
) -> Event:
    """Return an event of an operation, with the operation's ids and names."""
    return Event(
        event_id=event_id,
        event_type=event_type,
        timestamp=moment,
        id=operation.id,
        parent_id=operation.parent_id,
        name=operation.name,
        sub_type=operation.sub_type,
        details=details,
    )


def invocation_event(event_id: int, moment: datetime, details: Details) -> Event:
    """Return an InvocationCompleted, which belongs to no operation."""
    return Event(event_id, INVOCATION_COMPLETED, moment, details=details)
