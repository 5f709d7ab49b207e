"""What of a report is shown: nothing is lost, and counts add up."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_cli.options import Only
from durable_cli.outline import OutlineLine, outline, select
from durable_cli.text import line_why
from durable_core.explaining.report import Replay, Row
from durable_core.model import ErrorObject

KINDS = (
    Row("", 0, "STEP", Replay.FROM_CHECKPOINT, "from checkpoint", status="SUCCEEDED"),
    Row("", 0, "STEP", Replay.RAISES, "raises", status="FAILED", error=ErrorObject(type="E")),
    Row("", 0, "UNIT", Replay.SKIPPED, "skipped", status="STARTED", unit=0),
    Row("", 0, "WAIT", Replay.WAITS, "waits", status="STARTED"),
    Row("", 0, "CONTEXT", Replay.RE_EXECUTED, "again", status="SUCCEEDED", is_stripped=True),
)


class Tree(list[Row]):
    """Rows, shown short when a law fails."""

    def __repr__(self) -> str:
        return "\n".join(f"{'  ' * row.depth}{row.type} x{row.units}" for row in self[:60])


def number(rows: Sequence[Row]) -> Tree:
    return Tree(replace(row, position=str(index), id=str(index)) for index, row in enumerate(rows))


@st.composite
def trees(draw: st.DrawFn, most: int = 400) -> Tree:
    """Blocks of neighbours that are alike, each with the same few rows below it.

    A row of many units has nothing below it: only a summary tells of them.
    """
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 8))):
        depth = draw(st.integers(0, rows[-1].depth + (rows[-1].units == 1) if rows else 0))
        kind = draw(st.sampled_from(KINDS))
        inner = draw(st.lists(st.sampled_from(KINDS), max_size=3))
        units = 1 if inner else draw(st.sampled_from([1, 1, 7, 1_000]))
        for _ in range(draw(st.sampled_from([1, 2, 9, 10, 11, 60]))):
            rows.append(replace(kind, depth=depth, units=units, payload_bytes=len(rows)))
            rows += [replace(each, depth=depth + 1) for each in inner]
        if len(rows) > most:
            break
    return number(rows)


def end_of(rows: Sequence[Row], start: int) -> int:
    """Give where the subtree of a row ends."""
    stop = start + 1
    while stop < len(rows) and rows[stop].depth > rows[start].depth:
        stop += 1
    return stop


def covered(
    rows: Sequence[Row], lines: Sequence[OutlineLine]
) -> list[tuple[OutlineLine, int, int]]:
    """Give each line with the rows, from and to, that it stands for."""
    at = {row.id: index for index, row in enumerate(rows)}
    spans = []
    for line in lines:
        start, last = at[line.row.id], at[line.last.id]
        many = line.last is not line.row
        spans.append((line, start, end_of(rows, last) if many else start + 1))
    return spans


@given(trees())
def test_every_row_is_in_exactly_one_line_and_in_order(rows: list[Row]) -> None:
    at = 0
    for _, start, stop in covered(rows, outline(rows, expand=False)):
        assert start == at
        at = stop
    assert at == len(rows)


@given(trees())
def test_a_line_counts_the_units_of_the_neighbours_that_it_stands_for(rows: list[Row]) -> None:
    for line, start, stop in covered(rows, outline(rows, expand=False)):
        own = [row for row in rows[start:stop] if row.depth == line.row.depth]
        assert line.count == sum(row.units for row in own)
        assert line.is_folded == (line.count > 1)
        sizes = [row.payload_bytes for row in own if row.payload_bytes is not None]
        assert line.largest_bytes == max(sizes, default=None)


@given(trees())
def test_what_is_folded_is_alike_with_everything_below_it(rows: list[Row]) -> None:
    def shape(row: Row) -> tuple[object, ...]:
        return (row.depth, row.type, row.status, row.replay, row.is_stripped)

    for line, start, stop in covered(rows, outline(rows, expand=False)):
        if line.row is line.last:
            continue
        first = [shape(row) for row in rows[start : end_of(rows, start)]]
        block = rows[start:stop]
        assert [shape(row) for row in block] == first * (len(block) // len(first))


@given(trees())
def test_expanding_shows_each_row_on_a_line_of_its_own(rows: list[Row]) -> None:
    lines = outline(rows, expand=True)
    assert [line.row for line in lines] == rows
    assert [line.count for line in lines] == [row.units for row in rows]


@given(trees(), st.booleans())
def test_guides_tell_where_a_sibling_follows(rows: list[Row], expand: bool) -> None:
    lines = outline(rows, expand=expand)
    for index, line in enumerate(lines):
        below = [each.row.depth for each in lines[index + 1 :]]
        depth = line.row.depth

        def follows(level: int, below: list[int] = below) -> bool:
            return next((each for each in below if each <= level), -1) == level

        assert line.has_next == follows(depth)
        assert line.guides == tuple(follows(level) for level in range(1, depth))[:12]


def test_up_to_100_rows_nothing_is_folded() -> None:
    rows = number([KINDS[0]] * 100)
    assert len(outline(rows, expand=False)) == 100
    [line] = outline(number([KINDS[0]] * 101), expand=False)
    assert (line.count, line.row.position, line.last.position) == (101, "0", "100")


@pytest.mark.parametrize(("run", "lines"), [(9, 109), (10, 101)])
def test_ten_neighbours_that_are_alike_become_one_line(run: int, lines: int) -> None:
    changing = [KINDS[index % 2] for index in range(100)]
    rows = number([*changing, *[KINDS[4]] * run])
    assert len(outline(rows, expand=False)) == lines


def test_neighbours_with_other_errors_are_not_alike() -> None:
    failed = [replace(KINDS[1], error=ErrorObject(type=f"E{n % 2}")) for n in range(200)]
    assert len(outline(number(failed), expand=False)) == 200


def test_what_a_folded_line_says_is_true_of_all_that_it_stands_for() -> None:
    failed = [replace(KINDS[1], why=f"raises E: message {n}") for n in range(200)]
    [line] = outline(number(failed), expand=False)
    assert (line.count, line.is_first_of_several) == (200, True)
    assert line_why(line) == "raises E: message 0 (the first of them)"
    [line] = outline(number([KINDS[1]] * 200), expand=False)
    assert (line.is_first_of_several, line_why(line)) == (False, "raises")


def test_ten_thousand_levels_are_outlined() -> None:
    deep = number([replace(KINDS[4], depth=depth) for depth in range(10_000)])
    assert len(outline(deep, expand=False)) == 10_000


# -- selecting -----------------------------------------------------------------------------------

MATCHES = {
    Only.STRIPPED: lambda row: row.is_stripped,
    Only.RE_EXECUTED: lambda row: row.replay is Replay.RE_EXECUTED,
    Only.SKIPPED: lambda row: row.replay is Replay.SKIPPED,
    Only.PENDING: lambda row: row.replay is Replay.WAITS,
    Only.FAILED: lambda row: row.status == "FAILED",
    Only.LARGE: lambda row: (row.payload_bytes or 0) >= 209_716,
}


def ancestors(rows: Sequence[Row], index: int) -> set[int]:
    found: set[int] = set()
    depth = rows[index].depth
    for above in range(index - 1, -1, -1):
        if rows[above].depth < depth:
            found.add(above)
            depth = rows[above].depth
    return found


@pytest.mark.parametrize("only", Only)
@given(rows=trees(most=100))
def test_only_what_matches_is_kept_and_what_it_is_in(only: Only, rows: list[Row]) -> None:
    rows = [replace(row, payload_bytes=index * 5_000) for index, row in enumerate(rows)]
    wanted = {index for index, row in enumerate(rows) if MATCHES[only](row)}
    for index in tuple(wanted):
        wanted |= ancestors(rows, index)
    assert select(rows, only, None) == tuple(rows[index] for index in sorted(wanted))


@given(trees(), st.integers(1, 6), st.none() | st.sampled_from(Only))
def test_a_depth_cuts_what_is_below_it(rows: list[Row], depth: int, only: Only | None) -> None:
    whole = select(rows, only, None)
    assert select(rows, only, depth) == tuple(row for row in whole if row.depth < depth)


@pytest.mark.parametrize(
    ("only", "replay"),
    [
        (Only.RE_EXECUTED, Replay.ERROR_RECOVERED),
        (Only.SKIPPED, Replay.NOT_DISPATCHED),
        (Only.PENDING, Replay.NEXT_ATTEMPT),
        (Only.PENDING, Replay.RUNS_AGAIN),
    ],
)
def test_kinds_that_belong_together_are_selected_together(only: Only, replay: Replay) -> None:
    row = replace(KINDS[0], replay=replay)
    assert select([row], only, None) == (row,)
    assert not select([KINDS[0]], only, None)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "STOPPED"])
def test_what_ended_badly_counts_as_failed(status: str) -> None:
    row = replace(KINDS[0], status=status)
    assert select([row], Only.FAILED, None) == (row,)


@pytest.mark.parametrize(("size", "large"), [(209_715, False), (209_716, True), (None, False)])
def test_large_begins_at_80_percent_of_the_payload_limit(size: int | None, large: bool) -> None:
    assert bool(select([replace(KINDS[0], payload_bytes=size)], Only.LARGE, None)) is large
