"""What came of an session: where the code of each context leaves what is recorded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from durable_core.ids import Path, position_text
from durable_core.model import SubType
from durable_core.verifying.divergence import Found, first_divergence
from durable_core.verifying.recorded_tree import Node, identity_of
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import BodyEnd, ContextComparison, ContextTrace
from durable_core.verifying.unit_divergence import batch_divergence
from durable_core.verifying.verification import (
    GOES_ON,
    Cause,
    Divergence,
    Inconclusive,
    Line,
    line_at,
)


def find_divergences(session: ReplaySession) -> list[Found]:
    """Return the divergences, the first one first: at most one a context.

    One inside of a context of which isn't known whether the service would have its body run is
    a reason for doubt instead.
    """
    batches = [each for each in map(batch_divergence, session.batches) if each is not None]
    batches += session.extra
    found: list[Found] = [*batches]
    diverged: list[Path] = [_path_of(each) for each in batches]
    units: list[tuple[ContextTrace, Found]] = []
    for trace in sorted(session.traces, key=lambda each: len(each.path), reverse=True):
        if trace.host is not None or (trace.node is None and trace.path and not trace.asked):
            continue
        if trace.outcome is BodyEnd.NOT_RUN or trace.is_as_recorded:
            continue
        each = first_divergence(_without_empty_ends(session, trace))
        if each is None or _is_blocked(trace, each, diverged) or _is_named_by_another(trace, each):
            continue
        diverged.append(trace.path)
        batch = session.tree.root.at(trace.path[:-1])
        if batch is not None and batch.is_batch:
            units.append((trace, each))
        else:
            found.append(each)
    found += moved_units(session, units)
    found = [each for each in found if not _is_unclear(session, each)]
    found = moved_operations(sorted(found, key=lambda each: each.moment))
    return [each for each in found if not _is_new_at_the_end(session, each)]


def _without_empty_ends(session: ReplaySession, trace: ContextTrace) -> ContextComparison:
    """Return what a context asked for, without virtual contexts at its end that ask for nothing:
    nothing would be recorded of them."""
    run = trace.run()
    asked = list(trace.asked)
    while len(asked) > len(trace.sequence) and asked[-1].identity.virtual:
        if not _is_empty(session, (*trace.path, len(asked))):
            break
        asked.pop()
    return run if len(asked) == len(run.asked) else replace(run, asked=asked)


def _is_empty(session: ReplaySession, path: Path) -> bool:
    """Return True for a context that asks for nothing but virtual contexts that do neither."""
    trace = next((each for each in session.traces if each.path == path), None)
    return trace is not None and all(
        asked.identity.virtual and _is_empty(session, (*path, number))
        for number, asked in enumerate(trace.asked, 1)
    )


def _is_new_at_the_end(session: ReplaySession, found: Found) -> bool:
    """Return True, and note it, for an operation after the recorded end of the execution: it breaks
    nobody."""
    if not found.is_after_end or found.within:
        return False
    root = session.root
    asked = root.asked[len(root.sequence)]
    path = (len(root.sequence) + 1,)
    session.differ(GOES_ON, path, None, str(asked.identity), asked)
    return True


def _is_named_by_another(trace: ContextTrace, found: Found) -> bool:
    """Return True within a wait_for_callback that is renamed: the SDK names by it what is in it."""
    if trace.node is None or not trace.path or found.divergence.cause is not Cause.RENAMED:
        return False
    recorded = identity_of(trace.node)
    return (
        recorded is not None
        and recorded.sub_type == SubType.WAIT_FOR_CALLBACK
        and str(line_at(trace.path, recorded)) != trace.label
    )


def _is_unclear(session: ReplaySession, found: Found) -> bool:
    path = _path_of(found)
    if not session.is_unclear_doubted:
        return False
    for around, identity in session.unclear.items():
        if path[: len(around)] == around and len(path) > len(around):
            doubt = Inconclusive(
                f"{identity} completed with a result that may be a summary, and its code has "
                f"changed at {found.divergence.position} ({found.divergence.why}): no event "
                "says ReplayChildren, on which depends whether that code runs again",
                "verify without --shallow, or against a state or invocation input of the "
                "execution, which say ReplayChildren",
                position_text(around),
            )
            session.doubts.append((found.moment, doubt))
            return True
    return False


def _path_of(found: Found) -> Path:
    return tuple(map(int, found.divergence.position.split(".")))


def _is_blocked(trace: ContextTrace, found: Found, diverged: Iterable[Path]) -> bool:
    """Return True when the code didn't get further only because it diverged further in."""
    if found.divergence.current is not None or trace.outcome is BodyEnd.RETURNED:
        return False
    size = len(trace.path)
    return any(path[:size] == trace.path and len(path) > size for path in diverged)


def moved_units(
    session: ReplaySession, diverged: Sequence[tuple[ContextTrace, Found]]
) -> Iterator[Found]:
    """Yield the divergences of units; where each of a map or parallel does all that another one is
    recorded to have done, the units have moved, and what is in them hasn't changed."""
    batches: dict[Path, list[tuple[ContextTrace, Found]]] = {}
    for trace, found in diverged:
        batches.setdefault(trace.path[:-1], []).append((trace, found))
    for path, units in batches.items():
        node = session.tree.root.at(path)
        traces = [trace for trace, _ in units]
        stayed = _numbers(session.traces, path) - _numbers(traces, path)
        numbers = None if node is None else _numbers_of(traces, node, stayed)
        for index, (trace, found) in enumerate(units):
            if numbers is None:
                yield found
            else:
                yield _as_moved(session, trace, found, numbers[index])


def _numbers(traces: Sequence[ContextTrace], batch: Path) -> set[int]:
    """Return the numbers of the units of a map or parallel among the traces."""
    return {trace.path[-1] for trace in traces if trace.path and trace.path[:-1] == batch}


def _numbers_of(traces: Sequence[ContextTrace], batch: Node, stayed: set[int]) -> list[int] | None:
    """Return for each unit the number of the first that recorded all that it asks for, each once,
    and none of those that still do what they are recorded to have done. None: not all have one."""
    left = {
        number: list(map(identity_of, batch.children[number].sequence()))
        for number in sorted(set(batch.children) - stayed)
    }
    numbers: list[int] = []
    for trace in traces:
        asked = [each.identity for each in trace.asked]
        number = next((number for number, recorded in left.items() if recorded == asked), None)
        if number is None or trace.outcome is BodyEnd.RAISED:
            return None
        del left[number]
        numbers.append(number)
    return numbers


def _as_moved(session: ReplaySession, trace: ContextTrace, found: Found, number: int) -> Found:
    own, other = (each - session.first_unit for each in (trace.path[-1], number))
    why = f"unit {own:,} now does what unit {other:,} did: {found.divergence.why}"
    counted = any(
        run.path == trace.path[:-1] and run.total not in (None, len(run.names))
        for run in session.batches
    )
    cause = Cause.UNIT_COUNT if counted else Cause.REORDERED
    return replace(found, divergence=replace(found.divergence, cause=cause, why=why))


# -- operations ------------------------------------------------------------------------------------


def moved_operations(found: Sequence[Found]) -> list[Found]:
    """Return the divergences; what one context no longer asks for and another one newly does has
    moved from the one to the other: of several, to the nearest."""
    gone = [each.divergence for each in found if _gone(each.divergence)]
    come = [each.divergence for each in found if _come(each.divergence)]
    return [replace(each, divergence=_moved(each.divergence, gone, come)) for each in found]


def _moved(one: Divergence, gone: Sequence[Divergence], come: Sequence[Divergence]) -> Divergence:
    key = _gone(one) or _come(one)
    left = one if _gone(one) else _nearest(one, [each for each in gone if _gone(each) == key])
    came = one if _come(one) else _nearest(one, [each for each in come if _come(each) == key])
    if key is None or left is None or came is None or left.expected is None:
        return one
    inwards = came.position.count(".") > left.position.count(".")
    _, _, operation = str(left.expected).partition(" ")
    why = f"{operation} has moved out of {_name_of(left)}, into {_name_of(came)}"
    return replace(one, cause=Cause.MOVED_IN if inwards else Cause.MOVED_OUT, why=why)


def _gone(one: Divergence) -> tuple[str, ...] | None:
    return _key(one.expected) if one.cause is Cause.REMOVED else None


def _come(one: Divergence) -> tuple[str, ...] | None:
    return _key(one.current) if one.cause is Cause.INSERTED else None


def _key(line: Line | None) -> tuple[str, ...] | None:
    """Return what an operation is told by in another context: nothing where it has no name."""
    if line is None or not line.name:
        return None
    return line.type, line.sub_type or "", line.name


def _nearest(one: Divergence, others: Sequence[Divergence]) -> Divergence | None:
    """Return the one that is in the same contexts for longest."""
    path = one.position.split(".")

    def shared(other: Divergence) -> int:
        pairs = zip(path, other.position.split("."), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    return max(others, key=shared, default=None)


def _name_of(one: Divergence) -> str:
    """Return the context without its position, so that many of one kind are told once."""
    position, _, name = one.context.partition(" ")
    return name if position.replace(".", "").isdecimal() else one.context
