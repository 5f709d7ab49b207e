"""Random values drawn from the seed while an invocation runs: `random`, `os.urandom`, UUIDs.

The body of each attempt of a step has a source of its own, so that it draws the same in whatever
order, and in whichever invocation, bodies run; what runs outside of bodies shares one. Other
threads of the process draw as ever, and each of several invocations that run in threads side by
side draws from its own seed.
"""

from __future__ import annotations

import _thread
import os
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import BuiltinFunctionType
from typing import Any, Final

from durable_core.sandbox.step_bodies import DECISION, running_body

_SHARED: Final[Any] = random._inst
_NAMES: Final = tuple(
    name
    for name, value in vars(random).items()
    if not name.startswith("_") and getattr(value, "__self__", None) is _SHARED
)
_URANDOM: Final = os.urandom
_UUID1: Final = uuid.uuid1
_SEED: Final = random.Random.seed


class _Sources:
    """The sources of one invocation."""

    def __init__(self, seed: str, invocation: int, is_ours: Callable[[], bool]) -> None:
        self._seed, self._invocation = seed, invocation
        self._is_ours = is_ours
        self._thread = threading.get_ident()
        self._made: dict[str | None, Random] = {}

    def serves_current_thread(self) -> bool:
        """Return True in a thread of the invocation."""
        return self._is_ours() or threading.get_ident() == self._thread

    def current(self) -> Random:
        """Return the source of the code that runs, which is the invocation's."""
        body = running_body.get()
        found = self._made.get(body)
        if found is None:
            in_body = body is not None and body != DECISION
            seed = self._seed if in_body else f"{self._seed}:{self._invocation}"
            found = self._made[body] = Random(f"{seed}/{body}")
        return found


_running: list[_Sources] = []


def _current() -> Random | None:
    """Return the source of the code that runs; None where it is no invocation's."""
    for sources in reversed(_running):
        if sources.serves_current_thread():
            return sources.current()
    return None


@contextmanager
def drawn_from(
    seed: str, invocation: int = 1, is_ours: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Draw all random values of this thread, and of those in which `is_ours` returns True, from the
    seed of an execution: in bodies, in whatever invocation they run, from it alone."""
    sources = _Sources(seed, invocation, is_ours)
    _running.append(sources)
    try:
        with seeded_names():
            yield
    finally:
        _running.remove(sources)


@contextmanager
def seeded_names() -> Iterator[None]:
    """Have functions in place that draw from the seed while an invocation runs, and as ever
    otherwise: also around imports, for those that take a function by its name.

    Where something else has taken control of chance, it keeps it.
    """
    global _users
    with _lock:
        if _users == 0 and isinstance(os.urandom, BuiltinFunctionType):
            _put_in_place()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for module, name, before in _undo:
                    setattr(module, name, before)
                _undo.clear()


_lock: Final = _thread.allocate_lock()
_users = 0
_undo: list[tuple[Any, str, Any]] = []


def _put_in_place() -> None:
    for name in _NAMES:
        _put(random, name, _drawing(name, getattr(random, name)))
    _put(os, "urandom", _urandom)
    _put(random, "_urandom", _urandom)
    _put(random.Random, "seed", _seed)
    _put(uuid, "uuid1", _uuid1)


def _put(module: Any, name: str, ours: Any) -> None:
    _undo.append((module, name, getattr(module, name)))
    setattr(module, name, ours)


def _drawing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def draw(*args: Any, **keywords: Any) -> Any:
        source = _current()
        return (real if source is None else getattr(source, name))(*args, **keywords)

    draw.__name__ = draw.__qualname__ = name
    return draw


def _urandom(size: int, /) -> bytes:
    source = _current()
    return _URANDOM(size) if source is None else source.randbytes(size)


def _seed(self: Random, a: Any = None, version: int = 2) -> None:
    """Seed from the source what would be seeded by the operating system: `Random()`."""
    source = _current() if a is None else None
    _SEED(self, a if source is None else source.getrandbits(256), version)


def _uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    """Return a UUID of the time that the code reads, from no machine."""
    source = _current()
    if source is None:
        return _UUID1(node, clock_seq)
    uuid._last_timestamp = None  # type: ignore[attr-defined]  # that of an execution before
    drawn, sequence = source.getrandbits(48) | 1 << 40, source.getrandbits(14)
    return _UUID1(drawn if node is None else node, sequence if clock_seq is None else clock_seq)
