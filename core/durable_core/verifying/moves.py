"""What has moved as a whole: units to another index, operations to another context. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from durable_core.ids import Path
from durable_core.verifying.divergence import Found
from durable_core.verifying.examination import Examination
from durable_core.verifying.recorded_tree import Node, identity_of
from durable_core.verifying.runs import Outcome
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
        numbers = [None if node is None else _number_of(trace, node) for trace, _ in units]
        for (trace, found), number in zip(units, numbers, strict=True):
            if number is None or None in numbers:
                yield found
            else:
                yield _as_moved(examination, trace, found, number)


def _number_of(trace: Trace, batch: Node) -> int | None:
    """Return the number of the first unit that recorded all that this one asks for."""
    asked = [each.identity for each in trace.asked]
    if trace.outcome is Outcome.RAISED:
        return None
    for number in sorted(batch.children):
        if list(map(identity_of, batch.children[number].sequence())) == asked:
            return number
    return None


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
    moved from the one to the other."""
    gone = {_key(each.divergence.expected): each for each in found if _is_gone(each.divergence)}
    told = []
    for each in found:
        one = each.divergence
        key = _key(one.expected if _is_gone(one) else one.current)
        left = gone.get(key) if one.cause is Cause.INSERTED or _is_gone(one) else None
        came = next((other for other in found if _is_new(other.divergence, key)), None)
        if key is None or left is None or came is None:
            told.append(each)
            continue
        told.append(replace(each, divergence=_moved(one, left.divergence, came.divergence)))
    return told


def _moved(one: Divergence, left: Divergence, came: Divergence) -> Divergence:
    inwards = came.position.count(".") > left.position.count(".")
    operation = left.expected and str(replace(left.expected, position="")).strip()
    why = f"{operation} has moved out of {left.context}, into {came.context}"
    return replace(one, cause=Cause.MOVED_IN if inwards else Cause.MOVED_OUT, why=why)


def _is_gone(one: Divergence) -> bool:
    return one.cause is Cause.REMOVED and one.expected is not None


def _is_new(one: Divergence, key: object) -> bool:
    return one.cause is Cause.INSERTED and _key(one.current) == key


def _key(line: Line | None) -> tuple[str, str | None, str] | None:
    """Return what an operation is told by in another context: nothing where it has no name."""
    return (line.type, line.sub_type, line.name) if line is not None and line.name else None
