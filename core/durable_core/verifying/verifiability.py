"""What can't be verified of a history, and what a verdict leaves open. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from durable_core.fold import Folded
from durable_core.history import RecordedHistory
from durable_core.ids import IdScheme, position_text
from durable_core.patterns import pattern
from durable_core.sdks import sdks_of
from durable_core.verifying.divergence import Found
from durable_core.verifying.findings import leaks_of, parting_of
from durable_core.verifying.passes import Passes
from durable_core.verifying.record_checks import impossible_in
from durable_core.verifying.recorded_tree import RecordedTree
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.verification import Identity, Inconclusive


def doubts_of(history: RecordedHistory, folded: Folded) -> Iterator[Inconclusive]:
    """Yield why a history can't be verified, whatever the handler."""
    if not history.has_execution_data:
        yield Inconclusive(
            "the history has no execution data: what operations returned isn't known",
            "fetch it with `durable fetch`, or with --include-execution-data",
        )
    elif folded.execution.is_input_lost:
        yield Inconclusive(
            "the input of the execution was left out of the history (Truncated)",
            "give a history that has it",
        )
    if history.events and history.events[-1].event_id != len(history.events):
        yield Inconclusive(
            "the history is incomplete: events are missing",
            "fetch all of its pages, as `durable fetch` does",
        )
    if not history.events and history.operations is None:
        yield Inconclusive(
            "nothing is recorded: there are no events", "give a history that has some"
        )
    yield from impossible_in(history, folded)


def scheme_doubt(tree: RecordedTree, handlers: IdScheme) -> Inconclusive | None:
    """Return why a record can't be that of a handler whose SDK makes ids by the given scheme."""
    if tree.scheme is None:
        if not tree.lost:
            return None
        return Inconclusive(
            "the ids of the recorded operations follow no known scheme",
            "verify with a version of durable that knows the SDK that wrote them",
        )
    if tree.scheme is not handlers:
        return Inconclusive(
            f"the history was written by another SDK ({', '.join(sdks_of(tree.scheme))}: ids are "
            f"{tree.scheme.name}) than the handler's ({', '.join(sdks_of(handlers))}: "
            f"{handlers.name})",
            "give the handler that the history is of",
        )
    if tree.lost:
        return Inconclusive(
            f"{len(tree.lost):,} recorded operations have ids that fit no position",
            "give a history that is complete",
        )
    return None


def uncertain_doubts(session: ReplaySession, found: Found) -> tuple[Inconclusive, ...]:
    """Return why a divergence may come only from what the history doesn't hold whole."""
    return tuple(
        Inconclusive(
            f"the code leaves the record there ({found.divergence.why}), but {why}: by what it is "
            "really handed there it may go another way",
            "give a history that has it, or the state or invocation input of the execution",
            found.divergence.position,
        )
        for moment, why in session.uncertain.values()
        if moment < found.moment
    )


def notes_of(passes: Passes, *, is_green: bool) -> Iterator[str]:
    """Yield what a verdict leaves open, in sentences: of a green one what could not be seen."""
    session = passes.widest.session
    runs = (*passes.bodies, *([] if passes.service is None else [passes.service]))
    yield from dict.fromkeys(each for run in runs for each in run.session.notes)
    yield from dict.fromkeys(each for run in runs for each in _missing(run.session))
    if is_green:
        leaks = leaks_of(passes)
        yield from (f"{each}. No harm yet in this record" for each in leaks)
        if not leaks and (parting := parting_of(passes)):
            yield parting
        yield from _unseen(session)
    if passes.unseen:
        yield (
            f"{len(passes.unseen):,} completed contexts were not looked into: what the bodies of "
            "others do outside of themselves leads the code elsewhere before it comes to them"
        )
    if session.unlooked:
        yield (
            f"{session.unlooked:,} completed contexts were not looked into: this source is a "
            "state, from which the service leaves their operations out"
        )


def _missing(session: ReplaySession) -> Iterator[str]:
    """Yield which results the code was handed stand-ins for, and which can't be compared."""
    for _, why in list(session.uncertain.values())[:_MOST]:
        yield f"{why}: code that goes by what isn't there may go another way"
    missing = session.missing
    if missing.uncompared:
        why = next(iter(missing.uncompared.values()))
        yield f"not comparable: the result of {_first(tuple(missing.uncompared))} ({why})"
    if missing.handed:
        yield (
            f"not in the history: the result of {_first(missing.handed)}; the code doesn't look at "
            "it"
        )


def _first(labels: Sequence[str]) -> str:
    more = f" and of {len(labels) - _MOST:,} more" if len(labels) > _MOST else ""
    return f"{', '.join(labels[:_MOST])}{more}"


_MOST: Final = 3


def _unseen(session: ReplaySession) -> Iterator[str]:
    for named, alike in zip((False, True), _alike(session), strict=True):
        if alike:
            yield (
                f"{alike:,} {'' if named else 'unnamed '}operations have a neighbour of the same "
                f"type{' and name' if named else ''}: if two of them changed places, that could "
                "not be seen"
            )
    by_index = by_one_name = 0
    for batch in session.batches:
        names = [unit.name for unit in batch.units.values() if _is_given(unit.name)]
        by_index += _several(len(batch.units) - len(names))
        by_one_name += sum(map(_several, Counter(names).values()))
    if by_index:
        yield (
            f"{by_index:,} units of a map or parallel are known by their index only: if two of "
            "them changed places, that could not be seen"
        )
    if by_one_name:
        yield (
            f"{by_one_name:,} units of a map or parallel have the name of another one of it: if "
            "two of them changed places, that could not be seen"
        )
    virtual = sum(
        asked.identity.virtual and bool(asked.identity.name)
        for trace in session.traces
        for asked in trace.asked
    )
    if virtual:
        contexts = "1 virtual context is" if virtual == 1 else f"{virtual:,} virtual contexts are"
        yield (
            f"{contexts} asked for by a name, which is not recorded: if it is another now, that "
            "could not be seen"
        )
    uncounted = [
        f"{each.identity} at {position_text(each.path)}"
        for each in session.batches
        if each.total is None
    ]
    if uncounted:
        more = f" and of {len(uncounted) - 1:,} others" if len(uncounted) > 1 else ""
        yield (
            f"the number of units of {uncounted[0]}{more} isn't recorded, only which of them were "
            "started: if there are more or fewer of the others now, that could not be seen"
        )


def _alike(session: ReplaySession) -> tuple[int, int]:
    """Count the operations that could stand in each other's place unseen: unnamed, and named."""
    unnamed = named = 0
    for trace in session.traces:
        seen = [asked.identity[:_VIRTUAL] for asked in trace.asked]
        if len(set(seen)) == len(seen):
            continue
        for (_, _, name), number in Counter(seen).items():
            if number > 1 and name:
                named += number
            elif number > 1:
                unnamed += number
    return unnamed, named


_VIRTUAL: Final = Identity._fields.index("virtual")
"""What of an identity comes before is its type, sub-type and name."""


def _several(count: int) -> int:
    return count if count > 1 else 0


def _is_given(name: str | None) -> bool:
    """Return True for a recorded name of a unit that says more than its index."""
    return bool(name) and _DEFAULT_NAME.fullmatch(name or "") is None


_DEFAULT_NAME = pattern(r"(map-item|parallel-branch)-\d+")
