"""What has moved as a whole: units to another index, operations to another context. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from durable_core.ids import Path
from durable_core.verifying.divergence import Found
from durable_core.verifying.recorded_tree import Node, identity_of
from durable_core.verifying.runs import Outcome
from durable_core.verifying.session import Examination
from durable_core.verifying.traces import Trace
from durable_core.verifying.verification import Cause, Divergence, Line


def moved_units(
    examination: Examination, diverged: Sequence[tuple[Trace, Found]]
) -> Iterator[Found]:
    """Yield the divergences of units; where each of a map or parallel does all that another one is
    recorded to have done, the units have moved, and what is in them hasn't changed."""
    batches: dict[Path, list[tuple[Trace, Found]]] = {}
    for trace, found in diverged:
        batches.setdefault(trace.path[:-1], []).append((trace, found))
    for path, units in batches.items():
        node = examination.tree.root.at(path)
        traces = [trace for trace, _ in units]
        stayed = _numbers(examination.traces, path) - _numbers(traces, path)
        numbers = None if node is None else _numbers_of(traces, node, stayed)
        for index, (trace, found) in enumerate(units):
            if numbers is None:
                yield found
            else:
                yield _as_moved(examination, trace, found, numbers[index])


def _numbers(traces: Sequence[Trace], batch: Path) -> set[int]:
    """Return the numbers of the units of a map or parallel among the traces."""
    return {trace.path[-1] for trace in traces if trace.path and trace.path[:-1] == batch}


def _numbers_of(traces: Sequence[Trace], batch: Node, stayed: set[int]) -> list[int] | None:
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
        if number is None or trace.outcome is Outcome.RAISED:
            return None
        del left[number]
        numbers.append(number)
    return numbers


def _as_moved(examination: Examination, trace: Trace, found: Found, number: int) -> Found:
    own, other = (each - examination.first_unit for each in (trace.path[-1], number))
    why = f"unit {own:,} now does what unit {other:,} did: {found.divergence.why}"
    counted = any(
        run.path == trace.path[:-1] and run.total not in (None, len(run.names))
        for run in examination.batches
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
