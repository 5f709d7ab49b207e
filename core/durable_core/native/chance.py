"""The chance of a run: one seed, and a source of its own for each operation and attempt.

A shared stream would give other numbers whenever operations run in another order; so each attempt
draws from a source made of the seed, the operation's id and the attempt's number.
"""

from __future__ import annotations

import random
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


@contextmanager
def chance_is(fraction: float | None) -> Iterator[None]:
    """Let every draw in the block be one number, also by `random.random`; None: as it likes."""
    if fraction is None:
        yield
        return
    token = _current.set(_Fixed(fraction))
    before, random.random = random.random, lambda: fraction
    try:
        yield
    finally:
        random.random = before
        _current.reset(token)


class _Fixed(Random):
    """Draws one number only."""

    def __init__(self, fraction: float) -> None:
        super().__init__(0)
        self._fraction = fraction

    def random(self) -> float:
        return self._fraction


def draw() -> float:
    """Return a number from 0 up to 1: of the running attempt, or any outside of a run."""
    return _current.get().random()
