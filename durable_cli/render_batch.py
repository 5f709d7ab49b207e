"""The report of `durable inspect-batch` as text for a terminal or a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from durable_cli.escapes import clean
from durable_cli.figures import percent_text, plural
from durable_cli.output import Span, Surface, bar, fit, join_lines, pad, wrap
from durable_cli.table import Column, least_width, table
from durable_core.batches.batching import Cut
from durable_core.batches.findings import BatchFindingKind, Finding, Severity
from durable_core.batches.report import (
    BatchReport,
    Request,
    SdkComparison,
    StreamOrigin,
)
from durable_core.excerpts import excerpt, labelled
from durable_core.frozen import dataclass
from durable_core.model import OperationUpdate
from durable_core.sdks import SDKS

_SEVERITY_STYLES: Final = {
    Severity.REJECTED: "bad",
    Severity.HANGS: "bad",
    Severity.NOTICE: "warn",
}
_NEAR_CAP: Final = 0.8


def render(source: str, report: BatchReport, surface: Surface, *, expand: bool = False) -> str:
    """Return the whole report, laid out for the surface; with `expand` nothing is folded."""
    out = [*_heading(source, report, surface)]
    for part in (
        _requests(report, surface, expand),
        _largest(report, surface),
        _estimates(report, surface),
        _findings(report, surface, expand),
    ):
        if part:
            out += ["", *part]
    return join_lines([*out, "", _verdict(report, surface)])


# -- heading -------------------------------------------------------------------------------------

_KEY: Final = 12


def _heading(source: str, report: BatchReport, surface: Surface) -> list[str]:
    out = [surface.line([(fit(clean(source), surface.width, surface.unicode), "title")])]
    for key, text, style in (
        ("source", _origin(report), "warn" if report.origin is StreamOrigin.HISTORY else ""),
        ("rules", _rules(report), ""),
        ("requests", _total(report), ""),
        *(("note", clean(note), "dim") for note in report.notes),
    ):
        out += _pair(key, text, style, surface)
    return out


def _pair(key: str, text: str, style: str, surface: Surface) -> list[str]:
    first, *rest = wrap(text, surface.width - _KEY)
    return [
        surface.line([("  " + pad(key, _KEY - 2), "dim"), (first, style)]),
        *(surface.line([(" " * _KEY, ""), (line, style)]) for line in rest),
    ]


def _origin(report: BatchReport) -> str:
    counted = f"{plural(report.updates, 'update')} of {plural(report.operations, 'operation')}"
    return f"{counted}, {_HOW_GROUPED[report.origin]}"


_HOW_GROUPED: Final = {
    StreamOrigin.UPDATES: "taken as queued at once",
    StreamOrigin.REQUESTS: "each recorded request cut by itself",
    StreamOrigin.HISTORY: "worked out from a history: how they are grouped is a reconstruction, "
    "which takes each invocation's updates as queued at once",
}


def _rules(report: BatchReport) -> str:
    rules = report.rules
    token = " + the token" if rules.counts_token else ""
    base = f" ({rules.base_bytes:,}{token} of them kept for framing)" if rules.base_bytes else ""
    return (
        f"{rules.title}: at most {rules.max_bytes:,} bytes{base} and "
        f"{plural(rules.max_operations, 'update')} a request"
    )


def _total(report: BatchReport) -> str:
    count = plural(len(report.requests), "request")
    beside = "" if report.origin is StreamOrigin.REQUESTS else " besides the checkpoint tokens"
    left = report.updates - sum(request.updates for request in report.requests)
    stuck = f"; {plural(left, 'update')} never sent" if left else ""
    estimate = f"(estimated {report.estimated_bytes:,})"
    return f"{count}, {report.exact_bytes:,} bytes{beside} {estimate}{stuck}"


# -- requests ------------------------------------------------------------------------------------

FOLD_FROM_REQUESTS: Final = 40
FOLD_FROM_RUN: Final = 4
_HEAD: Final = 40
_TAIL: Final = 10


@dataclass(frozen=True, slots=True)
class _Row:
    """One request, or a run of neighbours that were cut alike; sizes are those of the largest."""

    first: Request
    last: Request
    estimated_bytes: int
    exact_bytes: int


def _rows(requests: Sequence[Request], expand: bool) -> list[_Row]:
    if expand or len(requests) <= FOLD_FROM_REQUESTS:
        return [_row([request]) for request in requests]
    rows: list[_Row] = []
    for _, alike in groupby(requests, lambda request: (request.updates, request.cut)):
        run = list(alike)
        parts = [run] if len(run) >= FOLD_FROM_RUN else [[request] for request in run]
        rows += map(_row, parts)
    return rows


def _row(run: Sequence[Request]) -> _Row:
    return _Row(
        run[0],
        run[-1],
        max(request.estimated_bytes for request in run),
        max(request.exact_bytes for request in run),
    )


def _requests(report: BatchReport, surface: Surface, expand: bool) -> list[str]:
    rows = _rows(report.requests, expand)
    if not rows:
        return []
    hidden = range(0)
    if not expand and len(rows) > _HEAD + _TAIL + 1:
        hidden = range(_HEAD, len(rows) - _TAIL)
    shown = [row for index, row in enumerate(rows) if index not in hidden]
    lines = table(_request_columns(shown, report, surface), surface)
    if hidden:
        between = _left_out(rows[hidden.start], rows[hidden[-1]], report, surface)
        lines.insert(1 + hidden.start, between)
    return lines


_GROUP_HEADS: Final = {StreamOrigin.REQUESTS: "RECORDED", StreamOrigin.HISTORY: "INVOCATION"}
_BAR_LEAST: Final = 6
_BAR_MOST: Final = 30
_WORDY_FROM_WIDTH: Final = 90


def _request_columns(rows: Sequence[_Row], report: BatchReport, surface: Surface) -> list[Column]:
    parts = [row.exact_bytes / report.rules.max_bytes for row in rows]
    styles = ["bad" if part > 1 else "warn" if part >= _NEAR_CAP else "" for part in parts]
    reasons = _REASONS if surface.width >= _WORDY_FROM_WIDTH else _SHORT_REASONS
    columns = [
        Column("REQUEST", [_range(row.first.number, row.last.number) for row in rows]),
        Column("UPDATES", [f"{row.first.updates:,}" for row in rows]),
        Column("ESTIMATED", [f"{row.estimated_bytes:,}" for row in rows], "dim", gives_way=2),
        Column("EXACT", [f"{row.exact_bytes:,}" for row in rows], styles),
        Column("OF CAP", [percent_text(part) for part in parts], styles),
        Column("CUT BECAUSE", [reasons[row.first.cut] for row in rows], right=False, least=11),
    ]
    if report.origin in _GROUP_HEADS:
        groups = [_range(row.first.group, row.last.group) for row in rows]
        columns.insert(1, Column(_GROUP_HEADS[report.origin], groups, "dim", gives_way=1))
    room = surface.width - sum(column.width + 2 for column in columns) - 2
    if room >= _BAR_LEAST:
        bars = [bar(part, min(room, _BAR_MOST), surface.unicode) for part in parts]
        columns.insert(-1, Column("", bars, [style or "good" for style in styles], right=False))
    return columns


_REASONS: Final = {
    Cut.BYTES: "the next is too large",
    Cut.OPERATIONS: "it is full",
    Cut.OVERSIZED: "one over the cap",
    Cut.END: "nothing follows",
}
_SHORT_REASONS: Final = {
    Cut.BYTES: "byte cap",
    Cut.OPERATIONS: "update cap",
    Cut.OVERSIZED: "oversized",
    Cut.END: "end",
}


def _range(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,}-{last:,}"


def _left_out(first: _Row, last: _Row, report: BatchReport, surface: Surface) -> str:
    between = report.requests[first.first.number - 1 : last.last.number]
    text = (
        f"{plural(len(between), 'more request')} with "
        f"{plural(sum(request.updates for request in between), 'update')}, "
        f"{sum(request.exact_bytes for request in between):,} bytes (--expand shows them)"
    )
    dots = "…" if surface.unicode else "..."
    return surface.line([(fit(f"  {dots} {text}", surface.width, surface.unicode), "dim")])


# -- updates -------------------------------------------------------------------------------------


def label(update: OperationUpdate) -> str:
    """Return what an update does to which operation, in words that are safe to show."""
    what = labelled(_shown(update.sub_type or update.type.value), _shown(update.name or ""))
    return f"{clean(what)} {update.action.value} {clean(update.id[:12])}"


def _shown(name: str) -> str:
    return clean(excerpt(name, _NAME_COLUMNS) or "")


_NAME_COLUMNS: Final = 300
"""A name that the service takes has 256 characters."""


def _largest(report: BatchReport, surface: Surface) -> list[str]:
    largest = report.largest
    if not largest:
        return []
    labels = [label(item.update) for item in largest]
    payloads = [
        "-" if item.payload_bytes is None else f"{item.payload_bytes:,}" for item in largest
    ]
    every = bool(report.comparison)
    number = Column("UPDATE", [f"{item.number:,}" for item in largest])
    figures = [
        Column("PAYLOAD", payloads, gives_way=1),
        Column("EXACT", [f"{item.exact_bytes:,}" for item in largest]),
        *(
            Column(
                SDKS[sdk].title.upper() if every else "ESTIMATE",
                [f"{item.estimates[sdk]:,}" for item in largest],
                "dim",
            )
            for sdk in (SDKS if every else [report.rules.sdk])
        ),
    ]
    whole = [number, Column("LARGEST", labels, right=False, least=_LEAST_LABEL), *figures]
    if least_width(whole) <= surface.width:
        return table(whole, surface)
    head, *lines = table([number, *figures], surface)
    out = [head]
    for line, text in zip(lines, labels, strict=True):
        shown = fit(text, surface.width - 4, surface.unicode)
        out += [line, surface.line([("    " + shown, "dim")])]
    return out


_LEAST_LABEL: Final = 24


# -- estimates -----------------------------------------------------------------------------------


def _estimates(report: BatchReport, surface: Surface) -> list[str]:
    rows = report.comparison
    if not rows:
        return []
    styles = ["info" if item.sdk is report.rules.sdk else "" for item in rows]
    columns = [
        Column("SDK", [SDKS[item.sdk].title for item in rows], styles, right=False),
        Column("REQUESTS", [f"{item.requests:,}" for item in rows], styles, gives_way=2),
        Column("ESTIMATED", [f"{item.estimated_bytes:,}" for item in rows], styles),
        Column("EXACT", [f"{item.exact_bytes:,}" for item in rows], styles),
        Column("OFF BY", [_off_by(item) for item in rows], styles),
        Column(
            "LARGEST", [f"{item.largest_request_bytes:,}" for item in rows], styles, gives_way=1
        ),
    ]
    head, *lines = table(columns, surface)
    out = [head]
    for item, line in zip(rows, lines, strict=True):
        out.append(line)
        for text in _comparison_notes(item):
            wrapped = wrap(text, surface.width - 6)
            out += [surface.line([("      " + part, "warn")]) for part in wrapped]
    return out


def _off_by(item: SdkComparison) -> str:
    if not item.exact_bytes:
        return "-"
    return f"{(item.estimated_bytes - item.exact_bytes) / item.exact_bytes * 100:+,.1f} %"


def _comparison_notes(item: SdkComparison) -> Iterator[str]:
    if item.worst_under:
        yield f"update {item.worst_under:,} is estimated {item.short_bytes:,} bytes short"
    if item.stuck:
        yield f"{plural(item.stuck, 'update')} never sent: the handler hangs"


# -- findings ------------------------------------------------------------------------------------

SHOWN_OF_A_KIND: Final = 10


def _findings(report: BatchReport, surface: Surface, expand: bool) -> list[str]:
    out: list[str] = []
    ordered = sorted(report.findings, key=_worst_first)
    for kind, alike in groupby(ordered, lambda finding: finding.kind):
        same = list(alike)
        shown = same if expand else same[:SHOWN_OF_A_KIND]
        for finding in shown:
            out += _finding(finding, surface)
        if len(same) > len(shown):
            more = f"{len(same) - len(shown):,} more of {kind.value} (--expand shows them)"
            out.append(surface.line([(" " * _KEY + more, "dim")]))
    return out


def _worst_first(finding: Finding) -> tuple[int, int]:
    kinds, severities = list(BatchFindingKind), list(Severity)
    return severities.index(finding.severity), kinds.index(finding.kind)


def _finding(finding: Finding, surface: Surface) -> list[str]:
    severity = finding.severity
    return _pair(severity.value, finding_text(finding), _SEVERITY_STYLES[severity], surface)


def finding_text(finding: Finding) -> str:
    """Return one finding as a sentence that names what it is about, its size and the limit."""
    if finding.operation is not None:
        subject = f"update {finding.update:,}, {label(finding.operation)}: "
    elif finding.request:
        subject = f"request {finding.request:,}: "
    else:
        subject = ""
    return f"{subject}{finding.problem} ({finding.size:,} of {finding.limit:,} {finding.unit})"


def _verdict(report: BatchReport, surface: Surface) -> str:
    counts = {
        severity: sum(finding.severity is severity for finding in report.findings)
        for severity in Severity
    }
    spans: list[Span] = [("  ", "")]
    words = (
        (counts[Severity.REJECTED], "would be rejected", "bad"),
        (counts[Severity.HANGS], "would hang", "bad"),
        (counts[Severity.NOTICE], "to notice", "warn"),
    )
    for count, word, style in words:
        if count:
            spans += [(", " if len(spans) > 1 else "", ""), (f"{count:,} {word}", style)]
    if len(spans) == 1:
        spans.append(("nothing would be rejected, nothing hangs", "good"))
    return surface.line(spans)
