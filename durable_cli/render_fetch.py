"""What `durable fetch` shows: the executions that were found, and events as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from durable_cli.escapes import clean
from durable_cli.output import Surface, join_lines
from durable_cli.table import Column, table
from durable_core.arns import parse_execution_arn
from durable_core.events import format_timestamp, parse_timestamp
from durable_core.execution_document import with_iso_moments

EXECUTIONS_SCHEMA: Final = "durable.executions/1"

Json = Mapping[str, Any]

_STYLES: Final = {"SUCCEEDED": "good", "RUNNING": "info"}


def executions_document(function: str, executions: Sequence[Json]) -> dict[str, Any]:
    """Return the document of `durable fetch --list --format json`, as the API spells its items."""
    return {
        "schema": EXECUTIONS_SCHEMA,
        "function": function,
        "executions": [with_iso_moments(each) for each in executions],
    }


def executions_table(function: str, executions: Sequence[Json], surface: Surface) -> str:
    """Return the executions as a table, in the order in which the service gave them."""
    if not executions:
        return f"no executions of {clean(function)}\n"
    statuses = [_text(each, "Status") for each in executions]
    columns = [
        Column("started (UTC)", [_moment(each) for each in executions], right=False),
        Column("status", statuses, [_STYLES.get(each, "warn") for each in statuses], right=False),
        Column("took", [_took(each) for each in executions], gives_way=2),
        Column("version", [_version(each) for each in executions], right=False, gives_way=1),
        Column(
            "execution",
            [_text(each, "DurableExecutionName") for each in executions],
            right=False,
        ),
    ]
    count = f"{len(executions):,} execution{'' if len(executions) == 1 else 's'}"
    arns = [f"  {_text(each, 'DurableExecutionArn')}" for each in executions]
    return join_lines(
        [f"{count} of {clean(function)}", "", *table(columns, surface), "", "ARNs:", *arns]
    )


def event_line(event: Json) -> str:
    """Return one line for an event: when, which, of what, and how long until when."""
    details = event.get(f"{event.get('EventType')}Details") or {}
    parts = [
        _clock(event.get("EventTimestamp")),
        f"{event.get('EventId', '?'):>5}",
        str(event.get("EventType")),
    ]
    sub_type, name = event.get("SubType"), event.get("Name")
    if sub_type and not str(event.get("EventType")).startswith(str(sub_type)):
        parts.append(f"({sub_type})")
    if name:
        parts.append(f'"{name}"')
    if isinstance(details, Mapping):
        parts += _notes(details)
    return clean(" ".join(parts))


def _notes(details: Json) -> list[str]:
    notes = []
    error = details.get("Error")
    payload = error.get("Payload") if isinstance(error, Mapping) else None
    if isinstance(payload, Mapping):
        notes.append(str(payload.get("ErrorType") or "failed"))
    retry = details.get("RetryDetails")
    if isinstance(retry, Mapping) and retry.get("NextAttemptDelaySeconds"):
        notes.append(f"next attempt in {retry['NextAttemptDelaySeconds']} s")
    if "ScheduledEndTimestamp" in details:
        notes.append(f"until {_clock(details['ScheduledEndTimestamp'])}")
    return notes


def _text(item: Json, name: str) -> str:
    return clean(str(item.get(name) or "-"))


def _parsed(item: Json, name: str) -> datetime | None:
    try:
        return parse_timestamp(item.get(name))
    except ValueError:
        return None


def _moment(item: Json) -> str:
    moment = _parsed(item, "StartTimestamp")
    return "-" if moment is None else format_timestamp(moment)[:19].replace("T", " ")


def _clock(value: object) -> str:
    try:
        return format_timestamp(parse_timestamp(value))[11:23]
    except ValueError:
        return "?"


def _took(item: Json) -> str:
    start, end = _parsed(item, "StartTimestamp"), _parsed(item, "EndTimestamp")
    return "-" if start is None or end is None else f"{(end - start).total_seconds():,.1f} s"


def _version(item: Json) -> str:
    arn = parse_execution_arn(str(item.get("DurableExecutionArn")))
    return clean(arn.version) if arn else "-"
