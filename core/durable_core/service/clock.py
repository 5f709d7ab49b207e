"""Virtual time: a clock that only moves when told, and one ordered set of timers.

Nothing here reads the real time or sleeps. What is due first happens first; of two timers due at
the same moment, the one that was set first, unless it is said to come last.
"""

from __future__ import annotations

from datetime import datetime
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class VirtualClock:
    """The time of a simulation. It never goes backwards and never moves by itself."""

    __slots__ = ("_now",)

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("a virtual clock needs a timezone-aware moment")
        self._now = now

    @property
    def now(self) -> datetime:
        """The current moment."""
        return self._now

    def advance_to(self, moment: datetime) -> datetime:
        """Move on to the moment and return it; stay where it has passed already."""
        self._now = max(self._now, moment)
        return self._now


class Timers(Generic[T]):
    """Things due at moments, taken out in the order of their moments, then of their setting; those
    that come `last` after all others of their moment.

    Setting and taking cost O(log n) in the number of timers that are set, cancelling O(1).
    """

    __slots__ = ("_count", "_heap", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, bool, int]] = []
        self._live: dict[int, T] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._live)

    def set(self, due: datetime, what: T, *, last: bool = False) -> int:
        """Set a timer and return the key that cancels it."""
        self._count += 1
        self._live[self._count] = what
        heappush(self._heap, (due, last, self._count))
        return self._count

    def cancel(self, key: int) -> None:
        """Take a timer back. One that is gone already is no error."""
        self._live.pop(key, None)

    def clear(self) -> None:
        """Take every timer back."""
        self._heap.clear()
        self._live.clear()

    def next_due(self) -> datetime | None:
        """Return the moment of the next timer, or None."""
        while self._heap and self._heap[0][2] not in self._live:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> tuple[datetime, T] | None:
        """Remove and return the next timer that is due by now, with its moment; None if none is."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, _, key = heappop(self._heap)
        return due, self._live.pop(key)
