"""The chance of a run: one seed, and a source of its own for each operation and attempt.

A shared stream would give other numbers whenever operations run in another order; so each attempt
draws from a source made of the seed, the operation's id and the attempt's number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random

_OUTSIDE = Random()
_current: ContextVar[Random] = ContextVar("durable_chance", default=_OUTSIDE)


@contextmanager
def chance_of(seed: int, operation_id: str, attempt: int) -> Iterator[None]:
    """Draw from the source of this attempt for as long as the block runs."""
    token = _current.set(Random(f"{seed}/{operation_id}/{attempt}"))
    try:
        yield
    finally:
        _current.reset(token)


def draw() -> float:
    """Return a number from 0 up to 1: of the running attempt, or any outside of a run."""
    return _current.get().random()
