"""What of a report is shown: filtered, cut at a depth, neighbours that are alike folded into one.

Pure: rows in, lines to show out. Nothing is laid out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from durable_cli.options import Only
from durable_core.explaining.report import Replay, Row
from durable_core.frozen import dataclass

LARGE_FRACTION: Final = 0.8
FOLD_FROM_ROWS: Final = 100
FOLD_FROM_RUN: Final = 10

_RE_EXECUTED: Final = frozenset({Replay.RE_EXECUTED, Replay.ERROR_RECOVERED})
_SKIPPED: Final = frozenset({Replay.SKIPPED, Replay.NOT_DISPATCHED})
_PENDING: Final = frozenset({Replay.WAITS, Replay.NEXT_ATTEMPT, Replay.RUNS_AGAIN})
_FAILED: Final = frozenset({"FAILED", "TIMED_OUT", "STOPPED"})

_MATCHES: Final[dict[Only, Callable[[Row], bool]]] = {
    Only.STRIPPED: lambda row: row.is_stripped,
    Only.RE_EXECUTED: lambda row: row.replay in _RE_EXECUTED,
    Only.SKIPPED: lambda row: row.replay in _SKIPPED,
    Only.PENDING: lambda row: row.replay in _PENDING,
    Only.FAILED: lambda row: row.status in _FAILED,
    Only.LARGE: lambda row: (row.payload_bytes or 0) >= LARGE_FRACTION * row.payload_limit,
}


@dataclass(frozen=True, slots=True)
class OutlineLine:
    """One line of the tree: a row, or `count` neighbours that are alike, from `row` to `last`.

    `guides` says for each level above whether another sibling follows there, `has_next` whether one
    follows this line. `largest_bytes` is the largest payload of the rows that it stands for;
    `is_first_of_several` that not all of them say the same as `row`.
    """

    row: Row
    last: Row
    count: int
    guides: tuple[bool, ...]
    has_next: bool
    largest_bytes: int | None
    is_first_of_several: bool = False

    @property
    def is_folded(self) -> bool:
        """True when the line stands for several rows."""
        return self.count > 1


def select(rows: Sequence[Row], only: Only | None, depth: int | None) -> tuple[Row, ...]:
    """Return the rows that match, with their ancestors, down to a depth (1: the top level).

    An ancestor of a match is shown also where the match itself lies too deep for it.
    """
    if only is not None:
        rows = _matching(rows, _MATCHES[only])
    return tuple(row for row in rows if depth is None or row.depth < depth)


def _matching(rows: Sequence[Row], matches: Callable[[Row], bool]) -> Sequence[Row]:
    kept: list[Row] = []
    needed = -1  # the depth of the ancestor that a row already kept still needs
    for row in reversed(rows):
        if matches(row):
            kept.append(row)
            needed = row.depth - 1
        elif row.depth == needed:
            kept.append(row)
            needed -= 1
    kept.reverse()
    return kept


def outline(
    rows: Sequence[Row],
    *,
    expand: bool,
    also: Callable[[Row], object] = lambda row: None,
) -> list[OutlineLine]:
    """Return the lines to show; with `expand` every row gets one.

    Otherwise, in a tree of more than 100 rows, runs of 10 or more neighbours become one line when
    they and everything below them are alike: in kind, status and what a replay does with them,
    and in what `also` returns.
    """
    runs = _expanded(rows) if expand or len(rows) <= FOLD_FROM_ROWS else _folded(rows, also)
    return _with_guides(runs)


@dataclass(frozen=True, slots=True)
class _Run:
    row: Row
    last: Row
    count: int
    largest: int | None
    differs: bool = False


def _expanded(rows: Iterable[Row]) -> list[_Run]:
    return [_Run(row, row, 1, row.payload_bytes) for row in rows]


def _folded(rows: Sequence[Row], also: Callable[[Row], object]) -> list[_Run]:
    ends, shapes = _subtrees(rows, also)
    runs: list[_Run] = []
    index = 0
    while index < len(rows):
        stop, count = _alike(rows, ends, shapes, index)
        if count < FOLD_FROM_RUN:
            runs.append(_Run(rows[index], rows[index], 1, rows[index].payload_bytes))
            index += 1
            continue
        starts = list(_siblings(ends, index, stop))
        sizes = [rows[i].payload_bytes for i in starts]
        known = [size for size in sizes if size is not None]
        row, last = rows[index], rows[starts[-1]]
        differs = any(rows[i].why != row.why for i in starts)
        runs.append(_Run(row, last, count, max(known, default=None), differs))
        index = stop
    return runs


def _subtrees(rows: Sequence[Row], also: Callable[[Row], object]) -> tuple[list[int], list[int]]:
    """Return for each row where its subtree ends, and a number that equal subtrees share."""
    ends = [0] * len(rows)
    shapes = [0] * len(rows)
    known: dict[tuple[object, ...], int] = {}
    below: dict[int, list[int]] = {}
    for index in range(len(rows) - 1, -1, -1):
        row = rows[index]
        inside = below.pop(row.depth + 1, [])
        ends[index] = max((ends[i] for i in inside), default=index + 1)
        key = (*_kind(row), also(row), *(shapes[i] for i in inside))
        shapes[index] = known.setdefault(key, len(known))
        below.setdefault(row.depth, []).append(index)
    return ends, shapes


def _kind(row: Row) -> tuple[object, ...]:
    error = row.error.type if row.error else None
    return (row.type, row.sub_type, row.status, row.replay, row.is_stripped, row.nesting, error)


def _siblings(ends: Sequence[int], start: int, stop: int) -> Iterator[int]:
    while start < stop:
        yield start
        start = ends[start]


def _alike(
    rows: Sequence[Row], ends: Sequence[int], shapes: Sequence[int], start: int
) -> tuple[int, int]:
    """Return where the run of siblings like the one at `start` ends, and how many they are."""
    at, count = start, 0
    depth, shape = rows[start].depth, shapes[start]
    while at < len(rows) and rows[at].depth == depth and shapes[at] == shape:
        count += rows[at].units
        at = ends[at]
    return at, count


def _with_guides(runs: Sequence[_Run]) -> list[OutlineLine]:
    lines: list[OutlineLine] = []
    follows: list[bool] = []
    for run in reversed(runs):
        depth = run.row.depth
        follows += [False] * (depth + 1 - len(follows))
        del follows[depth + 1 :]
        lines.append(
            OutlineLine(
                row=run.row,
                last=run.last,
                count=max(run.count, run.row.units),
                guides=tuple(follows[1 : min(depth, _MOST_GUIDES + 1)]),
                has_next=follows[depth],
                largest_bytes=run.largest,
                is_first_of_several=run.differs,
            )
        )
        follows[depth] = True
    lines.reverse()
    return lines


_MOST_GUIDES: Final = 12
