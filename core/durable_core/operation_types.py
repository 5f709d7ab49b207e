"""The plain facts about each type of operation, as one table. What it may do stands in
`transitions`, and what a replay does with it in `decide`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ExecutionDetails,
    OperationType,
    StepDetails,
    WaitDetails,
)


@dataclass(frozen=True, slots=True)
class OperationTypeRow:
    """What is to be known of a type of operation.

    `noun` is what people call one. `details` is the class of its details, and `details_field` the
    field of an Operation that holds them (on the wire it has the name of the class).
    `payload_limit` is the key of the limit of its payload, and `is_answered` is True where it ends
    by what the world outside answers.
    """

    noun: str
    details: type[Any]
    details_field: str
    payload_limit: str = "payload_bytes"
    is_answered: bool = False


OPERATION_TYPES: Final[Mapping[OperationType, OperationTypeRow]] = MappingProxyType(
    {
        OperationType.EXECUTION: OperationTypeRow(
            "execution", ExecutionDetails, "execution_details", "execution_payload_bytes"
        ),
        OperationType.CONTEXT: OperationTypeRow("context", ContextDetails, "context_details"),
        OperationType.STEP: OperationTypeRow("step", StepDetails, "step_details"),
        OperationType.WAIT: OperationTypeRow("wait", WaitDetails, "wait_details"),
        OperationType.CALLBACK: OperationTypeRow(
            "callback", CallbackDetails, "callback_details", "callback_payload_bytes", True
        ),
        OperationType.CHAINED_INVOKE: OperationTypeRow(
            "invoke", ChainedInvokeDetails, "chained_invoke_details", "invoke_payload_bytes", True
        ),
    }
)
