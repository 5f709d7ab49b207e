"""Divergences as they are told: whom each breaks, and those that one line of code makes as one.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durable_core.verifying.consequences import Runtime, with_consequence
from durable_core.verifying.passes import Seen
from durable_core.verifying.recorded_tree import Node, identity_of
from durable_core.verifying.verification import Divergence, Identity, line_at


def told_alike(seen: Sequence[Seen], runtime: Runtime) -> list[Divergence]:
    """Return the divergences, those that one line of code makes in several contexts as one."""
    alike: dict[Any, list[Divergence]] = {}
    for each in seen:
        one = each.found.divergence
        sides = [
            line and replace(line, position="", status=None) for line in (one.expected, one.current)
        ]
        around = each.run.examination.completed_around(each.found.within)
        answered = around[0].path if each.inside is not None and around else None
        key = (one.cause, one.why, one.where or one.position, *sides, answered)
        alike.setdefault(key, []).append(_told(each, runtime))
    return [
        replace(first, also_at=tuple(each.position for each in rest))
        for first, *rest in alike.values()
    ]


def _told(seen: Seen, runtime: Runtime) -> Divergence:
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
