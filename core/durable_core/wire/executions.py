"""An execution's own record, and what a handler is invoked with."""

from __future__ import annotations

from typing import Any, Final

from durable_core.model import (
    ExecutionRecord,
    ExecutionStatus,
    InvocationInput,
    PauseDetails,
)
from durable_core.wire.operations import operation_from_wire, operation_to_wire
from durable_core.wire.values import (
    as_object,
    error_or_none,
    optional_error,
    optional_flag,
    optional_list,
    optional_text,
    optional_texts,
    optional_timestamp,
    required_text,
    stamp,
    unknown_fields,
    without_none,
)

REDACTED: Final = "Redacted"
"""The field of a history document that says that nothing in it is real (`redact`)."""

RECORD_KEYS: Final = frozenset(
    {
        "DurableExecutionArn",
        "DurableExecutionName",
        "FunctionArn",
        "Version",
        "Status",
        "InputPayload",
        "Result",
        "Error",
        "StartTimestamp",
        "EndTimestamp",
        "PauseDetails",
        "ExpectedExecutionTimeoutTimestamp",
    }
)
"""The fields of GetDurableExecution that are read."""


def execution_record_from_wire(raw: object, path: str = "Execution") -> ExecutionRecord:
    """Read what GetDurableExecution answers. Raises WireError."""
    fields = as_object(raw, path)
    status = optional_text(fields, "Status", path)
    known = status in ExecutionStatus.__members__
    return ExecutionRecord(
        arn=optional_text(fields, "DurableExecutionArn", path),
        name=optional_text(fields, "DurableExecutionName", path),
        function_arn=optional_text(fields, "FunctionArn", path),
        version=optional_text(fields, "Version", path),
        status=ExecutionStatus(status) if status and known else None,
        input_payload=optional_text(fields, "InputPayload", path),
        result=optional_text(fields, "Result", path),
        error=optional_error(fields, path),
        start_timestamp=optional_timestamp(fields, "StartTimestamp", path),
        end_timestamp=optional_timestamp(fields, "EndTimestamp", path),
        pause=_pause_from_wire(fields.get("PauseDetails"), f"{path}.PauseDetails"),
        expected_timeout=optional_timestamp(fields, "ExpectedExecutionTimeoutTimestamp", path),
        extra=unknown_fields(
            fields, RECORD_KEYS if known or not status else RECORD_KEYS - {"Status"}
        ),
    )


def execution_record_to_wire(record: ExecutionRecord) -> dict[str, Any]:
    """Write what GetDurableExecution answers."""
    return without_none(
        (
            ("DurableExecutionArn", record.arn),
            ("DurableExecutionName", record.name),
            ("FunctionArn", record.function_arn),
            ("Version", record.version),
            ("Status", None if record.status is None else record.status.value),
            ("InputPayload", record.input_payload),
            ("Result", record.result),
            ("Error", error_or_none(record.error)),
            ("StartTimestamp", stamp(record.start_timestamp)),
            ("EndTimestamp", stamp(record.end_timestamp)),
            ("PauseDetails", None if record.pause is None else _pause_to_wire(record.pause)),
            ("ExpectedExecutionTimeoutTimestamp", stamp(record.expected_timeout)),
        ),
        record.extra,
    )


_PAUSE_KEYS: Final = frozenset({"PauseRequestTimestamp", "Reason", "ExecutionTimeoutPaused"})


def _pause_from_wire(raw: object, path: str) -> PauseDetails | None:
    if raw is None:
        return None
    fields = as_object(raw, path)
    return PauseDetails(
        requested=optional_timestamp(fields, "PauseRequestTimestamp", path),
        reason=optional_text(fields, "Reason", path),
        timeout_paused=optional_flag(fields, "ExecutionTimeoutPaused", path),
        extra=unknown_fields(fields, _PAUSE_KEYS),
    )


def _pause_to_wire(pause: PauseDetails) -> dict[str, Any]:
    return without_none(
        (
            ("PauseRequestTimestamp", stamp(pause.requested)),
            ("Reason", pause.reason),
            ("ExecutionTimeoutPaused", pause.timeout_paused),
        ),
        pause.extra,
    )


_INPUT_KEYS: Final = frozenset(
    {"DurableExecutionArn", "CheckpointToken", "InitialExecutionState", "UpdatedOperationIds"}
)


def invocation_input_from_wire(raw: object, path: str = "InvocationInput") -> InvocationInput:
    """Read what a handler receives. Raises WireError."""
    fields = as_object(raw, path)
    state_path = f"{path}.InitialExecutionState"
    state = as_object(fields.get("InitialExecutionState"), state_path)
    return InvocationInput(
        durable_execution_arn=required_text(fields, "DurableExecutionArn", path),
        checkpoint_token=required_text(fields, "CheckpointToken", path),
        operations=tuple(
            operation_from_wire(operation, f"{state_path}.Operations[{index}]")
            for index, operation in enumerate(optional_list(state, "Operations", state_path))
        ),
        next_marker=optional_text(state, "NextMarker", state_path),
        updated_operation_ids=optional_texts(fields, "UpdatedOperationIds", path),
        extra=unknown_fields(fields, _INPUT_KEYS),
    )


def invocation_input_to_wire(value: InvocationInput) -> dict[str, Any]:
    """Write what a handler receives."""
    state = without_none(
        (
            ("Operations", [operation_to_wire(operation) for operation in value.operations]),
            ("NextMarker", value.next_marker),
        )
    )
    updated = value.updated_operation_ids
    return without_none(
        (
            ("DurableExecutionArn", value.durable_execution_arn),
            ("CheckpointToken", value.checkpoint_token),
            ("InitialExecutionState", state),
            ("UpdatedOperationIds", None if updated is None else list(updated)),
        ),
        value.extra,
    )
