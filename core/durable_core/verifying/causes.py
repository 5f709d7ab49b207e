"""What most likely happened to the code of a context that has left its record. Pure.

Decided by the edit distance between the two sequences: of "renamed", "inserted", "removed" and
"reordered" the one after which the rest differs least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from durable_core.verifying.matching import same
from durable_core.verifying.traces import BodyEnd, ContextComparison
from durable_core.verifying.verification import Cause, Identity

_MOST: Final = 300
"""How many operations of a context the edit distance looks at."""


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


class Likely(NamedTuple):
    """What most likely happened, and how many edits lie between the two sequences from there on.

    `skipped` recorded operations lie before the one that is asked for.
    """

    cause: Cause
    distance: int
    skipped: int = 1


def likely_cause(run: ContextComparison, index: int) -> Likely:
    """Return what happened to the code of a context, which leaves its record at an index."""
    recorded = list(run.recorded[index : index + _MOST])
    rest = [each.identity for each in run.asked[index : index + _MOST]]
    costs = _costs(recorded, rest, is_cut=run.outcome is not BodyEnd.RETURNED)
    distance = costs[0][0]
    if not rest:
        return Likely(_cause_of_an_end(run, recorded), distance)
    if not recorded:
        return Likely(Cause.INSERTED, distance)
    if _is_handling(run, index, recorded, rest):
        return Likely(Cause.RAISED, distance)
    return Likely(_cause(run, index, recorded, rest, costs), distance, _skipped(recorded, rest[0]))


def _is_handling(
    run: ContextComparison,
    index: int,
    recorded: Sequence[Identity | None],
    rest: Sequence[Identity],
) -> bool:
    """Return True when an error of the code's own led it away from the record.

    Code that handles an error may be recorded, and changed itself: then what follows fits again.
    Where the error ends what is recorded to have succeeded, it is new, whatever follows.
    """
    handled = run.asked[index].handled
    if handled is None:
        return False
    if run.outcome is BodyEnd.RAISED and run.has_succeeded and run.error == handled.error:
        return True
    if run.outcome is BodyEnd.SUSPENDED:
        return not any(same(one, other) for one in recorded for other in rest[1:] if one)
    costs = _costs(recorded, rest, is_cut=False)
    return not _are_alike(recorded, rest) and costs[0][0] > 1


def _skipped(recorded: Sequence[Identity | None], now: Identity) -> int:
    """Return after how many recorded operations the one that is asked for comes; 0: never."""
    if now.virtual:
        return 0
    return next((at for at, each in enumerate(recorded) if same(each, now)), 0)


def _cause(
    run: ContextComparison,
    index: int,
    recorded: Sequence[Identity | None],
    rest: Sequence[Identity],
    costs: Sequence[Sequence[int]],
) -> Cause:
    before, now = recorded[0], rest[0]
    is_swapped = _is_swapped(recorded, rest, 0, 0)
    if not is_swapped and before is not None and _has_other_nesting(before, now):
        return Cause.NESTING
    if run.asked[index].out_of is not None:
        return Cause.MOVED_OUT
    if run.asked[index].took_from:
        return Cause.MOVED_IN
    is_whole = run.outcome is BodyEnd.RETURNED
    # What comes later in the record, by its name, hardly is new, or the next operation renamed.
    unlikely = 2 if not is_whole and now.name and _skipped(recorded, now) else 0
    edits = {
        "swap": costs[2][2] if is_swapped else _MOST * 2,
        "change": costs[1][1] + unlikely,
        "remove": costs[1][0],
        "insert": costs[0][1] + unlikely,
    }
    # Where the code could not be followed far, several are as good: then what comes next decides.
    fits = {
        "swap": True,
        "change": is_whole and len(recorded) == len(rest),
        "remove": len(recorded) > 1 and same(recorded[1], now),
        "insert": len(rest) > 1 and same(before, rest[1]),
    }
    edit = min(edits, key=lambda each: (edits[each], not fits[each]))
    if edit == "swap" or _is_reordered(recorded, rest, costs[0][0]):
        return Cause.REORDERED
    if edit == "remove":
        return Cause.REMOVED
    if edit == "insert" or before is None:
        return Cause.INSERTED
    cause = _cause_of_a_change(before, now)
    if cause is Cause.RENAMED and not _goes_on(recorded, rest, costs[1][1]):
        return Cause.REPLACED
    return cause


def _goes_on(recorded: Sequence[Identity | None], rest: Sequence[Identity], distance: int) -> bool:
    """Return True unless what follows says that it isn't the same operation any more."""
    if distance == 0 or len(recorded) == 1 or len(rest) == 1:
        return True
    return same(recorded[1], rest[1]) or _are_alike(recorded, rest)


def _are_alike(recorded: Sequence[Identity | None], rest: Sequence[Identity]) -> bool:
    """Return True where there are as many on both sides, and all of the same types."""
    return len(recorded) == len(rest) and all(
        one is not None and (one.type, one.sub_type) == (other.type, other.sub_type)
        for one, other in zip(recorded, rest, strict=True)
    )


def _has_other_nesting(before: Identity, now: Identity) -> bool:
    return before.virtual != now.virtual and before.type == now.type


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


def _cause_of_an_end(run: ContextComparison, recorded: Sequence[Identity | None]) -> Cause:
    if run.outcome is BodyEnd.RAISED:
        return Cause.RAISED
    if run.outcome is BodyEnd.SUSPENDED:
        return Cause.WAITS
    return Cause.REMOVED if len(recorded) == 1 else Cause.ENDED_EARLY
