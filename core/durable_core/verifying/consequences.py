"""What a runtime does in production where code has diverged, in words. Pure.

Sources: the native runtime here; `identifier.py` and `concurrency/executor.py` of AWS's Python SDK
3.0.0, `operation/*.py` of 1.7.0 and 2.1.0; reference 2026-11 section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durable_core.frozen import dataclass
from durable_core.verifying.passes import Seen
from durable_core.verifying.recorded_tree import Node, identity_of
from durable_core.verifying.verification import Cause, Divergence, Identity, Line, line_at


@dataclass(frozen=True, slots=True)
class ReplayRuntime:
    """The runtime of a handler. `compares`: it compares the identity of what it replays.

    `is_native`: a mismatch ends the execution there whatever the handler catches.
    """

    name: str
    is_native: bool
    compares: bool


def with_consequence(
    divergence: Divergence, runtime: ReplayRuntime, inside: str | None = None
) -> Divergence:
    """Return the divergence with what the runtime would do there.

    `inside` is the completed context around it that a replay answers from its checkpoint, if any.
    """
    does = f"{runtime.name} {_consequence(divergence, runtime)}"
    if inside is None:
        told = f"in an execution that is past this point, {does}"
    else:
        told = (
            f"in an execution that is past this point and still inside of {inside}, {does}. Where "
            "that context is complete, as here, a replay answers from its checkpoint and doesn't "
            "run this code"
        )
    return replace(divergence, consequence=told)


_UNSEEN = "doesn't notice: what is recorded is never reached, and the execution goes on without it"


def _consequence(divergence: Divergence, runtime: ReplayRuntime) -> str:
    expected, current = divergence.expected, divergence.current
    if divergence.escapes:
        return "gives no answer: the invocation fails, and the service invokes it again"
    if divergence.cause is Cause.RAISED and current is None:
        return "fails the execution with that error, unless the code around it handles it"
    if divergence.cause is Cause.WAITS and current is None:
        return "waits there too: what is recorded is never reached, and the execution doesn't end"
    if current is None:
        return _UNSEEN
    if expected is None:
        return "doesn't notice: it runs the new operation"
    if current.units is not None and not runtime.is_native:
        return f"doesn't compare the number of units: {_other_units(expected, current)}"
    if runtime.is_native:
        return "ends the execution as FAILED with NonDeterministicExecutionError"
    if runtime.compares:
        return (
            "raises NonDeterministicExecutionError, and the execution is FAILED; code that catches "
            "it (it is an ordinary Exception) goes on without this operation"
        )
    if expected.type == current.type:
        return f"doesn't notice: it silently returns what is recorded for {expected} to {current}"
    return f"doesn't compare identities: it reads the record of {expected} as that of {current}"


def _other_units(expected: Line, current: Line) -> str:
    stored = "complete with its results stored, it returns those of all that are recorded"
    if (current.units or 0) < (expected.units or 0):
        return f"{stored}; in flight or rebuilt, only those of the units that are left"
    return f"{stored}; in flight or rebuilt, it runs the new units"


def told_alike(seen: Sequence[Seen], runtime: ReplayRuntime) -> list[Divergence]:
    """Return the divergences, those that one line of code makes in several contexts as one."""
    alike: dict[Any, list[Divergence]] = {}
    for each in seen:
        one = each.found.divergence
        sides = [
            line and replace(line, position="", status=None) for line in (one.expected, one.current)
        ]
        around = each.run.session.completed_around(each.found.within)
        answered = around[0].path if each.inside is not None and around else None
        key = (one.cause, one.why, one.where or one.position, *sides, answered)
        alike.setdefault(key, []).append(_told(each, runtime))
    return [
        replace(first, also_at=tuple(each.position for each in rest))
        for first, *rest in alike.values()
    ]


def _told(seen: Seen, runtime: ReplayRuntime) -> Divergence:
    divergence = seen.found.divergence
    inside = None if seen.inside is None else _label(seen.inside)
    told = replace(
        divergence,
        breaks=_breaks(seen, inside),
        found_by="shallow" if inside is None else "deep",
        leak=seen.leak,
    )
    return with_consequence(told, runtime, inside)


def _breaks(seen: Seen, inside: str | None) -> str | None:
    """Return the executions that are hurt. What comes after all that a completed context, or a FLAT
    unit or virtual context in it, recorded is new to those inside of it, too."""
    if inside is None:
        return f"past {seen.found.divergence.position}"
    return None if seen.found.is_after_end else f"inside {inside}"


def _label(node: Node) -> str:
    return str(line_at(node.path, identity_of(node) or Identity("CONTEXT")))
