"""Python's chance, drawn from the seed while an invocation runs: `random`, `os.urandom`, UUIDs.

The body of each attempt of a step has a source of its own, so that it draws the same in whatever
order bodies run; what runs outside of bodies shares one. Other threads of the process draw as ever.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import BuiltinFunctionType
from typing import Any, Final

from durable_core.adapters.threads.tasks import current_task
from durable_core.native.bodies import running_body

_SHARED: Final[Any] = random._inst
_NAMES: Final = tuple(
    name
    for name, value in vars(random).items()
    if not name.startswith("_") and getattr(value, "__self__", None) is _SHARED
)
_URANDOM: Final = os.urandom


class _Sources:
    """The sources of one invocation."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._thread = threading.get_ident()
        self._made: dict[str | None, Random] = {}

    def current(self) -> Random | None:
        """Return the source of the code that runs; None where it isn't the invocation's."""
        if current_task() is None and threading.get_ident() != self._thread:
            return None
        body = running_body.get()
        found = self._made.get(body)
        if found is None:
            seed = self._seed if body is None else f"{self._seed}/{body}"
            found = self._made[body] = Random(seed)
        return found


_running: list[_Sources] = []


@contextmanager
def drawn_from(seed: str) -> Iterator[None]:
    """Draw all chance of this thread, and of those that are scheduled, from a seed."""
    _running.append(_Sources(seed))
    try:
        with seeded_names():
            yield
    finally:
        _running.pop()


@contextmanager
def seeded_names() -> Iterator[None]:
    """Have functions in place that draw from the seed while an invocation runs, and as ever
    otherwise: also around imports, for those that take a function by its name.

    Where something else has taken control of chance, it keeps it.
    """
    global _users
    if _users == 0 and isinstance(os.urandom, BuiltinFunctionType):
        _put_in_place()
    _users += 1
    try:
        yield
    finally:
        _users -= 1
        if _users == 0:
            for module, name, before in _undo:
                setattr(module, name, before)
            _undo.clear()


_users = 0
_undo: list[tuple[Any, str, Any]] = []


def _put_in_place() -> None:
    for name in _NAMES:
        _put(random, name, _drawing(name, getattr(random, name)))
    _put(os, "urandom", _urandom)
    _put(random, "_urandom", _urandom)


def _put(module: Any, name: str, ours: Any) -> None:
    _undo.append((module, name, getattr(module, name)))
    setattr(module, name, ours)


def _drawing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def draw(*args: Any, **keywords: Any) -> Any:
        source = _running[-1].current() if _running else None
        return (real if source is None else getattr(source, name))(*args, **keywords)

    draw.__name__ = draw.__qualname__ = name
    return draw


def _urandom(size: int, /) -> bytes:
    source = _running[-1].current() if _running else None
    return _URANDOM(size) if source is None else source.randbytes(size)
