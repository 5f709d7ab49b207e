"""Between the shapes of AWS's SDK and ours while a handler is verified.

What is read of the SDK's executors, and what is put into its state and its results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from durable_core.model import (
    CompletionReason,
    ContextDetails,
    ErrorObject,
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.runtimes.aws_python.replay_attach import Parts
from durable_core.runtimes.lambda_environment import BEGAN
from durable_core.safe_text import plain, shown
from durable_core.verifying.units import UnitResult
from durable_core.verifying.verification import Identity
from durable_core.wire import operation_to_wire

# -- of an executor ------------------------------------------------------------------------------


def identity_of(executor: Any, *, virtual: bool = False) -> Identity:
    """Return what tells the operation of an executor from others."""
    identifier = executor.operation_identifier
    kind = str(identifier.type.value)
    return Identity(kind, _sub_type_of(executor), name_of(identifier.name), virtual)


def _sub_type_of(executor: Any) -> str | None:
    """Return the sub-type that an operation records. Before 3.0 a child's may be in its config."""
    found = getattr(executor, "sub_type", None) or executor.operation_identifier.sub_type
    return None if found is None else str(getattr(found, "value", found))


def name_of(name: Any) -> str | None:
    """Return a name as text. One that is no text is never the recorded one: it has its type."""
    if name is None or isinstance(name, str):
        return plain(name) if name else None
    return f"{shown(name)} ({type(name).__name__})"


def uses_own_serdes(executor: Any) -> bool:
    """Return True for an operation that the SDK's own SerDes reads."""
    config = getattr(executor, "config", None)
    named = (getattr(config, each, None) for each in ("serdes", "serdes_result"))
    return all(each is None for each in named)


def summarizes(executor: Any, identity: Identity) -> bool:
    """Return True for a child context with a summary of its own; a map or parallel always has."""
    return not identity.is_batch and getattr(executor.config, "summary_generator", None) is not None


# -- into the state ------------------------------------------------------------------------------


def as_sdk(sdk: Any, operation: Operation) -> Any:
    """Return an operation as the SDK's own, nothing in it due."""
    wire = operation_to_wire(operation)
    for key in ("StartTimestamp", "EndTimestamp"):
        if key in wire:
            wire[key] = BEGAN
    for details, key in _DUE:
        if key in wire.get(details, {}):
            wire[details][key] = BEGAN
    return sdk.operation.from_dict(wire)


_DUE: Final = (("StepDetails", "NextAttemptTimestamp"), ("WaitDetails", "ScheduledEndTimestamp"))


def completed_context(executor: Any, details: ContextDetails) -> Operation:
    """Return the operation of a context that has completed with a result or an error."""
    identity = identity_of(executor)
    has_failed = details.error is not None
    return Operation(
        id=executor.operation_identifier.operation_id,
        type=OperationType.CONTEXT,
        status=OperationStatus.FAILED if has_failed else OperationStatus.SUCCEEDED,
        start_timestamp=BEGAN,
        parent_id=executor.operation_identifier.parent_id,
        name=identity.name,
        sub_type=identity.sub_type,
        end_timestamp=BEGAN,
        context_details=details,
    )


def recorded_error(parts: Parts, raised: BaseException | None) -> ErrorObject:
    """Return the error that the SDK records of what was raised."""
    error = parts.error_object.from_exception(raised)
    return ErrorObject(error.message, error.type, error.data, tuple(error.stack_trace or ()))


# -- into a result -------------------------------------------------------------------------------


def batch_result(parts: Parts, reason: CompletionReason | None, units: Sequence[UnitResult]) -> Any:
    """Return the result of a map or parallel with these units, as the SDK's own."""
    items = [
        parts.batch_item(
            unit.index, parts.batch_status(unit.status.value), unit.value, _error_of(parts, unit)
        )
        for unit in units
    ]
    completed = "ALL_COMPLETED" if reason is None else reason.value
    return parts.batch_result(items, parts.completion_reason(completed))


def _error_of(parts: Parts, unit: UnitResult) -> Any:
    error, raised = unit.error, unit.raised
    if error is not None:
        return parts.error_object(
            message=error.message,
            type=error.type,
            data=error.data,
            stack_trace=list(error.stack_trace) if error.stack_trace else None,
        )
    if raised is None:
        return None
    if getattr(raised, "error_type", None) is not None:  # what escaped an inner operation
        return parts.error_object(
            message=getattr(raised, "message", None),
            type=getattr(raised, "error_type", None),
            data=getattr(raised, "data", None),
            stack_trace=getattr(raised, "stack_trace", None),
        )
    return parts.error_object.from_exception(raised)
