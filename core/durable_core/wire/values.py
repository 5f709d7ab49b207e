"""Reading and writing one JSON value, and the error object that most shapes carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from durable_core.errors import WireError
from durable_core.events import format_timestamp, parse_timestamp
from durable_core.frozen import NOTHING
from durable_core.model import ErrorObject
from durable_core.safe_text import plain

Json = Mapping[str, Any]
E = TypeVar("E", bound=StrEnum)


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


def as_object(value: object, path: str) -> dict[str, Any]:
    """Return the value when it is an object."""
    if isinstance(value, dict):
        return value
    raise WireError(path, "an object", describe(value))


def optional_text(raw: Json, key: str, path: str) -> str | None:
    """Return a string field, or None where it is absent."""
    value = raw.get(key)
    if value is None or type(value) is str:
        return value
    if isinstance(value, str):
        return plain(value)
    raise WireError(f"{path}.{key}", "a string", describe(value))


def required_text(raw: Json, key: str, path: str) -> str:
    """Return a string field that has to be there and not be empty."""
    value = raw.get(key)
    if isinstance(value, str) and value:
        return plain(value)
    raise WireError(f"{path}.{key}", "a string", "nothing" if key not in raw else describe(value))


def optional_integer(raw: Json, key: str, path: str) -> int | None:
    """Return a whole number, or None where it is absent."""
    value = raw.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise WireError(f"{path}.{key}", "a whole number", describe(value))


def optional_flag(raw: Json, key: str, path: str) -> bool | None:
    """Return true or false, or None where it is absent."""
    value = raw.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise WireError(f"{path}.{key}", "true or false", describe(value))


def as_timestamp(value: object, path: str) -> datetime:
    """Return the moment that a value says."""
    try:
        return parse_timestamp(value)
    except ValueError:
        raise WireError(path, "a timestamp (ISO-8601 or epoch seconds)", describe(value)) from None


def optional_timestamp(raw: Json, key: str, path: str) -> datetime | None:
    """Return the moment that a field says, or None where it is absent."""
    value = raw.get(key)
    return None if value is None else as_timestamp(value, f"{path}.{key}")


def one_of(kind: type[E], raw: Json, key: str, path: str) -> E:
    """Return a word of an enumeration."""
    value = required_text(raw, key, path)
    try:
        return kind(value)
    except ValueError:
        expected = f"one of {', '.join(kind)}"
        raise WireError(f"{path}.{key}", expected, describe(value)) from None


def unknown_fields(raw: Json, known: frozenset[str]) -> Json:
    """Return the fields that are not known, to be kept."""
    if known.issuperset(raw):
        return NOTHING
    return {key: value for key, value in raw.items() if key not in known}


def optional_list(raw: Json, key: str, path: str) -> list[Any]:
    """Return a list, empty where the field is absent."""
    value = raw.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise WireError(f"{path}.{key}", "a list", describe(value))


def optional_texts(raw: Json, key: str, path: str) -> tuple[str, ...] | None:
    """Return a list of strings, or None where it is absent."""
    if raw.get(key) is None:
        return None
    items = optional_list(raw, key, path)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise WireError(f"{path}.{key}[{index}]", "a string", describe(item))
    return tuple(items)


def without_none(pairs: Iterable[tuple[str, Any]], extra: Json = NOTHING) -> dict[str, Any]:
    """Return an object of the pairs that have a value, and of the unknown fields."""
    out = {key: value for key, value in pairs if value is not None}
    if extra:
        out.update(extra)
    return out


_ERROR_KEYS: Final = frozenset({"ErrorMessage", "ErrorType", "ErrorData", "StackTrace"})


def error_from_wire(raw: object, path: str = "Error") -> ErrorObject:
    """Read an ErrorObject. Raises WireError."""
    fields = as_object(raw, path)
    return ErrorObject(
        message=optional_text(fields, "ErrorMessage", path),
        type=optional_text(fields, "ErrorType", path),
        data=optional_text(fields, "ErrorData", path),
        stack_trace=optional_texts(fields, "StackTrace", path),
        extra=unknown_fields(fields, _ERROR_KEYS),
    )


def error_to_wire(error: ErrorObject) -> dict[str, Any]:
    """Write an ErrorObject."""
    return without_none(
        (
            ("ErrorMessage", error.message),
            ("ErrorType", error.type),
            ("ErrorData", error.data),
            ("StackTrace", None if error.stack_trace is None else list(error.stack_trace)),
        ),
        error.extra,
    )


def optional_error(raw: Json, path: str) -> ErrorObject | None:
    """Return the error in a field, or None where it is absent."""
    value = raw.get("Error")
    return None if value is None else error_from_wire(value, f"{path}.Error")


def stamp(moment: datetime | None) -> str | None:
    """Return a moment as it is written, or None."""
    return None if moment is None else format_timestamp(moment)


def error_or_none(error: ErrorObject | None) -> dict[str, Any] | None:
    """Return an error as it is written, or None."""
    return None if error is None else error_to_wire(error)
