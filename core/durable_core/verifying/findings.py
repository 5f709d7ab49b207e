"""What the runs that a record is verified by come to: divergences, differences, doubts, leaks.
Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Final

from durable_core.sandbox.user_code import shown
from durable_core.verifying.divergence import Found
from durable_core.verifying.leaks import Leak
from durable_core.verifying.passes import Passes, Run, Seen
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import ContextTrace, RequestedOperation
from durable_core.verifying.verification import Cause, Difference, Inconclusive, RunOutcome


def divergences_seen(passes: Passes) -> list[Seen]:
    """Return the divergences of all runs: in the order in which the run that entered the most met
    them, those that it didn't meet by their positions."""
    service = list(_of_service(passes))
    positions = {each.found.divergence.position for each, _ in service}
    widest = passes.widest.session
    inside = (
        (each, each.found.moment if each.run.session is widest else None)
        for each in passes.inside
        if each.found.divergence.position not in positions
    )
    seen = [*service, *inside]
    met = sorted((at, n) for n, (_, at) in enumerate(seen) if at is not None)
    ordered = [seen[n][0] for _, n in met]
    others = (each for each, at in seen if at is None)
    for other in sorted(others, key=_place):
        later = (at for at, each in enumerate(ordered) if _place(each) > _place(other))
        ordered.insert(next(later, len(ordered)), other)
    return ordered


def _place(seen: Seen) -> tuple[float, ...]:
    return _numbers(seen.found.divergence.position)


def _of_service(passes: Passes) -> Iterator[tuple[Seen, int | None]]:
    """Yield where the service's replay diverges, and the moment at which the run that entered the
    most met the same: in its words, since it could follow the code further."""
    run = passes.service
    if run is None:
        return
    same = {_key(each): each for each in passes.widest.found}
    for found in run.found:
        if not is_of_service(run.session, found):
            continue
        twin = same.get(_key(found))
        if twin is None:
            yield Seen(found, run, None, _leak_behind(passes, found)), None
        else:
            yield Seen(replace(found, divergence=twin.divergence), run), twin.moment


def leaks_of(passes: Passes) -> list[Leak]:
    """Return what bodies of completed contexts do outside of themselves, as far as it is seen."""
    watch = passes.widest.session.leaks
    return [] if watch is None else watch.leaks


def _leak_behind(passes: Passes, found: Found) -> str | None:
    """Return why a divergence of the service's replay isn't there where bodies of completed
    contexts run too; None: they don't, or meet another one there."""
    if not passes.bodies or any(
        each.divergence.position == found.divergence.position for each in passes.widest.found
    ):
        return None
    told = [str(each) for each in leaks_of(passes)[:_MOST_LEAKS]]
    return "; ".join(told) or (
        "where the bodies of completed contexts run too, the code does what is recorded here: what "
        "one of them does outside of itself isn't done in a replay, which doesn't run them"
    )


def parting_of(passes: Passes) -> str | None:
    """Return where the service's replay asks for something else than a run of the bodies of
    completed contexts too, outside of them, though neither diverges; None: nowhere."""
    if passes.service is None or not passes.bodies:
        return None
    wide = {trace.path: trace for trace in passes.widest.session.traces}
    for trace in passes.service.session.traces:
        if trace.path not in wide or passes.service.session.completed_around(trace.path):
            continue
        for one, other in zip_longest(trace.asked, wide[trace.path].asked):
            if one is None or other is None or one.identity != other.identity:
                return _parting(trace, one, other)
    return None


def _parting(
    trace: ContextTrace, one: RequestedOperation | None, other: RequestedOperation | None
) -> str:
    replays, runs = (
        "nothing more" if each is None else f"{each.identity} at {shown(each.where)}"
        for each in (one, other)
    )
    return (
        f"{trace.label} asks for {runs} where the bodies of completed contexts run too, and for "
        f"{replays} in a replay, which doesn't run them: what one of them does outside of itself "
        "decides it"
    )


_MOST_LEAKS: Final = 3


def _key(found: Found) -> Any:
    told = found.divergence
    return told.position, told.expected, told.current


def is_of_service(session: ReplaySession, found: Found) -> bool:
    """Return True for a divergence that a replay meets: not inside of a context that it answers,
    except that a map or parallel compares the number and names of its units before."""
    if not session.completed_around(found.within):
        return True
    node = session.tree.root.at(found.within)
    is_of_units = node is not None and node.is_batch
    return is_of_units and found.divergence.cause is not Cause.NESTING


def _numbers(position: str | None) -> tuple[float, ...]:
    """Return a position by which things are put in order; none: at the end."""
    return (math.inf,) if position is None else tuple(map(int, position.split(".")))


def differences_seen(passes: Passes) -> list[Difference]:
    """Return the differences: inside of completed contexts those of the runs of their bodies, of
    all else those of the service's replay."""
    service = passes.service
    outside = [] if service is None else list(_differences(service, inside=False))
    inside = (each for run in passes.bodies for each in _differences(run, inside=True))
    return sorted([*outside, *inside], key=lambda each: _numbers(each.position))


def _differences(run: Run, *, inside: bool) -> Iterator[Difference]:
    for each in run.session.differences:
        is_outside = not run.session.completed_around(each.within)
        if run.counts(each.moment, each.within) if inside else is_outside:
            yield each.difference


def doubts_seen(passes: Passes, divergences: Sequence[Seen]) -> list[Inconclusive]:
    """Return why the outcome isn't known: what was met before the first divergence.

    What the service's replay diverges by stands whatever is in doubt inside of completed contexts.
    """
    service = passes.service
    doubts = [] if service is None else _doubts(service)
    if not doubts and any(each.inside is None for each in divergences):
        return []
    for run in passes.bodies:
        doubts += (each for each in _doubts(run) if each not in doubts)
    return doubts


def _doubts(run: Run) -> list[Inconclusive]:
    moments = [each.moment for each in run.found]
    first = min(moments if run.until is None else [*moments, run.until], default=None)
    return [each for moment, each in run.session.doubts if first is None or moment < first]


def outcome_by_run(passes: Passes) -> dict[str, RunOutcome]:
    """Return what each kind of run came to, which is the same in every verification of a
    deterministic handler against a record."""
    service = [] if passes.service is None else [passes.service]
    runs = {"shallow": service, "deep": passes.bodies}
    return {kind: _outcome(each) for kind, each in runs.items() if each}


def _outside(run: Run) -> tuple[Any, ...]:
    """Return what is asked for outside of the completed contexts that a replay answers: as many
    operations as are recorded, and what comes after those."""
    return tuple(
        sorted(
            (
                trace.path,
                len(trace.asked),
                *(str(each.identity) for each in trace.asked[len(trace.sequence) :]),
            )
            for trace in run.session.traces
            if trace.asked and not run.session.completed_around(trace.path)
        )
    )


def _outcome(runs: Sequence[Run]) -> RunOutcome:
    told = tuple(
        (
            tuple((found.divergence.cause, *_key(found)) for found in run.found),
            any(not each.is_refusal for each in _doubts(run)),
            sum(len(trace.asked) for trace in run.session.traces),
        )
        for run in runs
    )
    differences = (each.difference for run in runs for each in run.session.differences)
    return RunOutcome(told, tuple(differences), _outside(runs[0]))
