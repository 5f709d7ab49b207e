"""Following code that has left its record: which recorded operation answers what it asks for.

The verdict never depends on this: an operation that isn't recorded at its own position is a
divergence whatever happens here. But to say what the likely cause is, the code has to be followed
further, and for that what it asks for next needs a value. Pure but for its own position.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from durable_core.verifying.verification import Identity


class Fit(Enum):
    """How what answers was found."""

    EXACT = auto()
    """At its own position, with its own identity."""
    DISPLACED = auto()
    """With its own identity, at another position of the context."""
    SUBSTITUTED = auto()
    """It stands in for the recorded operation that comes next, whose identity is another."""
    SYNTHETIC = auto()
    """It is taken for a new operation, before the recorded one that comes next."""
    NEW = auto()
    """Nothing answers: everything that the context recorded is used up."""


class Match(NamedTuple):
    """What answers: the index (`at`) of a recorded operation, or None."""

    fit: Fit
    at: int | None = None


def same(recorded: Identity | None, asked: Identity) -> bool:
    """Return True when a replay takes the one for the other.

    A virtual context leaves no record of its own, only one of what is in it, and none if that is
    nothing: it fits where no operation is recorded.
    """
    if asked.virtual:
        return recorded is None or recorded.virtual
    return recorded is not None and not recorded.virtual and recorded == asked


_MOST_SYNTHETIC: Final = 20
"""A loop that waits for a certain value would ask for ever."""


class Alignment:
    """Where the code of one context is in what the context recorded (None: nothing recorded).

    What isn't recorded may be the next recorded operation, changed, or a new one before it: the one
    is supposed when `substitutes`, the other when not.
    """

    def __init__(self, recorded: Sequence[Identity | None], *, substitutes: bool = True) -> None:
        self._recorded = recorded
        self._substitutes = substitutes
        self._synthetic = 0
        self._used = [False] * len(recorded)
        self._at = 0
        self._asked = 0
        self._is_substituting = False
        self._is_as_recorded = True

    @property
    def is_complete(self) -> bool:
        """True when just what is recorded was asked for, each at its own position."""
        return self._is_as_recorded and self._asked == len(self._recorded)

    @property
    def is_exhausted(self) -> bool:
        """True when nothing is left to answer with."""
        return self._at >= len(self._recorded)

    def takes_own(self, asked: Identity) -> bool:
        """Ask for the next operation where it is what is recorded at its own position, and return
        True: there nothing has to be looked for. If not, nothing has been asked."""
        position = self._asked
        if position < self._at or position >= len(self._recorded) or self._used[position]:
            return False
        if not same(self._recorded[position], asked):
            return False
        self._asked = self._at = position + 1
        self._used[position] = True
        self._is_substituting = False
        return True

    def look(self, asked: Identity) -> Match:
        """Return what answers the next operation, which is not the one at its own position."""
        self._asked += 1
        self._is_as_recorded = False
        found = self._find(asked)
        if found is not None:
            self._take(found)
            return Match(Fit.DISPLACED, found)
        if not self._substitutes and not self.is_exhausted and self._synthetic < _MOST_SYNTHETIC:
            self._synthetic += 1
            return Match(Fit.SYNTHETIC)
        if self._is_substituting:
            self._used[self._at] = True
            self._at += 1
        self._is_substituting = not self.is_exhausted
        return Match(Fit.SUBSTITUTED, self._at) if self._is_substituting else Match(Fit.NEW)

    def claim(self, asked: Identity) -> int | None:
        """Give up a recorded operation to code in another context that asks for the same."""
        found = self._find(asked)
        if found is not None:
            self._take(found)
        return found

    def _take(self, index: int) -> None:
        self._used[index] = True
        self._at = max(self._at, index + 1)
        self._is_substituting = False

    def _find(self, asked: Identity) -> int | None:
        """Look ahead, then back among what was left out."""
        ahead: list[int] = [*range(self._at, len(self._recorded)), *range(self._at)]
        for index in ahead:
            recorded = self._recorded[index]
            if recorded is not None and not self._used[index] and same(recorded, asked):
                return index
        return None
