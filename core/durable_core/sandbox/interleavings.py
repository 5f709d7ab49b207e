"""Which of the threads that can go on is next: the interleavings of an invocation.

Interleaving 0 of seed 0 is the plain one: first come, first served, and no thread gives up its turn
before it must. Interleaving 1 is its opposite: what began last goes first, which shows most of what
depends on an order at once. The others draw from the seed and their number: the even ones choose
anew at each turn, the odd ones give each thread a rank, so that one runs far ahead of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol


class Ready(Protocol):
    """A thread or task that can go on. `number` counts them in the order in which they started,
    `begun` the pieces of work that they took up, such as the units of a map; 0: none yet."""

    @property
    def number(self) -> int: ...
    @property
    def begun(self) -> int: ...


Order = Callable[[Sequence[Ready]], int]
"""Returns the index of the one that is next, given those that can go on, in the order in which they
became able to."""


def order_of(seed: int, interleaving: int = 0, invocation: int = 1) -> Order:
    """Return the order of an invocation's threads in one interleaving."""
    if interleaving == 0 and seed == 0:
        return first_come
    if interleaving == 1:
        return last_begun
    chance = Random(f"{seed}:{interleaving}:{invocation}")
    return _ranked(chance) if interleaving % 2 else _drawn(chance)


def first_come(ready: Sequence[Ready]) -> int:
    """First come, first served."""
    return 0


def last_begun(ready: Sequence[Ready]) -> int:
    """Those first that have taken up nothing yet, then what was taken up last."""
    return max(range(len(ready)), key=lambda at: (not ready[at].begun, ready[at].begun, at))


def _drawn(chance: Random) -> Order:
    return lambda ready: chance.randrange(len(ready)) if len(ready) > 1 else 0


def _ranked(chance: Random) -> Order:
    ranks: dict[tuple[int, int], float] = {}

    def rank(each: Ready) -> float:
        key = (each.number, each.begun)
        if key not in ranks:
            ranks[key] = chance.random()
        return ranks[key]

    return lambda ready: max(range(len(ready)), key=[rank(each) for each in ready].__getitem__)
