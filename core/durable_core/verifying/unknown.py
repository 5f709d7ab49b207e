"""Values that a run doesn't have, and what stands for them until code looks at one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn


class NotKnown(TypeError):
    """A value that isn't known was looked at where values are only compared."""


class UnknownValue:
    """Stands for a value that isn't known: it can be handed on, stored and returned.

    Whatever looks at it (an attribute, a comparison, its truth, its text, an iteration, its class)
    calls `on_use`, which raises. Only `is`, `type()` and a sequence pattern of `match` don't.
    """

    __slots__ = ("_on_use",)

    def __getattribute__(self, name: str) -> Any:
        _used(self)


def stand_for_unknown(on_use: Callable[[], NoReturn]) -> UnknownValue:
    """Return what stands for a value; `on_use` is called when it is looked at, and raises."""
    made = UnknownValue()
    _ON_USE.__set__(made, on_use)
    return made


def is_unknown(value: object) -> bool:
    """Return True for what stands for a value that isn't known. It doesn't look at it."""
    return type(value) is UnknownValue


_ON_USE: Final[Any] = UnknownValue.__dict__["_on_use"]


def _used(self: UnknownValue, *_: Any, **__: Any) -> NoReturn:
    _ON_USE.__get__(self)()
    raise NotKnown("a value that isn't known was used")


_BINARY: Final = """
    add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or
"""
_LOOKS: Final = """
    lt le eq ne gt ge hash bool str repr format bytes int float complex index round trunc floor ceil
    neg pos abs invert len length_hint iter next reversed contains getitem setitem delitem call
    await aiter anext enter exit aenter aexit fspath setattr delattr dir reduce reduce_ex copy
    deepcopy
"""
_NAMES: Final = (
    *_LOOKS.split(),
    *(f"{kind}{each}" for each in _BINARY.split() for kind in ("", "r", "i")),
)

for _each in _NAMES:  # looked up on the class, so that __getattribute__ doesn't see them
    setattr(UnknownValue, f"__{_each}__", _used)

Mapping.register(
    UnknownValue
)  # so that a mapping pattern of `match` looks at it, and isn't passed over
