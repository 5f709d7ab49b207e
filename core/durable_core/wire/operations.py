"""Operations, as a state and an invocation input hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from durable_core.model import ErrorObject, Operation, OperationStatus, OperationType
from durable_core.operation_types import OPERATION_TYPES, OperationTypeRow
from durable_core.wire.values import (
    Json,
    as_object,
    error_to_wire,
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

Written = Callable[[datetime | None], Any]
"""Returns a time as it is written; None for none."""


def _error(raw: Json, _: str, path: str) -> ErrorObject | None:
    return optional_error(raw, path)


_FIELDS: Final[Mapping[str, tuple[str, Callable[[Json, str, str], Any]]]] = {
    "input_payload": ("InputPayload", optional_text),
    "replay_children": ("ReplayChildren", optional_flag),
    "attempt": ("Attempt", optional_integer),
    "next_attempt_timestamp": ("NextAttemptTimestamp", optional_timestamp),
    "scheduled_end_timestamp": ("ScheduledEndTimestamp", optional_timestamp),
    "callback_id": ("CallbackId", optional_text),
    "result": ("Result", optional_text),
    "error": ("Error", _error),
}
"""How the fields of details are named on the wire, and read."""


class _Shape:
    """How one type's details stand on the wire."""

    def __init__(self, row: OperationTypeRow) -> None:
        self.key, self.field, self.details = row.details.__name__, row.details_field, row.details
        names = [each.name for each in fields(row.details) if each.name != "extra"]
        self.fields = [(name, *_FIELDS[name]) for name in names]
        self.known = frozenset(key for _, key, _ in self.fields)

    def read(self, raw: Json, path: str) -> Any:
        values = {name: read(raw, key, path) for name, key, read in self.fields if key in raw}
        return self.details(**values, extra=unknown_fields(raw, self.known))

    def write(self, details: Any, written: Written) -> dict[str, Any]:
        pairs = ((key, _written(getattr(details, name), written)) for name, key, _ in self.fields)
        return without_none(pairs, details.extra)


def _written(value: Any, written: Written) -> Any:
    if isinstance(value, datetime):
        return written(value)
    return error_to_wire(value) if isinstance(value, ErrorObject) else value


_SHAPES: Final = [_Shape(row) for row in OPERATION_TYPES.values()]

_OPERATION_KEYS: Final = frozenset(
    {"Id", "ParentId", "Name", "Type", "SubType", "StartTimestamp", "EndTimestamp", "Status"}
    | {shape.key for shape in _SHAPES}
)


def operation_from_wire(raw: object, path: str = "Operation") -> Operation:
    """Read an Operation. Raises WireError."""
    given = as_object(raw, path)
    details = {
        shape.field: shape.read(as_object(given[shape.key], where), where)
        for shape in _SHAPES
        if given.get(shape.key) is not None
        for where in [f"{path}.{shape.key}"]
    }
    return Operation(
        id=required_text(given, "Id", path),
        type=one_of(OperationType, given, "Type", path),
        status=one_of(OperationStatus, given, "Status", path),
        start_timestamp=optional_timestamp(given, "StartTimestamp", path),
        parent_id=optional_text(given, "ParentId", path),
        name=optional_text(given, "Name", path),
        sub_type=optional_text(given, "SubType", path),
        end_timestamp=optional_timestamp(given, "EndTimestamp", path),
        extra=unknown_fields(given, _OPERATION_KEYS),
        **details,
    )


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
            *(
                (shape.key, shape.write(details, written))
                for shape in _SHAPES
                if (details := getattr(operation, shape.field)) is not None
            ),
        ),
        operation.extra,
    )
