"""Where code first leaves what one context recorded, and what most likely happened to it. Pure.

Compared by position: the n-th operation that the code asks for in a context against the n-th that
the context recorded. What happened is decided by the edit distance between the two sequences: of
"renamed", "inserted", "removed" and "reordered" the one after which the rest differs least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from durable_core.ids import Path, position_text
from durable_core.verifying.alignment import Fit, same
from durable_core.verifying.verification import Cause, CodeLine, Divergence, Identity, Line, line_at


class Outcome(Enum):
    """How the body of a context ended in this run."""

    RETURNED = auto()
    RAISED = auto()
    SUSPENDED = auto()
    NOT_RUN = auto()


class Asked(NamedTuple):
    """An operation that the code asked for. `moment` orders what happened in a run.

    `took_from` is the context around, when the operation is a new context in which recorded
    operations of that context are asked for (they were moved in); `out_of` the recorded context
    that this operation was found in (it was moved out).
    """

    identity: Identity
    where: CodeLine | None = None
    moment: int = 0
    fit: Fit = Fit.EXACT
    took_from: bool = False
    out_of: Identity | None = None


@dataclass(frozen=True, slots=True)
class ContextRun:
    """What one context recorded, and what its code asked for in this run.

    `numbers` of operations count from `first`. `is_open`: what comes after the recorded operations
    is new, since the context hasn't ended. `has_succeeded`: it recorded that it succeeded.
    """

    path: Path
    label: str
    recorded: Sequence[Identity | None]
    statuses: Sequence[str | None]
    asked: Sequence[Asked]
    outcome: Outcome
    is_open: bool = False
    has_succeeded: bool = False
    ended_at: int = 0
    error: str | None = None
    traceback: str | None = None
    raised_where: CodeLine | None = None
    escapes: bool = False
    is_exact: bool = True
    """False where the recorded operations may not be all that there were."""


@dataclass(frozen=True, slots=True)
class Found:
    """A divergence and the moment at which the code met it."""

    moment: int
    divergence: Divergence


SHOWN: Final = 3
"""How many operations before and after a divergence are shown."""

_MOST: Final = 300
"""How many operations of a context the edit distance looks at."""


def first_divergence(run: ContextRun) -> Found | None:
    """Return where the code of a context first leaves its record, or None."""
    for index, asked in enumerate(run.asked):
        if index >= len(run.recorded):
            if run.is_open or not run.is_exact:
                return None
            return _found(run, index)
        if not same(run.recorded[index], asked.identity):
            return _found(run, index)
    if any(each is not None for each in run.recorded[len(run.asked) :]):
        return _found(run, len(run.asked))
    if run.outcome is Outcome.RAISED and run.has_succeeded:
        return _raised(run)
    return None


def _raised(run: ContextRun) -> Found:
    last = len(run.asked)
    why = f"{run.label} is recorded as SUCCEEDED, its code now raises {run.error}"
    found = _divergence(run, last, Cause.RAISED, why, 0)
    return Found(run.ended_at, found)


def _found(run: ContextRun, index: int) -> Found:
    rest = [each.identity for each in run.asked[index : index + _MOST]]
    recorded = list(run.recorded[index : index + _MOST])
    costs = _costs(recorded, rest, is_cut=run.outcome is not Outcome.RETURNED)
    cause = _cause(run, index, recorded, rest, costs)
    moment = run.asked[index].moment if index < len(run.asked) else run.ended_at
    why = _why(cause, run, index)
    return Found(moment, _divergence(run, index, cause, why, costs[0][0]))


def _divergence(run: ContextRun, index: int, cause: Cause, why: str, distance: int) -> Divergence:
    asked = run.asked[index] if index < len(run.asked) else None
    return Divergence(
        position=position_text((*run.path, index + 1)),
        context=run.label,
        cause=cause,
        why=why,
        expected=_recorded_line(run, index),
        current=None if asked is None else line_at((*run.path, index + 1), asked.identity),
        where=_where(run, index, asked),
        matching=_asked_lines(run, max(0, index - SHOWN), index),
        next_recorded=_recorded_lines(run, index + 1, index + 1 + SHOWN),
        next_current=_asked_lines(run, index + 1, index + 1 + SHOWN),
        more_recorded=sum(each is not None for each in run.recorded[index + 1 + SHOWN :]),
        more_current=max(0, len(run.asked) - index - 1 - SHOWN),
        distance=distance,
        traceback=run.traceback if asked is None else None,
        escapes=run.escapes and asked is None,
    )


def _where(run: ContextRun, index: int, asked: Asked | None) -> CodeLine | None:
    """Return the line of the call; of what is missing, where the code ended or asked last."""
    if asked is not None:
        return asked.where
    if run.raised_where is not None:
        return run.raised_where
    return run.asked[index - 1].where if 0 < index <= len(run.asked) else None


def _recorded_line(run: ContextRun, index: int) -> Line | None:
    identity = run.recorded[index] if index < len(run.recorded) else None
    if identity is None:
        return None
    return line_at((*run.path, index + 1), identity, run.statuses[index])


def _recorded_lines(run: ContextRun, start: int, stop: int) -> tuple[Line, ...]:
    stop = min(stop, len(run.recorded))
    lines = (_recorded_line(run, index) for index in range(start, stop))
    return tuple(line for line in lines if line is not None)


def _asked_lines(run: ContextRun, start: int, stop: int) -> tuple[Line, ...]:
    stop = min(stop, len(run.asked))
    return tuple(
        line_at((*run.path, index + 1), run.asked[index].identity) for index in range(start, stop)
    )


# -- what happened to the code -------------------------------------------------------------------


def _costs(
    recorded: Sequence[Identity | None], asked: Sequence[Identity], *, is_cut: bool
) -> list[list[int]]:
    """Return, for every pair of suffixes, how many edits make the one the other.

    `is_cut`: the code could not be followed to its end, so that what it doesn't ask for costs
    nothing. Swapping two neighbours is one edit.
    """
    rows, columns = len(recorded), len(asked)
    cost = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        cost[i][columns] = 0 if is_cut and columns else rows - i
    for j in range(columns - 1, -1, -1):
        cost[rows][j] = columns - j
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            change = 0 if same(recorded[i], asked[j]) else 1
            best = min(cost[i + 1][j + 1] + change, cost[i + 1][j] + 1, cost[i][j + 1] + 1)
            if _is_swapped(recorded, asked, i, j):
                best = min(best, cost[i + 2][j + 2] + 1)
            cost[i][j] = best
    return cost


def _is_swapped(
    recorded: Sequence[Identity | None], asked: Sequence[Identity], i: int, j: int
) -> bool:
    return (
        i + 1 < len(recorded)
        and j + 1 < len(asked)
        and same(recorded[i], asked[j + 1])
        and same(recorded[i + 1], asked[j])
    )


def _cause(
    run: ContextRun,
    index: int,
    recorded: Sequence[Identity | None],
    rest: Sequence[Identity],
    costs: Sequence[Sequence[int]],
) -> Cause:
    if not rest:
        return _cause_of_an_end(run, recorded)
    if not recorded:
        return Cause.INSERTED
    before, now = recorded[0], rest[0]
    if before is not None and before.virtual != now.virtual and before.type == now.type:
        return Cause.NESTING
    if run.asked[index].out_of is not None:
        return Cause.MOVED_OUT
    if run.asked[index].took_from:
        return Cause.MOVED_IN
    edits = {
        "swap": costs[2][2] if _is_swapped(recorded, rest, 0, 0) else _MOST * 2,
        "change": costs[1][1],
        "remove": costs[1][0],
        "insert": costs[0][1],
    }
    # Where the code could not be followed far, several are as good: then what comes next decides.
    fits = {
        "swap": True,
        "remove": len(recorded) > 1 and same(recorded[1], now),
        "insert": len(rest) > 1 and same(before, rest[1]),
    }
    edit = min(edits, key=lambda each: (edits[each], not fits.get(each, False)))
    if edit == "swap" or _is_reordered(recorded, rest, costs[0][0]):
        return Cause.REORDERED
    if edit == "remove":
        return Cause.REMOVED
    if edit == "insert" or before is None:
        return Cause.INSERTED
    return _cause_of_a_change(before, now)


def _is_reordered(
    recorded: Sequence[Identity | None], rest: Sequence[Identity], distance: int
) -> bool:
    if distance < 2 or len(recorded) != len(rest) or None in recorded:
        return False
    return sorted(map(str, recorded)) == sorted(map(str, rest))


def _cause_of_a_change(before: Identity, now: Identity) -> Cause:
    if before.type == now.type and before.sub_type == now.sub_type:
        return Cause.RENAMED
    return Cause.TYPE_CHANGED if before.name == now.name else Cause.REPLACED


def _cause_of_an_end(run: ContextRun, recorded: Sequence[Identity | None]) -> Cause:
    if run.outcome is Outcome.RAISED:
        return Cause.RAISED
    if run.outcome is Outcome.SUSPENDED:
        return Cause.WAITS
    return Cause.REMOVED if len(recorded) == 1 else Cause.ENDED_EARLY


def _why(cause: Cause, run: ContextRun, index: int) -> str:
    before = run.recorded[index] if index < len(run.recorded) else None
    if index >= len(run.asked):
        return _why_it_ends(cause, run, index, before)
    asked = run.asked[index]
    now = asked.identity
    match cause:
        case Cause.RENAMED:
            return f"{before} is now named {_named(now)}"
        case Cause.INSERTED if before is None:
            return f"{now} is new: {run.label} had ended without it"
        case Cause.INSERTED:
            return f"{now} is new, before {before}"
        case Cause.REMOVED:
            return f"{before} is no longer asked for here; {now} comes in its place"
        case Cause.REORDERED:
            return f"the order has changed: {now} now comes where {before} was"
        case Cause.NESTING:
            return f"{_nesting(before)} is now {_nesting(now)}"
        case Cause.MOVED_IN:
            return f"{before} has moved into a new context, {now}"
        case Cause.MOVED_OUT:
            return f"{now} has moved out of {asked.out_of}"
    return f"{before} has become {now}"


def _why_it_ends(cause: Cause, run: ContextRun, index: int, before: Identity | None) -> str:
    match cause:
        case Cause.REMOVED:
            return f"{before} is no longer asked for: the code ends before it"
        case Cause.RAISED:
            return f"the code raises {run.error} where {before} is recorded"
        case Cause.WAITS:
            return f"the code waits for something else before {before}"
    missing = sum(each is not None for each in run.recorded[index:])
    return f"the code ends early: {missing:,} recorded operations are not reached, first {before}"


def _named(identity: Identity | None) -> str:
    return f'"{identity.name}"' if identity is not None and identity.name else "(unnamed)"


def _nesting(identity: Identity | None) -> str:
    if identity is None or identity.virtual:
        return "a context without an operation of its own (FLAT, or virtual)"
    return f"{identity}, a context of its own"
