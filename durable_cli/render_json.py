"""Reports as JSON documents. Each carries a versioned `schema`; docs/json.md describes them.

A schema's version goes up when a field changes its meaning or goes away; new fields may come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from durable_cli.render_cost import cost_object, nesting_objects
from durable_core.errors import DurableError, SourceError
from durable_core.events import format_timestamp
from durable_core.model import ErrorObject
from durable_core.wire import error_to_wire

if TYPE_CHECKING:
    from durable_core.explaining.costs import Cost
    from durable_core.explaining.report import LimitUse, Metering, PauseRow, Reason, Report, Row
    from durable_core.metering import Metered

REPLAY_SCHEMA: Final = "durable.replay/1"


def replay_document(
    histories: Iterable[Mapping[str, Any]], cost: Cost | None = None
) -> dict[str, Any]:
    """Return the document of `durable replay --format json`: every history of the call.

    `cost` is what they cost together, where there are prices. The histories are made when they are
    written.
    """
    priced = {} if cost is None else {"cost": cost_object(cost)}
    return {"schema": REPLAY_SCHEMA, "histories": (each for each in histories), **priced}


def replay_line(history: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line of `durable replay --format jsonl`: one history."""
    return {"schema": REPLAY_SCHEMA, **history}


def cost_line(cost: Cost) -> dict[str, Any]:
    """Return the last line of `durable replay --format jsonl`: what all histories cost together."""
    return {"schema": REPLAY_SCHEMA, "cost": cost_object(cost)}


def unread_history(source: str, error: DurableError) -> dict[str, Any]:
    """Return what stands for a source that can't be read."""
    where = error.where if isinstance(error, SourceError) else None
    problem = error.problem if isinstance(error, SourceError) else str(error)
    return {"source": source, "unreadable": {"where": where, "problem": problem}}


def history_object(report: Report, rows: Iterable[Row], cost: Cost | None = None) -> dict[str, Any]:
    """Return one explained history; `rows` are those of the report that are to be shown.

    `cost` is what it costs, where there are prices. The operations are made when they are written:
    there may be many.
    """
    priced = {} if cost is None else {"cost": cost_object(cost)}
    return {
        "source": report.source,
        "execution": {
            "name": report.name,
            "arn": report.arn,
            "function": report.function,
            "version": report.version,
            "status": report.status,
            "started": _moment(report.started),
            "ended": _moment(report.ended),
            "wall_seconds": _seconds(report.wall_seconds),
            "suspended_seconds": _seconds(report.suspended_seconds),
            "paused_seconds": _seconds(report.paused_seconds),
            "pauses": [pause_object(pause) for pause in report.pauses],
            "at_resume": None if report.at_resume is None else report.at_resume.value,
            "expected_timeout": _moment(report.expected_timeout),
            "invocations": report.invocations,
            "failed_invocations": report.failed_invocations,
            "input_bytes": report.input_bytes,
            "result_bytes": report.result_bytes,
            "stored_bytes": report.stored_bytes,
            "error": _error(report.error),
        },
        "invocation": report.invocation,
        "sdks": list(report.sdks),
        "id_scheme": report.id_scheme,
        "operations": (_row(row) for row in rows),
        "totals": _fields(report.totals),
        "metering": metering_object(report.metering),
        "each_replay": _fields(report.cost),
        "limits": limit_objects(report.limits),
        "nesting": nesting_objects(report, cost),
        **priced,
        "reasons": [_reason(reason) for reason in report.reasons],
        "warnings": list(report.warnings),
    }


def metering_object(metering: Metering) -> dict[str, Any]:
    """Return what is metered beside the operations, and what isn't known of it."""
    return {
        "execution": _metered(metering.execution),
        "invocation_retries": _metered(metering.invocation_retries),
        "operations_at_least": metering.operations_at_least,
        "bytes_at_least": metering.bytes_at_least,
        "notes": list(metering.notes),
    }


def _metered(metered: Metered) -> dict[str, int]:
    return {"metered_operations": metered.operations, "metered_bytes": metered.bytes}


def limit_objects(limits: Iterable[LimitUse]) -> list[dict[str, Any]]:
    """Return how much of each limit is used."""
    return [
        {
            "key": use.key,
            "what": use.what,
            "unit": use.unit,
            "used": use.used,
            "at_least": use.at_least,
            "limit": use.limit,
            "fraction": round(use.fraction, 6),
            "warning": use.is_warning,
            "where": use.where,
            "source": use.source,
            "as_of": use.as_of,
            "disputed": use.disputed,
            "note": use.note,
        }
        for use in limits
    ]


def pause_object(pause: PauseRow) -> dict[str, Any]:
    """Return one pause: the same fields in every document."""
    return {
        "paused": _moment(pause.paused),
        "requested": _moment(pause.requested),
        "reason": pause.reason,
        "timeout_paused": pause.timeout_paused,
        "resumed": _moment(pause.resumed),
        "resume_reason": pause.resume_reason,
        "seconds": _seconds(pause.seconds),
        "completed": list(pause.completed),
    }


def row_identity(row: Row) -> dict[str, Any]:
    """Return which operation or unit a row is: the same fields in every document."""
    return {
        "position": row.position,
        "depth": row.depth,
        "id": row.id,
        "parent_id": row.parent_id,
        "type": row.type,
        "sub_type": row.sub_type,
        "name": row.name,
        "status": row.status,
        "unit": row.unit,
        "units": row.units,
        "nesting": row.nesting.value if row.nesting else None,
        "attempts": row.attempts,
        "metered_operations": row.metered_operations,
        "metered_bytes": row.metered_bytes,
    }


def _row(row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {
        **row_identity(row),
        "started": _moment(row.started),
        "ended": _moment(row.ended),
        "duration_seconds": row.duration_seconds,
        "payload_bytes": row.payload_bytes,
        "stored_bytes": row.stored_bytes,
        "stripped": row.is_stripped,
        "inferred": row.is_inferred,
        "completion_reason": row.completion_reason,
        "replay": row.replay.value,
        "why": row.why,
        "until": _moment(row.until),
        "error": _error(row.error),
    }
    if row.payload is not None:
        shown["payload"] = row.payload
    return shown


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def _seconds(seconds: float | None) -> float | None:
    """Return seconds to the microsecond that timestamps have, without the noise of arithmetic."""
    return None if seconds is None else round(seconds, 6)


def _error(error: ErrorObject | None) -> dict[str, Any] | None:
    return None if error is None else error_to_wire(error)


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "text": reason.text,
        "position": reason.position,
        "until": _moment(reason.until),
    }


def _fields(value: object) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]
