"""A recorded operation in the place of the one that the code asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from durable_core.fold import Recorded
from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    Operation,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_core.verifying.verification import Identity


def planted(
    recorded: Recorded | None, operation_id: str, parent_id: str | None, identity: Identity
) -> Operation | None:
    """Return a recorded operation under the identity that the code asks for.

    So that a runtime that compares identities doesn't stop, or one that doesn't isn't misled: what
    differs is noted already. One of another type becomes one that succeeded with its result.
    """
    if recorded is None:
        return None
    operation = recorded.operation
    if (
        operation.id == operation_id
        and operation.parent_id == parent_id
        and operation.type == identity.type
        and operation.name == identity.name
        and operation.sub_type == identity.sub_type
    ):
        return operation
    kind = OperationType(identity.type)
    changes: dict[str, Any] = {
        "id": operation_id,
        "parent_id": parent_id,
        "name": identity.name,
        "sub_type": identity.sub_type,
    }
    if operation.type is kind:
        return replace(operation, **changes)
    return Operation(
        type=kind,
        status=OperationStatus.SUCCEEDED if operation.is_terminal else OperationStatus.STARTED,
        start_timestamp=operation.start_timestamp,
        end_timestamp=operation.end_timestamp,
        **_DETAILS[kind](operation.result),
        **changes,
    )


def invented(identity: Identity) -> Recorded:
    """Return what answers an operation that nothing is recorded of, so that the code goes on."""
    kind = OperationType(identity.type)
    return Recorded(
        Operation(
            id="invented",
            type=kind,
            status=OperationStatus.SUCCEEDED,
            start_timestamp=_LONG_AGO,
            end_timestamp=_LONG_AGO,
            name=identity.name,
            sub_type=identity.sub_type,
            **_DETAILS[kind]("null"),
        )
    )


_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

_DETAILS: Mapping[OperationType, Any] = {
    OperationType.STEP: lambda result: {"step_details": StepDetails(attempt=1, result=result)},
    OperationType.CONTEXT: lambda result: {"context_details": ContextDetails(None, result)},
    OperationType.WAIT: lambda result: {"wait_details": WaitDetails()},
    OperationType.CALLBACK: lambda result: {
        "callback_details": CallbackDetails("verified", result)
    },
    OperationType.CHAINED_INVOKE: lambda result: {
        "chained_invoke_details": ChainedInvokeDetails(result)
    },
}
