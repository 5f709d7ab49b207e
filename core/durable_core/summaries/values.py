"""What a stored map or parallel result says of its units, whoever wrote it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple

from durable_core.frozen import dataclass
from durable_core.model import ErrorObject, UnitStatus


class SummaryForm(StrEnum):
    """Who writes a result in this form."""

    DOTNET = "dotnet"
    COMPACT = "compact"
    PYTHON = "python"
    PYTHON_1 = "python-1"
    JAVASCRIPT = "javascript"
    JAVASCRIPT_OLD = "javascript-old"
    JAVA = "java"
    DAG = "dag"
    INLINE = "inline"
    EMPTY = "empty"


class UnitRun(NamedTuple):
    """Neighbouring units, `start` to `stop - 1`, that ended alike.

    `status` None: the unit ended, and the summary doesn't say how. `dispatched` False: it was never
    started (it then has the status STARTED, and the live result didn't list it).
    """

    start: int
    stop: int
    status: UnitStatus | None
    dispatched: bool = True


_start: Final = attrgetter("start")


@dataclass(frozen=True, slots=True)
class Summary:
    """What a stored map or parallel result says of its units.

    `reason` is the completion reason as stored (it may be one that this version doesn't know),
    `names` the unit names by index where the form carries them, `total` the number of units that
    the form lists. `stripped` is True when the values themselves are not in it. `failures` is how
    many units failed, where the form only counts them; `errors` are those of failed units by index,
    where the form stores them.
    """

    form: SummaryForm
    stripped: bool
    total: int = 0
    reason: str | None = None
    runs: tuple[UnitRun, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    names_dropped: bool = False
    failures: int | None = None
    errors: Mapping[int, ErrorObject] = field(default_factory=dict)

    def status_of(self, index: int) -> UnitRun | None:
        """Return what a unit is, as a run of its own, or None when the summary doesn't list it."""
        at = bisect_right(self.runs, index, key=_start) - 1
        if at < 0 or index >= self.runs[at].stop:
            return None
        return UnitRun(index, index + 1, self.runs[at].status, self.runs[at].dispatched)

    def between(self, start: int, stop: int) -> Iterator[UnitRun]:
        """Return the runs of units `start` to `stop - 1`, cut to them."""
        at = max(0, bisect_right(self.runs, start, key=_start) - 1)
        while start < stop and at < len(self.runs) and self.runs[at].start < stop:
            run = self.runs[at]
            if run.stop > start:
                yield run._replace(start=max(run.start, start), stop=min(run.stop, stop))
            at += 1

    def count(self, status: UnitStatus | None, *, dispatched: bool | None = None) -> int:
        """Return how many units have the status (and were dispatched or not, when asked)."""
        return sum(
            run.stop - run.start
            for run in self.runs
            if run.status is status and dispatched in (None, run.dispatched)
        )


@dataclass(frozen=True, slots=True)
class FrozenUnit:
    """A unit as a summary freezes it."""

    index: int
    name: str | None
    status: UnitStatus
    dispatched: bool = True


class SummaryTooLarge(ValueError):
    """Even the compact form of a summary is over the payload limit."""


LETTERS: Final[Mapping[str, tuple[UnitStatus, bool]]] = {
    "S": (UnitStatus.SUCCEEDED, True),
    "F": (UnitStatus.FAILED, True),
    "R": (UnitStatus.STARTED, True),
    "N": (UnitStatus.STARTED, False),
}
"""What a letter of the compact form says of a unit: how it ended, and whether it was dispatched."""
