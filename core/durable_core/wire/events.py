"""Events, as GetDurableExecutionHistory returns them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from sys import intern
from typing import Any, Final, TypeGuard

from durable_core.errors import WireError
from durable_core.events import CARRIERS, EVENTS, Kind, details_key, error_carrier, format_timestamp
from durable_core.frozen import NOTHING
from durable_core.model import (
    ErrorObject,
    Event,
)
from durable_core.wire.values import (
    as_object,
    as_timestamp,
    describe,
    error_from_wire,
    optional_flag,
    optional_integer,
    optional_text,
    required_text,
    unknown_fields,
    without_none,
)

_Check = Callable[[object, str], None]
"""Checks a value; the path of a WireError is relative to the second argument."""

_EVENT_KEYS: Final = frozenset(
    {"EventType", "EventId", "EventTimestamp", "Id", "ParentId", "Name", "SubType"}
)
_TEXT_OR_NONE: Final = frozenset({str, type(None)})
_FLAG_OR_NONE: Final = frozenset({bool, type(None)})
_INTEGER_OR_NONE: Final = frozenset({int, type(None)})


def event_from_wire(raw: object, path: str = "Event") -> Event:
    """Read an Event; one of a type that isn't known keeps its details in `extra`.

    Raises WireError.
    """
    try:
        return _event(raw, {})
    except WireError as error:
        raise error.within(path + _event_id_of(raw)) from None


def events_from_wire(raws: Iterable[object], path: str = "Events", first: int = 0) -> list[Event]:
    """Read Events, however many: the place of a wrong one is put into words only when it is wrong.

    `first` is the index of the first one where it stands.

    Raises WireError.
    """
    events: list[Event] = []
    raw: object = None
    texts: dict[str, str] = {}  # the same ones in each event of an operation
    try:
        for raw in raws:
            events.append(_event(raw, texts))
    except WireError as error:
        raise error.within(f"{path}[{first + len(events)}]{_event_id_of(raw)}") from None
    return events


def _event_id_of(raw: object) -> str:
    event_id = raw.get("EventId") if isinstance(raw, dict) else None
    return f" (EventId {event_id})" if _is_event_id(event_id) else ""


def _is_event_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _event(raw: object, seen: dict[str, str]) -> Event:
    """Read an Event; the path of an error is relative to it."""
    fields = raw if type(raw) is dict else as_object(raw, "")
    event_type = fields.get("EventType")
    if type(event_type) is not str or not event_type:
        event_type = required_text(fields, "EventType", "")
    event_id = fields.get("EventId")
    if not _is_event_id(event_id):
        found = "nothing" if event_id is None else describe(event_id)
        raise WireError(".EventId", "a whole number from 1", found)
    moment = fields.get("EventTimestamp")
    if moment is None:
        raise WireError(".EventTimestamp", "a timestamp (ISO-8601 or epoch seconds)", "nothing")
    texts = (fields.get("Id"), fields.get("ParentId"), fields.get("Name"), fields.get("SubType"))
    if not _TEXT_OR_NONE.issuperset(map(type, texts)):
        for key in ("Id", "ParentId", "Name", "SubType"):
            optional_text(fields, key, "")  # raises for the one that is wrong
    details_at, known, checks = _READERS.get(event_type, _UNKNOWN)
    details = fields.get(details_at) if details_at else None
    if details:
        _check_details(details, checks, details_at)
    elif details is not None:
        as_object(details, f".{details_at}")
    operation_id, parent_id, name, sub_type = texts
    return Event(
        event_id,
        intern(event_type),  # the same few words in each of very many events
        as_timestamp(moment, ".EventTimestamp"),
        operation_id and seen.setdefault(operation_id, operation_id),
        parent_id and seen.setdefault(parent_id, parent_id),
        name and seen.setdefault(name, name),
        sub_type and intern(sub_type),
        details,
        NOTHING if known.issuperset(fields) else unknown_fields(fields, known),
    )


def event_to_wire(event: Event) -> dict[str, Any]:
    """Write an Event as GetDurableExecutionHistory returns it."""
    return without_none(
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


def _check_details(details: object, checks: Mapping[str, _Check], key: str) -> None:
    fields = details if type(details) is dict else as_object(details, f".{key}")
    for name, value in fields.items():
        check = checks.get(name)
        if check is None or value is None:
            continue
        try:
            check(value, "")
        except WireError as error:
            raise error.within(f".{key}.{name}") from None


def _check_payload(value: object, path: str) -> None:
    carrier = value if type(value) is dict else as_object(value, path)
    if type(carrier.get("Payload")) not in _TEXT_OR_NONE:
        optional_text(carrier, "Payload", path)
    if type(carrier.get("Truncated")) not in _FLAG_OR_NONE:
        optional_flag(carrier, "Truncated", path)


def _check_error(value: object, path: str) -> None:
    carrier = as_object(value, path)
    optional_flag(carrier, "Truncated", path)
    payload = carrier.get("Payload")
    if payload is not None and not _is_part(carrier):
        error_from_wire(payload, f"{path}.Payload")


def _is_part(carrier: Mapping[str, Any]) -> bool:
    """Tell whether an error is the beginning of its JSON text: what can be left of one."""
    return carrier.get("Truncated") is True and isinstance(carrier.get("Payload"), str)


def _check_retry(value: object, path: str) -> None:
    carrier = value if type(value) is dict else as_object(value, path)
    for key in ("CurrentAttempt", "NextAttemptDelaySeconds"):
        if type(carrier.get(key)) not in _INTEGER_OR_NONE:
            optional_integer(carrier, key, path)


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
    as_timestamp(value, path)


_CHECKS: Final[Mapping[Kind, _Check]] = {
    Kind.PAYLOAD: _check_payload,
    Kind.ERROR: _check_error,
    Kind.RETRY: _check_retry,
    Kind.INTEGER: _check_integer,
    Kind.TEXT: _check_text,
    Kind.FLAG: _check_flag,
    Kind.TIMESTAMP: _check_timestamp,
}

_READERS: Final[Mapping[str, tuple[str, frozenset[str], Mapping[str, _Check]]]] = {
    event_type: (
        details_key(event_type),
        _EVENT_KEYS | {details_key(event_type)},
        {name: _CHECKS[kind] for name, kind in {**CARRIERS, **spec.fields}.items()},
    )
    for event_type, spec in EVENTS.items()
}
"""Of each type of event: where its details are, the fields that it has, and how the details are
checked."""
_UNKNOWN: Final[tuple[str, frozenset[str], Mapping[str, _Check]]] = ("", _EVENT_KEYS, {})


def error_of(event: Event) -> ErrorObject | None:
    """Return the error that an event carries; None if it carries none, an empty one or a part."""
    carrier = error_carrier(event)
    if not carrier:
        return None
    payload = carrier.get("Payload")
    return error_from_wire(payload) if payload and not _is_part(carrier) else None
