"""OperationUpdates, and the checkpoint requests that carry them."""

from __future__ import annotations

from typing import Any, Final

from durable_core.frozen import NOTHING
from durable_core.model import (
    ChainedInvokeOptions,
    CheckpointRequest,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.wire.values import (
    Json,
    as_object,
    error_or_none,
    one_of,
    optional_error,
    optional_flag,
    optional_integer,
    optional_list,
    optional_text,
    required_text,
    unknown_fields,
    without_none,
)

_UPDATE_KEYS: Final = frozenset(
    {
        "Id",
        "ParentId",
        "Name",
        "Type",
        "SubType",
        "Action",
        "Payload",
        "Error",
        "ContextOptions",
        "StepOptions",
        "WaitOptions",
        "CallbackOptions",
        "ChainedInvokeOptions",
    }
)


_OPTION_KEYS: Final = {
    "ContextOptions": frozenset({"ReplayChildren"}),
    "StepOptions": frozenset({"NextAttemptDelaySeconds"}),
    "WaitOptions": frozenset({"WaitSeconds"}),
    "CallbackOptions": frozenset({"TimeoutSeconds", "HeartbeatTimeoutSeconds"}),
}


def _options(fields: Json, key: str, path: str) -> dict[str, Any]:
    value = fields.get(key)
    return {} if value is None else as_object(value, f"{path}.{key}")


def _rest_of_update(fields: Json) -> Json:
    rest = dict(unknown_fields(fields, _UPDATE_KEYS))
    for key, known in _OPTION_KEYS.items():
        if options := unknown_fields(fields.get(key) or NOTHING, known):
            rest[key] = options
    return rest or NOTHING


def update_from_wire(raw: object, path: str = "Update") -> OperationUpdate:
    """Read an OperationUpdate. Raises WireError."""
    fields = as_object(raw, path)
    callback = _options(fields, "CallbackOptions", path)
    return OperationUpdate(
        id=required_text(fields, "Id", path),
        type=one_of(OperationType, fields, "Type", path),
        action=one_of(OperationAction, fields, "Action", path),
        parent_id=optional_text(fields, "ParentId", path),
        name=optional_text(fields, "Name", path),
        sub_type=optional_text(fields, "SubType", path),
        payload=optional_text(fields, "Payload", path),
        error=optional_error(fields, path),
        replay_children=optional_flag(
            _options(fields, "ContextOptions", path), "ReplayChildren", f"{path}.ContextOptions"
        ),
        next_attempt_delay_seconds=optional_integer(
            _options(fields, "StepOptions", path), "NextAttemptDelaySeconds", f"{path}.StepOptions"
        ),
        wait_seconds=optional_integer(
            _options(fields, "WaitOptions", path), "WaitSeconds", f"{path}.WaitOptions"
        ),
        callback_timeout_seconds=optional_integer(
            callback, "TimeoutSeconds", f"{path}.CallbackOptions"
        ),
        callback_heartbeat_seconds=optional_integer(
            callback, "HeartbeatTimeoutSeconds", f"{path}.CallbackOptions"
        ),
        chained_invoke=_chained_invoke_options(fields, path),
        extra=_rest_of_update(fields),
    )


def _chained_invoke_options(fields: Json, path: str) -> ChainedInvokeOptions | None:
    if fields.get("ChainedInvokeOptions") is None:
        return None
    path = f"{path}.ChainedInvokeOptions"
    options = as_object(fields["ChainedInvokeOptions"], path)
    return ChainedInvokeOptions(
        function_name=required_text(options, "FunctionName", path),
        tenant_id=optional_text(options, "TenantId", path),
        trace_id=optional_text(options, "XAmznTraceId", path),
        extra=unknown_fields(options, frozenset({"FunctionName", "TenantId", "XAmznTraceId"})),
    )


def update_to_wire(update: OperationUpdate) -> dict[str, Any]:
    """Write an OperationUpdate with the fields in the order of the service model."""
    out = without_none(
        (
            ("Id", update.id),
            ("ParentId", update.parent_id),
            ("Name", update.name),
            ("Type", update.type.text),
            ("SubType", update.sub_type),
            ("Action", update.action.text),
            ("Payload", update.payload),
            ("Error", error_or_none(update.error)),
            ("ContextOptions", _some(("ReplayChildren", update.replay_children))),
            ("StepOptions", _some(("NextAttemptDelaySeconds", update.next_attempt_delay_seconds))),
            ("WaitOptions", _some(("WaitSeconds", update.wait_seconds))),
            (
                "CallbackOptions",
                _some(
                    ("TimeoutSeconds", update.callback_timeout_seconds),
                    ("HeartbeatTimeoutSeconds", update.callback_heartbeat_seconds),
                ),
            ),
            ("ChainedInvokeOptions", _invoke_options_to_wire(update.chained_invoke)),
        )
    )
    for key, value in update.extra.items():
        out[key] = {**out.get(key, {}), **value} if key in _OPTION_KEYS else value
    return out


def _some(*pairs: tuple[str, Any]) -> dict[str, Any] | None:
    return without_none(pairs) or None


def _invoke_options_to_wire(options: ChainedInvokeOptions | None) -> dict[str, Any] | None:
    if options is None:
        return None
    return without_none(
        (
            ("FunctionName", options.function_name),
            ("TenantId", options.tenant_id),
            ("XAmznTraceId", options.trace_id),
        ),
        options.extra,
    )


_REQUEST_KEYS: Final = frozenset(
    {"Updates", "DurableExecutionArn", "CheckpointToken", "ClientToken"}
)


def request_from_wire(raw: object, path: str = "Request") -> CheckpointRequest:
    """Read a CheckpointDurableExecution request. Raises WireError."""
    fields = as_object(raw, path)
    return CheckpointRequest(
        updates=tuple(
            update_from_wire(update, f"{path}.Updates[{index}]")
            for index, update in enumerate(optional_list(fields, "Updates", path))
        ),
        durable_execution_arn=optional_text(fields, "DurableExecutionArn", path),
        checkpoint_token=optional_text(fields, "CheckpointToken", path),
        client_token=optional_text(fields, "ClientToken", path),
        extra=unknown_fields(fields, _REQUEST_KEYS),
    )


def request_to_wire(request: CheckpointRequest) -> dict[str, Any]:
    """Write a CheckpointDurableExecution request, the ARN (which travels in the URI) included."""
    return without_none(
        (
            ("DurableExecutionArn", request.durable_execution_arn),
            ("CheckpointToken", request.checkpoint_token),
            ("Updates", [update_to_wire(update) for update in request.updates]),
            ("ClientToken", request.client_token),
        ),
        request.extra,
    )
