"""Both directions of the service API's JSON: dicts as parsed, values of `model` as meant.

Nothing is lost: a field that isn't known is kept in `extra` and written back. A value of the wrong
shape raises `WireError` with its path. Timestamps are read in every form of
`events.parse_timestamp` and written as ISO-8601. Source: service model `lambda`, botocore 1.44.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from durable_core.errors import WireError
from durable_core.events import EVENTS, Kind, details_key, format_timestamp, parse_timestamp
from durable_core.model import (
    NOTHING,
    CallbackDetails,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    CheckpointRequest,
    ContextDetails,
    ErrorObject,
    Event,
    ExecutionDetails,
    ExecutionRecord,
    ExecutionStatus,
    InvocationInput,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    WaitDetails,
)

Json = Mapping[str, Any]
E = TypeVar("E", bound=StrEnum)


# -- reading one value -------------------------------------------------------------------------


def describe(value: object) -> str:
    """Return a short description of a JSON value for an error, never its whole content."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return f"the number {value:.20g}"
        case int():
            return f"the number {value}" if abs(value) < 10**20 else "a huge number"
        case str():
            return "an empty string" if not value else f"the string {_clip(value)!r}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
    return type(value).__name__


def _clip(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


def _object(value: object, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise WireError(path, "an object", describe(value))


def _optional_text(raw: Json, key: str, path: str) -> str | None:
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value
    raise WireError(f"{path}.{key}", "a string", describe(value))


def _text(raw: Json, key: str, path: str) -> str:
    value = raw.get(key)
    if isinstance(value, str) and value:
        return value
    raise WireError(f"{path}.{key}", "a string", "nothing" if key not in raw else describe(value))


def _optional_integer(raw: Json, key: str, path: str) -> int | None:
    value = raw.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise WireError(f"{path}.{key}", "a whole number", describe(value))


def _optional_flag(raw: Json, key: str, path: str) -> bool | None:
    value = raw.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise WireError(f"{path}.{key}", "true or false", describe(value))


def _timestamp(value: object, path: str) -> datetime:
    try:
        return parse_timestamp(value)
    except ValueError:
        raise WireError(path, "a timestamp (ISO-8601 or epoch seconds)", describe(value)) from None


def _optional_timestamp(raw: Json, key: str, path: str) -> datetime | None:
    value = raw.get(key)
    return None if value is None else _timestamp(value, f"{path}.{key}")


def _one_of(kind: type[E], raw: Json, key: str, path: str) -> E:
    value = _text(raw, key, path)
    try:
        return kind(value)
    except ValueError:
        expected = f"one of {', '.join(kind)}"
        raise WireError(f"{path}.{key}", expected, describe(value)) from None


def _rest(raw: Json, known: frozenset[str]) -> Json:
    if known.issuperset(raw):
        return NOTHING
    return {key: value for key, value in raw.items() if key not in known}


def _optional_list(raw: Json, key: str, path: str) -> list[Any]:
    value = raw.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise WireError(f"{path}.{key}", "a list", describe(value))


def _optional_texts(raw: Json, key: str, path: str) -> tuple[str, ...] | None:
    if raw.get(key) is None:
        return None
    items = _optional_list(raw, key, path)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise WireError(f"{path}.{key}[{index}]", "a string", describe(item))
    return tuple(items)


def _compact(pairs: Iterable[tuple[str, Any]], extra: Json = NOTHING) -> dict[str, Any]:
    out = {key: value for key, value in pairs if value is not None}
    if extra:
        out.update(extra)
    return out


# -- errors ------------------------------------------------------------------------------------

_ERROR_KEYS: Final = frozenset({"ErrorMessage", "ErrorType", "ErrorData", "StackTrace"})


def error_from_wire(raw: object, path: str = "Error") -> ErrorObject:
    """Read an ErrorObject. Raises WireError."""
    fields = _object(raw, path)
    return ErrorObject(
        message=_optional_text(fields, "ErrorMessage", path),
        type=_optional_text(fields, "ErrorType", path),
        data=_optional_text(fields, "ErrorData", path),
        stack_trace=_optional_texts(fields, "StackTrace", path),
        extra=_rest(fields, _ERROR_KEYS),
    )


def error_to_wire(error: ErrorObject) -> dict[str, Any]:
    """Write an ErrorObject."""
    return _compact(
        (
            ("ErrorMessage", error.message),
            ("ErrorType", error.type),
            ("ErrorData", error.data),
            ("StackTrace", None if error.stack_trace is None else list(error.stack_trace)),
        ),
        error.extra,
    )


def _optional_error(raw: Json, path: str) -> ErrorObject | None:
    value = raw.get("Error")
    return None if value is None else error_from_wire(value, f"{path}.Error")


# -- operations --------------------------------------------------------------------------------


def _execution_details(raw: Json, path: str) -> ExecutionDetails:
    return ExecutionDetails(
        input_payload=_optional_text(raw, "InputPayload", path),
        extra=_rest(raw, frozenset({"InputPayload"})),
    )


def _context_details(raw: Json, path: str) -> ContextDetails:
    return ContextDetails(
        replay_children=_optional_flag(raw, "ReplayChildren", path),
        result=_optional_text(raw, "Result", path),
        error=_optional_error(raw, path),
        extra=_rest(raw, frozenset({"ReplayChildren", "Result", "Error"})),
    )


def _step_details(raw: Json, path: str) -> StepDetails:
    return StepDetails(
        attempt=_optional_integer(raw, "Attempt", path),
        next_attempt_timestamp=_optional_timestamp(raw, "NextAttemptTimestamp", path),
        result=_optional_text(raw, "Result", path),
        error=_optional_error(raw, path),
        extra=_rest(raw, frozenset({"Attempt", "NextAttemptTimestamp", "Result", "Error"})),
    )


def _wait_details(raw: Json, path: str) -> WaitDetails:
    return WaitDetails(
        scheduled_end_timestamp=_optional_timestamp(raw, "ScheduledEndTimestamp", path),
        extra=_rest(raw, frozenset({"ScheduledEndTimestamp"})),
    )


def _callback_details(raw: Json, path: str) -> CallbackDetails:
    return CallbackDetails(
        callback_id=_optional_text(raw, "CallbackId", path),
        result=_optional_text(raw, "Result", path),
        error=_optional_error(raw, path),
        extra=_rest(raw, frozenset({"CallbackId", "Result", "Error"})),
    )


def _chained_invoke_details(raw: Json, path: str) -> ChainedInvokeDetails:
    return ChainedInvokeDetails(
        result=_optional_text(raw, "Result", path),
        error=_optional_error(raw, path),
        extra=_rest(raw, frozenset({"Result", "Error"})),
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
    fields = _object(raw, path)
    details = {
        attribute: read(_object(fields[key], f"{path}.{key}"), f"{path}.{key}")
        for key, attribute, read in _DETAILS
        if fields.get(key) is not None
    }
    return Operation(
        id=_text(fields, "Id", path),
        type=_one_of(OperationType, fields, "Type", path),
        status=_one_of(OperationStatus, fields, "Status", path),
        start_timestamp=_optional_timestamp(fields, "StartTimestamp", path),
        parent_id=_optional_text(fields, "ParentId", path),
        name=_optional_text(fields, "Name", path),
        sub_type=_optional_text(fields, "SubType", path),
        end_timestamp=_optional_timestamp(fields, "EndTimestamp", path),
        extra=_rest(fields, _OPERATION_KEYS),
        **details,
    )


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def _error_or_none(error: ErrorObject | None) -> dict[str, Any] | None:
    return None if error is None else error_to_wire(error)


def operation_to_wire(operation: Operation) -> dict[str, Any]:
    """Write an Operation as it stands in the state or an invocation input."""
    return _compact(
        (
            ("Id", operation.id),
            ("ParentId", operation.parent_id),
            ("Name", operation.name),
            ("Type", operation.type.value),
            ("SubType", operation.sub_type),
            ("StartTimestamp", _stamp(operation.start_timestamp)),
            ("EndTimestamp", _stamp(operation.end_timestamp)),
            ("Status", operation.status.value),
            *_details_to_wire(operation),
        ),
        operation.extra,
    )


def _details_to_wire(operation: Operation) -> Iterable[tuple[str, dict[str, Any]]]:
    if execution := operation.execution_details:
        pairs = (("InputPayload", execution.input_payload),)
        yield "ExecutionDetails", _compact(pairs, execution.extra)
    if context := operation.context_details:
        yield (
            "ContextDetails",
            _compact(
                (("ReplayChildren", context.replay_children), *_result_pairs(context)),
                context.extra,
            ),
        )
    if step := operation.step_details:
        yield (
            "StepDetails",
            _compact(
                (
                    ("Attempt", step.attempt),
                    ("NextAttemptTimestamp", _stamp(step.next_attempt_timestamp)),
                    *_result_pairs(step),
                ),
                step.extra,
            ),
        )
    if wait := operation.wait_details:
        ends = (("ScheduledEndTimestamp", _stamp(wait.scheduled_end_timestamp)),)
        yield "WaitDetails", _compact(ends, wait.extra)
    if callback := operation.callback_details:
        yield (
            "CallbackDetails",
            _compact(
                (("CallbackId", callback.callback_id), *_result_pairs(callback)), callback.extra
            ),
        )
    if invoke := operation.chained_invoke_details:
        yield "ChainedInvokeDetails", _compact(_result_pairs(invoke), invoke.extra)


def _result_pairs(
    details: ContextDetails | StepDetails | CallbackDetails | ChainedInvokeDetails,
) -> tuple[tuple[str, Any], ...]:
    return (("Result", details.result), ("Error", _error_or_none(details.error)))


# -- updates -----------------------------------------------------------------------------------

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
    return {} if value is None else _object(value, f"{path}.{key}")


def _rest_of_update(fields: Json) -> Json:
    rest = dict(_rest(fields, _UPDATE_KEYS))
    for key, known in _OPTION_KEYS.items():
        if options := _rest(fields.get(key) or NOTHING, known):
            rest[key] = options
    return rest or NOTHING


def update_from_wire(raw: object, path: str = "Update") -> OperationUpdate:
    """Read an OperationUpdate. Raises WireError."""
    fields = _object(raw, path)
    callback = _options(fields, "CallbackOptions", path)
    return OperationUpdate(
        id=_text(fields, "Id", path),
        type=_one_of(OperationType, fields, "Type", path),
        action=_one_of(OperationAction, fields, "Action", path),
        parent_id=_optional_text(fields, "ParentId", path),
        name=_optional_text(fields, "Name", path),
        sub_type=_optional_text(fields, "SubType", path),
        payload=_optional_text(fields, "Payload", path),
        error=_optional_error(fields, path),
        replay_children=_optional_flag(
            _options(fields, "ContextOptions", path), "ReplayChildren", f"{path}.ContextOptions"
        ),
        next_attempt_delay_seconds=_optional_integer(
            _options(fields, "StepOptions", path), "NextAttemptDelaySeconds", f"{path}.StepOptions"
        ),
        wait_seconds=_optional_integer(
            _options(fields, "WaitOptions", path), "WaitSeconds", f"{path}.WaitOptions"
        ),
        callback_timeout_seconds=_optional_integer(
            callback, "TimeoutSeconds", f"{path}.CallbackOptions"
        ),
        callback_heartbeat_seconds=_optional_integer(
            callback, "HeartbeatTimeoutSeconds", f"{path}.CallbackOptions"
        ),
        chained_invoke=_chained_invoke_options(fields, path),
        extra=_rest_of_update(fields),
    )


def _chained_invoke_options(fields: Json, path: str) -> ChainedInvokeOptions | None:
    if fields.get("ChainedInvokeOptions") is None:
        return None
    path = f"{path}.ChainedInvokeOptions"
    options = _object(fields["ChainedInvokeOptions"], path)
    return ChainedInvokeOptions(
        function_name=_text(options, "FunctionName", path),
        tenant_id=_optional_text(options, "TenantId", path),
        trace_id=_optional_text(options, "XAmznTraceId", path),
        extra=_rest(options, frozenset({"FunctionName", "TenantId", "XAmznTraceId"})),
    )


def update_to_wire(update: OperationUpdate) -> dict[str, Any]:
    """Write an OperationUpdate with the fields in the order of the service model."""
    out = _compact(
        (
            ("Id", update.id),
            ("ParentId", update.parent_id),
            ("Name", update.name),
            ("Type", update.type.value),
            ("SubType", update.sub_type),
            ("Action", update.action.value),
            ("Payload", update.payload),
            ("Error", _error_or_none(update.error)),
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
    return _compact(pairs) or None


def _invoke_options_to_wire(options: ChainedInvokeOptions | None) -> dict[str, Any] | None:
    if options is None:
        return None
    return _compact(
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
    fields = _object(raw, path)
    return CheckpointRequest(
        updates=tuple(
            update_from_wire(update, f"{path}.Updates[{index}]")
            for index, update in enumerate(_optional_list(fields, "Updates", path))
        ),
        durable_execution_arn=_optional_text(fields, "DurableExecutionArn", path),
        checkpoint_token=_optional_text(fields, "CheckpointToken", path),
        client_token=_optional_text(fields, "ClientToken", path),
        extra=_rest(fields, _REQUEST_KEYS),
    )


def request_to_wire(request: CheckpointRequest) -> dict[str, Any]:
    """Write a CheckpointDurableExecution request, the ARN (which travels in the URI) included."""
    return _compact(
        (
            ("DurableExecutionArn", request.durable_execution_arn),
            ("CheckpointToken", request.checkpoint_token),
            ("Updates", [update_to_wire(update) for update in request.updates]),
            ("ClientToken", request.client_token),
        ),
        request.extra,
    )


# -- events ------------------------------------------------------------------------------------

_EVENT_KEYS: Final = frozenset(
    {"EventType", "EventId", "EventTimestamp", "Id", "ParentId", "Name", "SubType"}
)
_DETAILS_KEYS: Final = {kind: details_key(kind) for kind in EVENTS}
_KNOWN_KEYS: Final = {kind: _EVENT_KEYS | {key} for kind, key in _DETAILS_KEYS.items()}
_TEXT_OR_NONE: Final = frozenset({str, type(None)})


def event_from_wire(raw: object, path: str = "Event") -> Event:
    """Read an Event; one of a type that isn't known keeps its details in `extra`.

    Raises WireError.
    """
    try:
        return _event(raw)
    except WireError as error:
        raise error.within(path + _event_id_of(raw)) from None


def events_from_wire(raws: Iterable[object], path: str = "Events") -> list[Event]:
    """Read Events, however many: the place of a wrong one is put into words only when it is wrong.

    Raises WireError.
    """
    events: list[Event] = []
    raw: object = None
    try:
        for raw in raws:
            events.append(_event(raw))
    except WireError as error:
        raise error.within(f"{path}[{len(events)}]{_event_id_of(raw)}") from None
    return events


def _event_id_of(raw: object) -> str:
    event_id = raw.get("EventId") if isinstance(raw, dict) else None
    return f" (EventId {event_id})" if _is_event_id(event_id) else ""


def _is_event_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _event(raw: object) -> Event:
    """Read an Event; the path of an error is relative to it."""
    fields = _object(raw, "")
    event_type = _text(fields, "EventType", "")
    event_id = fields.get("EventId")
    if event_id is None or not _is_event_id(event_id):
        found = "nothing" if event_id is None else describe(event_id)
        raise WireError(".EventId", "a whole number from 1", found)
    moment = fields.get("EventTimestamp")
    if moment is None:
        raise WireError(".EventTimestamp", "a timestamp (ISO-8601 or epoch seconds)", "nothing")
    texts = (fields.get("Id"), fields.get("ParentId"), fields.get("Name"), fields.get("SubType"))
    if not _TEXT_OR_NONE.issuperset(map(type, texts)):
        for key in ("Id", "ParentId", "Name", "SubType"):
            _optional_text(fields, key, "")  # raises for the one that is wrong
    details_at = _DETAILS_KEYS.get(event_type)
    details = fields.get(details_at) if details_at else None
    if details:
        _check_details(details, EVENTS[event_type].fields, f".{details_at}")
    elif details is not None:
        _object(details, f".{details_at}")
    return Event(
        event_id,
        event_type,
        _timestamp(moment, ".EventTimestamp"),
        *texts,
        details,
        _rest(fields, _KNOWN_KEYS.get(event_type, _EVENT_KEYS)),
    )


def event_to_wire(event: Event) -> dict[str, Any]:
    """Write an Event as GetDurableExecutionHistory returns it."""
    return _compact(
        (
            ("EventType", event.event_type),
            ("SubType", event.sub_type),
            ("EventId", event.event_id),
            ("Id", event.id),
            ("Name", event.name),
            ("EventTimestamp", format_timestamp(event.timestamp)),
            ("ParentId", event.parent_id),
            (details_key(event.event_type), event.details),
        ),
        event.extra,
    )


def _check_details(details: object, kinds: Mapping[str, Kind], path: str) -> None:
    for key, value in _object(details, path).items():
        kind = kinds.get(key)
        if kind is None or value is None:
            continue
        try:
            _CHECKS[kind](value, "")
        except WireError as error:
            raise error.within(f"{path}.{key}") from None


def _check_payload(value: object, path: str) -> None:
    carrier = _object(value, path)
    _optional_text(carrier, "Payload", path)
    _optional_flag(carrier, "Truncated", path)


def _check_error(value: object, path: str) -> None:
    carrier = _object(value, path)
    _optional_flag(carrier, "Truncated", path)
    if carrier.get("Payload") is not None:
        error_from_wire(carrier["Payload"], f"{path}.Payload")


def _check_retry(value: object, path: str) -> None:
    carrier = _object(value, path)
    _optional_integer(carrier, "CurrentAttempt", path)
    _optional_integer(carrier, "NextAttemptDelaySeconds", path)


def _check_integer(value: object, path: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise WireError(path, "a whole number", describe(value))


def _check_text(value: object, path: str) -> None:
    if not isinstance(value, str):
        raise WireError(path, "a string", describe(value))


def _check_flag(value: object, path: str) -> None:
    if not isinstance(value, bool):
        raise WireError(path, "true or false", describe(value))


def _check_timestamp(value: object, path: str) -> None:
    _timestamp(value, path)


_CHECKS: Final[Mapping[Kind, Callable[[object, str], None]]] = {
    Kind.PAYLOAD: _check_payload,
    Kind.ERROR: _check_error,
    Kind.RETRY: _check_retry,
    Kind.INTEGER: _check_integer,
    Kind.TEXT: _check_text,
    Kind.FLAG: _check_flag,
    Kind.TIMESTAMP: _check_timestamp,
}


def error_of(event: Event) -> ErrorObject | None:
    """Return the error that an event carries; None if it carries none or an empty one."""
    carrier = (event.details or NOTHING).get("Error")
    payload = carrier.get("Payload") if carrier else None
    return error_from_wire(payload) if payload else None


# -- executions --------------------------------------------------------------------------------

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
    }
)
"""The fields of GetDurableExecution that are read."""


def execution_record_from_wire(raw: object, path: str = "Execution") -> ExecutionRecord:
    """Read what GetDurableExecution answers. Raises WireError."""
    fields = _object(raw, path)
    status = _optional_text(fields, "Status", path)
    known = status in ExecutionStatus.__members__
    return ExecutionRecord(
        arn=_optional_text(fields, "DurableExecutionArn", path),
        name=_optional_text(fields, "DurableExecutionName", path),
        function_arn=_optional_text(fields, "FunctionArn", path),
        version=_optional_text(fields, "Version", path),
        status=ExecutionStatus(status) if status and known else None,
        input_payload=_optional_text(fields, "InputPayload", path),
        result=_optional_text(fields, "Result", path),
        error=_optional_error(fields, path),
        start_timestamp=_optional_timestamp(fields, "StartTimestamp", path),
        end_timestamp=_optional_timestamp(fields, "EndTimestamp", path),
        extra=_rest(fields, RECORD_KEYS if known or not status else RECORD_KEYS - {"Status"}),
    )


def execution_record_to_wire(record: ExecutionRecord) -> dict[str, Any]:
    """Write what GetDurableExecution answers."""
    return _compact(
        (
            ("DurableExecutionArn", record.arn),
            ("DurableExecutionName", record.name),
            ("FunctionArn", record.function_arn),
            ("Version", record.version),
            ("Status", None if record.status is None else record.status.value),
            ("InputPayload", record.input_payload),
            ("Result", record.result),
            ("Error", _error_or_none(record.error)),
            ("StartTimestamp", _stamp(record.start_timestamp)),
            ("EndTimestamp", _stamp(record.end_timestamp)),
        ),
        record.extra,
    )


# -- invocations -------------------------------------------------------------------------------


_INPUT_KEYS: Final = frozenset(
    {"DurableExecutionArn", "CheckpointToken", "InitialExecutionState", "UpdatedOperationIds"}
)


def invocation_input_from_wire(raw: object, path: str = "InvocationInput") -> InvocationInput:
    """Read what a handler receives. Raises WireError."""
    fields = _object(raw, path)
    state_path = f"{path}.InitialExecutionState"
    state = _object(fields.get("InitialExecutionState"), state_path)
    return InvocationInput(
        durable_execution_arn=_text(fields, "DurableExecutionArn", path),
        checkpoint_token=_text(fields, "CheckpointToken", path),
        operations=tuple(
            operation_from_wire(operation, f"{state_path}.Operations[{index}]")
            for index, operation in enumerate(_optional_list(state, "Operations", state_path))
        ),
        next_marker=_optional_text(state, "NextMarker", state_path),
        updated_operation_ids=_optional_texts(fields, "UpdatedOperationIds", path),
        extra=_rest(fields, _INPUT_KEYS),
    )


def invocation_input_to_wire(value: InvocationInput) -> dict[str, Any]:
    """Write what a handler receives."""
    state = _compact(
        (
            ("Operations", [operation_to_wire(operation) for operation in value.operations]),
            ("NextMarker", value.next_marker),
        )
    )
    updated = value.updated_operation_ids
    return _compact(
        (
            ("DurableExecutionArn", value.durable_execution_arn),
            ("CheckpointToken", value.checkpoint_token),
            ("InitialExecutionState", state),
            ("UpdatedOperationIds", None if updated is None else list(updated)),
        ),
        value.extra,
    )
