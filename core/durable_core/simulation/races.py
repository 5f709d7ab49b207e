"""Whether a handler comes to the same in whatever order its threads or tasks take their turns.

Pure: runs in other interleavings are compared with the first one, by what they asked of the
service and by what their steps and the execution came to. Nothing else differs between those runs,
so what differs depends on an order that no replay, and no other execution, has to have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from durable_core.errors import DurableError
from durable_core.frozen import dataclass
from durable_core.model import OperationAction, OperationUpdate
from durable_core.simulation.determinism import Departure, departures, fingerprint
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.read_times import without_times


@dataclass(frozen=True, slots=True)
class Race:
    """The first operation, or else the end of the execution (`operation` None), that depends on
    the order of turns, and the interleaving in which it was seen to."""

    interleaving: int
    operation: str | None
    how: str


@dataclass(frozen=True, slots=True)
class RaceReport:
    """What came of the runs. `races` has one for each interleaving that departs from the first
    run. `unclear` are sentences on what differs in two runs of the same interleaving too,
    `unscheduled` those on what ran in real time."""

    interleavings: int
    races: tuple[Race, ...] = ()
    unclear: tuple[str, ...] = ()
    unscheduled: tuple[str, ...] = ()


def check_races(
    clean: Simulation,
    interleavings: int,
    run: Callable[[int], Simulation],
    on_run: Callable[[int, int], None] = lambda done, total: None,
) -> RaceReport:
    """Run the handler in so many other interleavings, and compare what comes of it.

    `run` runs it once more, from a cold start, in the interleaving of a number. Number 0 is that of
    the clean run: it is run once more to know what isn't the same in two such runs. `on_run` hears
    how many runs are done, of how many.
    """
    first = fingerprint(_timeless(clean))
    unscheduled = dict.fromkeys(clean.unscheduled)
    unstable: dict[str | None, Departure] = {}
    races: list[Race] = []
    for number in range(interleavings + 1):
        try:
            simulation = run(number)
        except DurableError as error:
            if number == 0 or not error.is_finding:
                raise
            races.append(Race(number, None, f"it doesn't end: {error}"))
            continue
        unscheduled |= dict.fromkeys(simulation.unscheduled)
        found = departures(first, fingerprint(_timeless(simulation)))
        if number == 0:
            unstable = {each.id: each for each in found}
        elif race := next(_told(found, unstable), None):
            races.append(Race(number, race.operation, race.how))
        on_run(number + 1, interleavings + 1)
    return RaceReport(interleavings, tuple(races), tuple(_unclear(unstable)), tuple(unscheduled))


def _timeless(run: Simulation) -> Simulation:
    """Return a run without the times in what operations and the execution came to: which unit takes
    how long, and reads the time when, is another thing in each order."""

    def told(update: OperationUpdate) -> OperationUpdate:
        if update.payload is None or update.action is OperationAction.START:
            return update
        return replace(update, payload=without_times(update.payload, run.ended))

    requests = tuple(replace(each, updates=tuple(map(told, each.updates))) for each in run.updates)
    return replace(run, updates=requests, result=without_times(run.result, run.ended))


def _told(found: Iterator[Departure], unstable: dict[str | None, Departure]) -> Iterator[Departure]:
    """Yield what can only come of the order of turns."""
    for each in found:
        if each.id not in unstable and not (unstable and each.id is None):
            yield each


def _unclear(unstable: dict[str | None, Departure]) -> Iterator[str]:
    for each in unstable.values():
        what = each.operation or "the end of the execution"
        yield f"{what} differs between two runs of the same interleaving: {each.how}"
