"""Both directions of the service API's JSON: dicts as parsed, values of `model` as meant.

Nothing is lost: a field that isn't known is kept in `extra` and written back. A value of the wrong
shape raises `WireError` with its path. Timestamps are read in every form of
`events.parse_timestamp` and written as ISO-8601. Source: service model `lambda`, botocore 1.44.
"""

from __future__ import annotations

from durable_core.wire.events import error_of, event_from_wire, event_to_wire, events_from_wire
from durable_core.wire.executions import (
    RECORD_KEYS,
    REDACTED,
    execution_record_from_wire,
    execution_record_to_wire,
    invocation_input_from_wire,
    invocation_input_to_wire,
)
from durable_core.wire.operations import operation_from_wire, operation_to_wire
from durable_core.wire.updates import (
    request_from_wire,
    request_to_wire,
    update_from_wire,
    update_to_wire,
)
from durable_core.wire.values import describe, error_from_wire, error_to_wire

__all__ = [
    "RECORD_KEYS",
    "REDACTED",
    "describe",
    "error_from_wire",
    "error_of",
    "error_to_wire",
    "event_from_wire",
    "event_to_wire",
    "events_from_wire",
    "execution_record_from_wire",
    "execution_record_to_wire",
    "invocation_input_from_wire",
    "invocation_input_to_wire",
    "operation_from_wire",
    "operation_to_wire",
    "request_from_wire",
    "request_to_wire",
    "update_from_wire",
    "update_to_wire",
]
