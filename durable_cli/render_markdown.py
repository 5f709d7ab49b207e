"""The report of `durable replay` as Markdown, for an issue, a pull request or a chat."""

from __future__ import annotations

from collections.abc import Sequence

from durable_cli.escapes import markdown_text
from durable_cli.figures import bytes_text, percent_text, plural, size_text
from durable_cli.outline import OutlineLine
from durable_cli.output import join_lines
from durable_cli.text import limit_text, line_label, line_position, line_why, sdk_text, totals_text
from durable_core.explaining.messages import duration_text
from durable_core.explaining.report import Report


def render(report: Report, lines: Sequence[OutlineLine], cost: Sequence[str] = ()) -> str:
    """Return the report as a heading, a table of operations and the lists below it.

    `cost` are the lines that say what it costs, if that is asked for.
    """
    facts = [
        f"**{markdown_text(report.status)}**",
        markdown_text(report.name) if report.name else "",
        f"function {markdown_text(report.function)}" if report.function else "",
        markdown_text(sdk_text(report)),
        plural(report.invocations, "invocation") if report.invocations else "",
        f"{size_text(report.stored_bytes)} stored",
        f"paused for {duration_text(report.paused_seconds)}" if report.pauses else "",
    ]
    out = [f"### {markdown_text(report.source)}", "", ", ".join(fact for fact in facts if fact)]
    for warning in report.warnings:
        out += ["", f"> warning: {markdown_text(warning)}"]
    if lines:
        out += ["", *_table(lines)]
    out += ["", f"{markdown_text(totals_text(report))}."]
    warned = [use for use in report.limits if use.is_warning]
    for use in warned:
        where = f" ({markdown_text(use.where)})" if use.where else ""
        amount = f"{limit_text(use)}, {percent_text(use.fraction)}"
        note = f"; {use.note}" if use.note else ""
        out += ["", f"> limit: {markdown_text(use.what)}{where}: {amount}{note}"]
    out += cost
    if report.reasons:
        out += ["", "Why:", ""]
        for reason in report.reasons:
            place = f"{markdown_text(reason.position)} " if reason.position else ""
            out.append(f"1. {place}{markdown_text(reason.text)}")
    return join_lines(out)


def _table(lines: Sequence[OutlineLine]) -> list[str]:
    out = [
        "| position | operation | status | time | bytes | of limit | what a replay does |",
        "|---|---|---|--:|--:|--:|---|",
    ]
    for line in lines:
        row = line.row
        size = line.largest_bytes if row.id is not None else None
        cells = [
            markdown_text(line_position(line)),
            "&nbsp;&nbsp;" * min(row.depth, 12) + markdown_text(line_label(line)),
            markdown_text(row.status or ""),
            "" if line.is_folded else duration_text(row.duration_seconds),
            bytes_text(size) if size else "",
            percent_text(size / row.payload_limit) if size else "",
            markdown_text(line_why(line)) + _payload(line),
        ]
        out.append(f"| {' | '.join(cells)} |")
    return out


def _payload(line: OutlineLine) -> str:
    return (
        "" if line.row.payload is None else f"<br>= {markdown_text(line.row.payload, whole=True)}"
    )
