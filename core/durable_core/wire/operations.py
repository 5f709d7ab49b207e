"""Operations, as a state and an invocation input hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ExecutionDetails,
    Operation,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_core.wire.values import (
    Json,
    as_object,
    error_or_none,
    one_of,
    optional_error,
    optional_flag,
    optional_integer,
    optional_text,
    optional_timestamp,
    required_text,
    stamp,
    unknown_fields,
    without_none,
)


def _execution_details(raw: Json, path: str) -> ExecutionDetails:
    return ExecutionDetails(
        input_payload=optional_text(raw, "InputPayload", path),
        extra=unknown_fields(raw, frozenset({"InputPayload"})),
    )


def _context_details(raw: Json, path: str) -> ContextDetails:
    return ContextDetails(
        replay_children=optional_flag(raw, "ReplayChildren", path),
        result=optional_text(raw, "Result", path),
        error=optional_error(raw, path),
        extra=unknown_fields(raw, frozenset({"ReplayChildren", "Result", "Error"})),
    )


_STEP_KEYS: Final = frozenset({"Attempt", "NextAttemptTimestamp", "Result", "Error"})


def _step_details(raw: Json, path: str) -> StepDetails:
    return StepDetails(
        attempt=optional_integer(raw, "Attempt", path),
        next_attempt_timestamp=optional_timestamp(raw, "NextAttemptTimestamp", path),
        result=optional_text(raw, "Result", path),
        error=optional_error(raw, path),
        extra=unknown_fields(
            raw, frozenset({"Attempt", "NextAttemptTimestamp", "Result", "Error"})
        ),
    )


def _wait_details(raw: Json, path: str) -> WaitDetails:
    return WaitDetails(
        scheduled_end_timestamp=optional_timestamp(raw, "ScheduledEndTimestamp", path),
        extra=unknown_fields(raw, frozenset({"ScheduledEndTimestamp"})),
    )


def _callback_details(raw: Json, path: str) -> CallbackDetails:
    return CallbackDetails(
        callback_id=optional_text(raw, "CallbackId", path),
        result=optional_text(raw, "Result", path),
        error=optional_error(raw, path),
        extra=unknown_fields(raw, frozenset({"CallbackId", "Result", "Error"})),
    )


def _chained_invoke_details(raw: Json, path: str) -> ChainedInvokeDetails:
    return ChainedInvokeDetails(
        result=optional_text(raw, "Result", path),
        error=optional_error(raw, path),
        extra=unknown_fields(raw, frozenset({"Result", "Error"})),
    )


_DETAILS: Final[tuple[tuple[str, str, Callable[[Json, str], Any]], ...]] = (
    ("ExecutionDetails", "execution_details", _execution_details),
    ("ContextDetails", "context_details", _context_details),
    ("StepDetails", "step_details", _step_details),
    ("WaitDetails", "wait_details", _wait_details),
    ("CallbackDetails", "callback_details", _callback_details),
    ("ChainedInvokeDetails", "chained_invoke_details", _chained_invoke_details),
)

_OPERATION_KEYS: Final = frozenset(
    {"Id", "ParentId", "Name", "Type", "SubType", "StartTimestamp", "EndTimestamp", "Status"}
    | {key for key, _, _ in _DETAILS}
)


def operation_from_wire(raw: object, path: str = "Operation") -> Operation:
    """Read an Operation. Raises WireError."""
    fields = as_object(raw, path)
    details = {
        attribute: read(as_object(fields[key], f"{path}.{key}"), f"{path}.{key}")
        for key, attribute, read in _DETAILS
        if fields.get(key) is not None
    }
    return Operation(
        id=required_text(fields, "Id", path),
        type=one_of(OperationType, fields, "Type", path),
        status=one_of(OperationStatus, fields, "Status", path),
        start_timestamp=optional_timestamp(fields, "StartTimestamp", path),
        parent_id=optional_text(fields, "ParentId", path),
        name=optional_text(fields, "Name", path),
        sub_type=optional_text(fields, "SubType", path),
        end_timestamp=optional_timestamp(fields, "EndTimestamp", path),
        extra=unknown_fields(fields, _OPERATION_KEYS),
        **details,
    )


Written = Callable[[datetime | None], Any]
"""Returns a time as it is written; None for none."""


def operation_to_wire(operation: Operation, written: Written = stamp) -> dict[str, Any]:
    """Write an Operation as it stands in the state or an invocation input; `written` gives the
    form of a time."""
    return without_none(
        (
            ("Id", operation.id),
            ("ParentId", operation.parent_id),
            ("Name", operation.name),
            ("Type", operation.type.text),
            ("SubType", operation.sub_type),
            ("StartTimestamp", written(operation.start_timestamp)),
            ("EndTimestamp", written(operation.end_timestamp)),
            ("Status", operation.status.text),
            *_details_to_wire(operation, written),
        ),
        operation.extra,
    )


def _details_to_wire(
    operation: Operation, written: Written
) -> Iterable[tuple[str, dict[str, Any]]]:
    if execution := operation.execution_details:
        pairs = (("InputPayload", execution.input_payload),)
        yield "ExecutionDetails", without_none(pairs, execution.extra)
    if context := operation.context_details:
        yield (
            "ContextDetails",
            without_none(
                (("ReplayChildren", context.replay_children), *_result_pairs(context)),
                context.extra,
            ),
        )
    if step := operation.step_details:
        yield (
            "StepDetails",
            without_none(
                (
                    ("Attempt", step.attempt),
                    ("NextAttemptTimestamp", written(step.next_attempt_timestamp)),
                    *_result_pairs(step),
                ),
                step.extra,
            ),
        )
    if wait := operation.wait_details:
        ends = (("ScheduledEndTimestamp", written(wait.scheduled_end_timestamp)),)
        yield "WaitDetails", without_none(ends, wait.extra)
    if callback := operation.callback_details:
        yield (
            "CallbackDetails",
            without_none(
                (("CallbackId", callback.callback_id), *_result_pairs(callback)), callback.extra
            ),
        )
    if invoke := operation.chained_invoke_details:
        yield "ChainedInvokeDetails", without_none(_result_pairs(invoke), invoke.extra)


def _result_pairs(
    details: ContextDetails | StepDetails | CallbackDetails | ChainedInvokeDetails,
) -> tuple[tuple[str, Any], ...]:
    return (("Result", details.result), ("Error", error_or_none(details.error)))
