"""Rows and reports in words, the same in every text that a command writes."""

from __future__ import annotations

from durable_cli.escapes import clean
from durable_cli.figures import metered_text, plural, size_text
from durable_cli.outline import OutlineLine
from durable_core.events import format_timestamp
from durable_core.excerpts import labelled
from durable_core.explaining.messages import duration_text
from durable_core.explaining.report import LimitUse, PauseRow, Report, Row
from durable_core.positions import label_of
from durable_core.sdks import ALL_SDKS


def limit_text(use: LimitUse) -> str:
    """Return how much of a limit is used, in its unit."""
    least = "at least " if use.at_least and use.used else ""
    text = f"{least}{use.used:,} of {use.limit:,} {use.unit}"
    if not use.disputed:
        return text
    return f"{text} (disputed: {use.disputed})" if use.is_warning else f"{text}, disputed"


def label(row: Row) -> str:
    """Return what kind of operation or unit it is, with its name."""
    if row.unit is None:
        return clean(label_of(row))
    unit = clean(labelled(f"unit {row.unit:,}", row.name))
    return f"{unit}{' (FLAT)' if row.is_flat_unit else ''}"


def line_label(line: OutlineLine) -> str:
    """Return the label of a line, which may stand for many rows."""
    row, last = line.row, line.last
    if not line.is_folded:
        return label(row)
    flat = " (FLAT)" if row.is_flat_unit else ""
    if row.unit is not None:
        stop = (last.unit if last.unit is not None else row.unit) + last.units - 1
        return f"units {row.unit:,}-{stop:,}{flat}"
    same = row.name if row.name == last.name else None
    return f"{line.count:,} of {clean(labelled(row.sub_type or row.type, same))}"


def line_position(line: OutlineLine) -> str:
    """Return the position of a line; a range where it stands for several operations."""
    first, last = clean(line.row.position), clean(line.last.position)
    return first if first == last else f"{first}..{last}"


def line_why(line: OutlineLine) -> str:
    """Return what a replay does with what the line stands for."""
    return clean(line.row.why) + (" (the first of them)" if line.is_first_of_several else "")


def sdk_text(report: Report) -> str:
    """Return which SDK wrote the history, and how that is known."""
    if not report.sdks:
        return "an SDK that can't be told (no id fits a scheme)" if report.rows else "-"
    *others, last = (ALL_SDKS[sdk].title for sdk in report.sdks)
    names = f"{', '.join(others)} or {last}" if others else last
    return f"{names} SDK (ids are {report.id_scheme} of the position)"


def pause_text(pause: PauseRow, report: Report) -> str:
    """Return from when to when an execution was paused, why, and what completed meanwhile."""
    end = pause.resumed or report.ended
    until = "now" if end is None else format_timestamp(end)
    span = f"{format_timestamp(pause.paused)} to {until} ({duration_text(pause.seconds)})"
    parts = [f"{span}: {pause.reason}" if pause.reason else span]
    if pause.resume_reason:
        parts.append(f"resumed: {pause.resume_reason}")
    if pause.completed:
        named = ", ".join(pause.completed[:5])
        more = f" and {len(pause.completed) - 5:,} more" if len(pause.completed) > 5 else ""
        parts.append(f"completed meanwhile: {named}{more}")
    return "; ".join(parts)


def extended_timeout_text(report: Report) -> str:
    """Return when an execution that was paused times out, and by how much that is later."""
    assert report.expected_timeout is not None
    closed = [each for each in report.pauses if each.timeout_paused and each.resumed is not None]
    seconds = sum(each.seconds for each in closed)
    later = f", {duration_text(seconds)} later for its pauses" if seconds else ""
    return f"{format_timestamp(report.expected_timeout)}{later}"


def totals_text(report: Report) -> str:
    """Return how many operations and units there are of what one wants to know."""
    totals = report.totals
    parts = [
        (totals.stripped, "stripped"),
        (totals.re_executed, "re-executed"),
        (totals.skipped, "skipped as Started"),
        (totals.not_dispatched, "not dispatched"),
        (totals.failed, "failed"),
        (totals.pending, "open"),
    ]
    counted = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    units = f" and {plural(totals.units, 'unit')}" if totals.units else ""
    metered = metered_text(totals.metered_operations, at_least=report.metering.operations_at_least)
    operations = f"{plural(totals.operations, 'operation')} ({metered})"
    return f"{operations}{units}: {counted or 'nothing stripped, failed or open'}"


def cost_text(report: Report) -> str:
    """Return what every further invocation costs, as the end of a sentence."""
    cost = report.cost
    text = (
        f"is handed {plural(cost.operations, 'operation')} ({size_text(cost.payload_bytes)}), "
        f"answers {cost.answered:,} from checkpoints"
    )
    bodies = [
        plural(count, noun)
        for count, noun in (
            (cost.contexts_re_executed, "context body"),
            (cost.unit_bodies, "unit body"),
        )
        if count
    ]
    again = " and ".join(bodies).replace("bodys", "bodies")
    return f"{text}, runs {again} again" if again else f"{text}, runs no body again"
