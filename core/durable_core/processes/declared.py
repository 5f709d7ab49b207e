"""Whether a value is what its class declares, all the way down: what comes from a process that
runs a handler was unpacked without asking its classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

_MISSING: Final = object()


def is_as_declared(value: object, declared: Any) -> bool:
    """Return True where a value has the declared type, and so has whatever is in it: a class, a
    dataclass, a union, tuples and mappings of them. Of `Any`, what can be compared and hashed."""
    origin, inside = get_origin(declared), get_args(declared)
    if origin in (Union, UnionType):
        return any(is_as_declared(value, each) for each in inside)
    if origin is tuple:
        return isinstance(value, tuple) and _are_in_order(value, inside)
    if origin is Mapping:
        keys, values = inside
        return isinstance(value, dict) and all(
            is_as_declared(key, keys) and is_as_declared(each, values)
            for key, each in value.items()
        )
    if declared is Any:
        return _is_hashable(value)
    if not isinstance(value, float | int if declared is float else declared):
        return False
    kind: type = type(value)
    fields = _fields(kind) if dataclasses.is_dataclass(kind) else {}
    return all(
        is_as_declared(getattr(value, name, _MISSING), each) for name, each in fields.items()
    )


def _are_in_order(values: tuple[object, ...], inside: tuple[Any, ...]) -> bool:
    if inside[-1:] == (...,):
        return all(is_as_declared(each, inside[0]) for each in values)
    return len(values) == len(inside) and all(map(is_as_declared, values, inside))


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@cache
def _fields(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
