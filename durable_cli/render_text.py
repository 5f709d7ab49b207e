"""The report of `durable replay` as text for a terminal or a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from durable_cli.escapes import clean
from durable_cli.figures import bytes_text, percent_text, plural, size_text
from durable_cli.outline import OutlineLine
from durable_cli.output import Span, Surface, bar, cell_len, chunks, fit, join_lines, pad, wrap
from durable_cli.text import (
    cost_text,
    extended_timeout_text,
    limit_text,
    line_label,
    line_position,
    line_why,
    pause_text,
    sdk_text,
    totals_text,
)
from durable_core.events import format_timestamp
from durable_core.explaining.messages import duration_text
from durable_core.explaining.report import LimitUse, Replay, Report, Row
from durable_core.frozen import dataclass

REPLAY_STYLES: Final = {
    Replay.FROM_CHECKPOINT: "dim",
    Replay.RAISES: "bad",
    Replay.RE_EXECUTED: "key",
    Replay.ERROR_RECOVERED: "key",
    Replay.SKIPPED: "info",
    Replay.NOT_DISPATCHED: "dim",
    Replay.RUNS_AGAIN: "warn",
    Replay.NEXT_ATTEMPT: "warn",
    Replay.WAITS: "warn",
    Replay.NOT_REACHED: "dim",
    Replay.UNKNOWN: "bad",
}
STATUS_STYLES: Final = {
    "SUCCEEDED": "good",
    "FAILED": "bad",
    "TIMED_OUT": "bad",
    "STOPPED": "bad",
    "CANCELLED": "bad",
    "STARTED": "warn",
    "PENDING": "warn",
    "READY": "warn",
    "RUNNING": "warn",
    "PAUSING": "warn",
    "PAUSED": "warn",
    "DELETING": "bad",
}


def render(
    report: Report, lines: Sequence[OutlineLine], surface: Surface, cost: Sequence[str] = ()
) -> str:
    """Return the whole report, laid out for the surface.

    `cost` are the lines that say what it costs, if that is asked for.
    """
    out = [*_heading(report, surface), ""]
    if lines:
        out += [*tree(lines, surface), ""]
    elif report.rows:
        out += [surface.line([("  nothing to show: no operation matches", "dim")]), ""]
    out += _footer(report, surface, cost)
    return join_lines(out)


# -- heading -------------------------------------------------------------------------------------


def _heading(report: Report, surface: Surface) -> list[str]:
    title = clean(report.source)
    pairs: list[tuple[str, list[Span]]] = [
        ("execution", _execution(report)),
        ("written by", [(sdk_text(report), "")]),
        ("time", [(_time(report), "")]),
        ("stored", [(_stored(report), "")]),
    ]
    pairs += [("paused", [(clean(pause_text(each, report)), "")]) for each in report.pauses]
    if report.pauses and report.expected_timeout is not None:
        pairs.append(("times out", [(extended_timeout_text(report), "")]))
    if report.invocation is not None:
        seen = f"as invocation {report.invocation} of {report.invocations} found it"
        pairs.insert(1, ("picture", [(seen, "info")]))
    out = [surface.line([(fit(title, surface.width, surface.unicode), "title")])]
    for key, spans in pairs:
        out += pair(key, spans, surface)
    for warning in report.warnings:
        out += pair("warning", [(clean(warning), "warn")], surface)
    return out


def pair(key: str, spans: list[Span], surface: Surface) -> list[str]:
    """Return `key value`, the value wrapped below itself where it is too long."""
    room = surface.width - KEY_WIDTH
    if sum(cell_len(text) for text, _ in spans) <= room:
        return [surface.line([("  " + pad(key, KEY_WIDTH - 2), "dim"), *spans])]
    style = spans[0][1] if len(spans) == 1 else ""
    lines = wrap("".join(text for text, _ in spans), room)
    first = surface.line([("  " + pad(key, KEY_WIDTH - 2), "dim"), (lines[0], style)])
    return [first, *(surface.line([(" " * KEY_WIDTH, ""), (line, style)]) for line in lines[1:])]


KEY_WIDTH: Final = 16


def _execution(report: Report) -> list[Span]:
    status = (report.status, STATUS_STYLES.get(report.status, ""))
    parts = [clean(report.name)] if report.name else []
    if report.function:
        version = f":{report.version}" if report.version else ""
        parts.append(f"of function {clean(report.function + version)}")
    name = " ".join(parts)
    return [status, (f"  {name}" if name else "", "")]


def _time(report: Report) -> str:
    parts: list[str] = []
    if report.started is not None:
        parts.append(_moment(report.started))
    if report.wall_seconds is not None:
        wall = f"{duration_text(report.wall_seconds)} in all"
        if report.suspended_seconds is not None and report.invocations > 1:
            wall += f", about {duration_text(report.suspended_seconds)} of it suspended"
        if report.pauses:
            wall += f", {duration_text(report.paused_seconds)} of it paused"
        parts.append(wall)
    failed = f" ({report.failed_invocations} with an error)" if report.failed_invocations else ""
    if report.invocations:
        parts.append(f"{plural(report.invocations, 'invocation')}{failed}")
    return "; ".join(parts) or "not recorded"


def _moment(moment: datetime) -> str:
    return (
        format_timestamp(moment.replace(microsecond=0)).replace("T", " ").replace(".000Z", " UTC")
    )


def _stored(report: Report) -> str:
    parts = [plural(report.totals.operations, "operation"), f"{size_text(report.stored_bytes)}"]
    if report.input_bytes is not None:
        parts.append(f"input {size_text(report.input_bytes)}")
    if report.result_bytes is not None:
        parts.append(f"result {size_text(report.result_bytes)}")
    return ", ".join(parts)


# -- tree ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Columns:
    """How wide each column is; 0 leaves it out. `why` 0 puts the sentence on lines of its own."""

    position: int
    operation: int
    status: int
    tries: int
    time: int
    bytes: int
    bar: int
    why: int

    def used(self) -> int:
        left = (self.position, self.operation, self.status, self.tries)
        widths = (*left, self.time, self.bytes, self.bar)
        return sum(width + 2 for width in widths if width)


_BAR: Final = 6
_SIZE: Final = 9
_NARROWEST: Final = 24  # columns for a sentence below its row
_WHY_MIN: Final = 44


def _columns(lines: Sequence[OutlineLine], surface: Surface) -> _Columns:
    width = surface.width
    position = min(max(cell_len(line_position(line)) for line in lines), max(8, width // 6))
    position = max(position, len("POSITION"))
    wanted = max(len(_indent(line, surface)) + cell_len(line_label(line)) for line in lines)
    wanted = max(wanted, len("OPERATION"))
    status, tries, time, size, meter = 9, 3, 8, _SIZE, _BAR + 6
    if width < 130:
        meter = 5
    if width < 90:
        tries = 0
    if width < 76:
        time = 0
    if width < 66:
        meter = 0
    fixed = _Columns(position, 0, status, tries, time, size, meter, 0).used() + 2
    room = width - fixed - 2
    if room - wanted - 2 >= _WHY_MIN or room - _WHY_MIN - 2 >= 30:
        operation = min(wanted, room - _WHY_MIN - 2)
        why = room - operation - 2
    else:
        operation, why = min(wanted, room), 0
    return _Columns(position, max(operation, 6), status, tries, time, size, meter, why)


def tree(
    lines: Sequence[OutlineLine], surface: Surface, heading: str = "WHAT A REPLAY DOES"
) -> list[str]:
    """Return the tree of operations and units; the last column, of that heading, is their `why`."""
    columns = _columns(lines, surface)
    out = [surface.line([("  " + _titles(columns, heading), "dim")])]
    for line in lines:
        out += _tree_line(line, columns, surface)
        if line.row.payload is not None:
            out += _payload(line, columns, surface)
    return out


def _payload(line: OutlineLine, columns: _Columns, surface: Surface) -> list[str]:
    """Return the stored result in full below its row."""
    margin = " " * (_margin(line, columns, surface))
    pieces = chunks(
        clean(line.row.payload or "", whole=True), max(20, surface.width - len(margin) - 2)
    )
    marks = ["= ", *["  "] * (len(pieces) - 1)]
    return [
        surface.line([(margin + mark, "dim"), (piece, "info")])
        for mark, piece in zip(marks, pieces, strict=True)
    ]


def _margin(line: OutlineLine, columns: _Columns, surface: Surface) -> int:
    margin = 2 + columns.position + 2 + min(len(_indent(line, surface)), surface.width // 3)
    return min(margin, surface.width - _NARROWEST)


def _titles(columns: _Columns, heading: str) -> str:
    operation = fit("OPERATION", columns.operation, unicode=False)
    cells = [pad("POSITION", columns.position), pad(operation, columns.operation)]
    cells.append(pad("STATUS", columns.status))
    if columns.tries:
        cells.append("TRY")
    if columns.time:
        cells.append(pad("TIME", columns.time, right=True))
    cells.append(pad("BYTES", columns.bytes, right=True))
    if columns.bar:
        cells.append(pad("OF LIMIT" if columns.bar > 6 else "LIMIT", columns.bar))
    if columns.why:
        cells.append(heading)
    return "  ".join(cells)


def _indent(line: OutlineLine, surface: Surface) -> str:
    depth = line.row.depth
    if depth == 0:
        return ""
    if not surface.unicode:
        return "  " * min(depth, 12)
    guides = "".join("│ " if more else "  " for more in line.guides)
    skipped = f"({depth}) " if depth > 13 else ""
    return f"{guides}{'├ ' if line.has_next else '└ '}{skipped}"


def _tree_line(line: OutlineLine, columns: _Columns, surface: Surface) -> list[str]:
    row = line.row
    unicode = surface.unicode
    size = line.largest_bytes if row.id is not None else None
    name = fit(_indent(line, surface) + line_label(line), columns.operation, unicode)
    spans: list[Span] = [
        ("  ", ""),
        (pad(fit(line_position(line), columns.position, unicode), columns.position), "dim"),
        ("  " + pad(name, columns.operation), "title" if row.is_stripped else ""),
        ("  " + pad(row.status or "-", columns.status), STATUS_STYLES.get(row.status or "", "dim")),
    ]
    if columns.tries:
        tries = str(row.attempts) if row.attempts > 1 and not line.is_folded else ""
        tries = tries if row.attempts < 1_000 else "1k+"
        spans.append(("  " + pad(tries, columns.tries, right=True), ""))
    if columns.time:
        time = "" if line.is_folded else duration_text(row.duration_seconds)
        time = fit(time, columns.time, unicode)
        spans.append(("  " + pad(time, columns.time, right=True), ""))
    spans.append(("  " + pad(_size_cell(row, size), columns.bytes, right=True), ""))
    if columns.bar:
        spans.append(_meter(row, size, columns.bar, unicode))
    why = _why_spans(line)
    if columns.why:
        return _beside(spans, why, columns, surface)
    text, style = why[0]
    used = columns.used()
    if used + 2 + cell_len(text) <= surface.width:
        return [surface.line([*spans, ("  ", ""), (text, style)])]
    return [surface.line(spans), *_below(why, line, columns, surface)]


def _size_cell(row: Row, size: int | None) -> str:
    if row.id is None:
        return ""
    if size is None:
        return "?"
    text = bytes_text(size) if size < 10_000_000 else size_text(size)
    return "-" if size == 0 else fit(text, _SIZE)


def _meter(row: Row, size: int | None, width: int, unicode: bool) -> Span:
    if not size:
        return ("  " + " " * width, "")
    part = size / row.payload_limit
    style = "bad" if part > 1 else "warn" if part >= 0.8 else "dim"
    text = percent_text(part) if part < 10 else f"{part:,.0f} x"
    text = pad(fit(text, 5, unicode), 5, right=True)
    if width > 6:
        text = f"{bar(part, _BAR, unicode)} {text}"
    return ("  " + pad(text, width), style)


def _why_spans(line: OutlineLine) -> list[Span]:
    style = REPLAY_STYLES[line.row.replay]
    text = line_why(line)
    if line.row.completion_reason:
        text += f"; {clean(line.row.completion_reason)}"
    return [(text, style)]


def _beside(spans: list[Span], why: list[Span], columns: _Columns, surface: Surface) -> list[str]:
    text, style = why[0]
    first, *rest = wrap(text, columns.why)
    margin = " " * (columns.used() + 2)
    return [
        surface.line([*spans, ("  ", ""), (first, style)]),
        *(surface.line([(margin, ""), (more, style)]) for more in rest),
    ]


def _below(why: list[Span], line: OutlineLine, columns: _Columns, surface: Surface) -> list[str]:
    text, style = why[0]
    arrow = "→ " if surface.unicode else "-> "
    margin = _margin(line, columns, surface)
    parts = wrap(text, max(20, surface.width - margin - len(arrow)))
    out = [surface.line([(" " * margin, ""), (arrow + parts[0], style)])]
    hang = " " * (margin + len(arrow))
    return out + [surface.line([(hang, ""), (part, style)]) for part in parts[1:]]


# -- footer --------------------------------------------------------------------------------------


def _footer(report: Report, surface: Surface, cost: Sequence[str]) -> list[str]:
    out: list[str] = []
    for key, text in (("totals", totals_text(report)), ("each replay", cost_text(report))):
        out += pair(key, [(text, "")], surface)
    out += [*limit_lines(report.limits, surface), *cost]
    why = "why it failed" if report.status in _BAD else "why it waits"
    for index, reason in enumerate(report.reasons):
        place = f"at {clean(reason.position)}: " if reason.position else ""
        number = f"{index + 1}. " if len(report.reasons) > 1 else ""
        style = "bad" if report.status in _BAD else "warn"
        key = why if index == 0 else ""
        out += pair(key, [(f"{number}{place}{clean(reason.text)}", style)], surface)
    return out


_BAD: Final = frozenset({"FAILED", "TIMED_OUT", "STOPPED"})


def limit_lines(limits: Iterable[LimitUse], surface: Surface) -> list[str]:
    """Return one line for each limit: how much of it is used, and where; a note that it has stands
    behind it, or below where there is no room."""
    out: list[str] = []
    room = surface.width - KEY_WIDTH
    for use in limits:
        text, style = _limit(use, surface)
        note = f"({clean(use.note)})" if use.note else ""
        below = wrap(note, room) if note and cell_len(text) + 1 + len(note) > room else []
        text = f"{text} {note}" if note and not below else text
        key = "  " + pad("" if out else "limits", KEY_WIDTH - 2)
        out.append(surface.line([(key, "dim"), (fit(text, room, surface.unicode), style)]))
        out += [surface.line([(" " * KEY_WIDTH, ""), (line, "dim")]) for line in below]
    return out


def _limit(use: LimitUse, surface: Surface) -> Span:
    style = "bad" if use.fraction > 1 else "warn" if use.is_warning else ""
    where = f" ({clean(use.where)})" if use.where else ""
    meter = f"{bar(use.fraction, 10, surface.unicode)} " if surface.width >= 100 else ""
    amount = limit_text(use)
    note = ", OVER THE LIMIT" if use.fraction > 1 else ""
    text = f"{pad(use.what, 15)} {meter}{pad(percent_text(use.fraction), 5, right=True)}  {amount}"
    room = surface.width - KEY_WIDTH - cell_len(text) - len(note)
    return (text + fit(where, max(0, room), surface.unicode) + note, style)


def summary_line(reports: Iterable[Report], failed: int, surface: Surface) -> str:
    """Return the last line of a call with several sources."""
    reports = list(reports)
    counts: dict[str, int] = {}
    for report in reports:
        counts[report.status] = counts.get(report.status, 0) + 1
    by_status = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    unread = f"; {failed:,} could not be read" if failed else ""
    text = f"{plural(len(reports), 'history').replace('historys', 'histories')}: {by_status}"
    return surface.line([(text + unread, "title")])
