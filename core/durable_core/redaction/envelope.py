"""The envelope in which AWS's Python SDK writes a value: `{"t": type, "v": value}`. Pure.

Source: `serdes.py` of 1.0.0 to 3.0.0. Without its tags no handler could read a stand-in, so they
stay; in a document that merely has such fields they are data like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

TAG: Final = "t"
VALUE: Final = "v"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_SCALARS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "n": lambda value: value is None,
    "b": lambda value: isinstance(value, bool),
    "i": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "f": _is_number,
    **dict.fromkeys(("s", "B", "u", "d", "dt", "D"), _is_text),
}
_LISTS: Final = frozenset(["l", "t"])
_OBJECTS: Final = frozenset(["m", "br"])
TAGS: Final = frozenset([*_SCALARS, *_LISTS, *_OBJECTS])


def is_envelope(document: Any) -> bool:
    """Tell whether a parsed document is one as a whole, down to its last value."""
    todo = [document]
    while todo:
        each = todo.pop()
        if not (isinstance(each, dict) and each.keys() == {TAG, VALUE}):
            return False
        tag, value = each[TAG], each[VALUE]
        if not isinstance(tag, str):
            return False
        if tag in _LISTS and isinstance(value, list):
            todo += value
        elif tag in _OBJECTS and isinstance(value, dict):
            todo += value.values()
        elif tag not in _SCALARS or not _SCALARS[tag](value):
            return False
    return True
