"""The report of one recorded history: heading, rows, totals, costs, limits and reasons. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from durable_core.arns import parse_execution_arn
from durable_core.errors import UsageError
from durable_core.execution_facts import ExecutionFacts
from durable_core.explaining.metering_totals import metering_of
from durable_core.explaining.reasons import at_resume, pause_reasons, pauses_with_record, reasons
from durable_core.explaining.report import (
    ComputeUse,
    LimitUse,
    Metering,
    PauseRow,
    Reason,
    Replay,
    ReplayCost,
    Report,
    Row,
    Totals,
)
from durable_core.explaining.rows import Explained, explain_operations
from durable_core.explaining.writers import writers_of
from durable_core.fold import Folded, Recorded, as_found_by, folded_of, visible
from durable_core.history import RecordedHistory
from durable_core.invocations import RecordedInvocation
from durable_core.limits import (
    LIMITS,
    LimitRow,
    ServiceLimits,
    limit_rows,
    payload_key,
    payload_limit,
)
from durable_core.model import (
    ExecutionRecord,
    ExecutionStatus,
    OperationStatus,
    OperationType,
)
from durable_core.positions import label_of
from durable_core.sizes import error_bytes, utf8_bytes


def explain(
    history: RecordedHistory,
    *,
    invocation: int | None = None,
    show_payloads: bool = False,
    limits: ServiceLimits = LIMITS,
) -> Report:
    """Explain a history: what a replay does with each operation and unit, and why.

    With `invocation` (from 1) the picture is the one that this invocation found when it began; one
    more than there were is the next one. `limits` are those to hold it against. Raises UsageError
    for an invocation that there isn't, or for a source that holds a state and so has none.
    """
    folded = folded_of(history)
    invocations = earlier = folded.invocations
    if invocation is not None:
        folded = _as_found(history, folded, invocation)
        earlier = invocations[: invocation - 1]
    lacks_events = bool(history.events) and history.events[-1].event_id != len(history.events)
    history = replace(history, events=())  # nothing asks for them any more: there may be many
    record = history.execution or ExecutionRecord()
    known = record if invocation is None else _before_its_end(record)
    facts = _with_record(folded.execution, known)
    if not show_payloads:
        facts = _without_reasons(facts)
    resume = at_resume(facts, folded.operations, invocations)
    explained = explain_operations(
        folded.operations,
        ended=not facts.status.is_open,
        payload_known=history.has_execution_data,
        is_pruned=history.operations is not None,
        show_payloads=show_payloads,
        limits=limits,
    )
    arn, scheme = parse_execution_arn(history.arn or ""), explained.located.scheme
    active = _active_seconds(earlier)
    wall = _wall_seconds(facts)
    own_bytes = _own_bytes(facts)
    folded = replace(folded, execution=facts)
    retried = earlier if invocation is not None else invocations[:-1]
    metering = metering_of(
        history, folded, explained.rows, own_bytes, retried=retried, lacks_events=lacks_events
    )
    stored_bytes = own_bytes + sum(row.stored_bytes for row in explained.rows)
    totals = _totals(folded.operations, explained.rows, metering)
    why: tuple[Reason, ...] = ()
    if invocation is None:
        why = (
            *pause_reasons(facts, resume, explained.rows),
            *reasons(facts, folded.operations, explained.rows, explained.located, invocations),
        )
    return Report(
        source=history.source,
        name=record.name or (arn.name if arn else None) or facts.name,
        arn=history.arn,
        function=_function_name(record.function_arn) or (arn.function if arn else None),
        version=record.version or (arn.version if arn else None),
        sdks=writers_of(scheme, folded.operations, explained.summaries, facts.error),
        id_scheme=scheme.name if scheme else None,
        status=facts.status.value,
        started=facts.started,
        ended=facts.ended,
        last_event=facts.last_event,
        wall_seconds=wall,
        suspended_seconds=None if wall is None or active is None else max(0.0, wall - active),
        invocations=len(invocations),
        failed_invocations=sum(each.error is not None for each in invocations),
        invocation=invocation,
        stored_bytes=stored_bytes,
        input_bytes=None if facts.input_payload is None else utf8_bytes(facts.input_payload),
        result_bytes=None if facts.result is None else utf8_bytes(facts.result),
        rows=explained.rows,
        totals=totals,
        metering=metering,
        compute=_compute(earlier) if history.operations is None else ComputeUse(None, 0, 0.0),
        cost=_cost(folded.operations, explained),
        limits=_limits(folded, explained.rows, totals, metering, stored_bytes, limits),
        reasons=why,
        warnings=history.warnings,
        error=facts.error,
        pauses=_pause_rows(facts, explained),
        paused_seconds=facts.paused_seconds,
        expected_timeout=facts.deadline,
        at_resume=resume,
    )


def _pause_rows(facts: ExecutionFacts, explained: Explained) -> tuple[PauseRow, ...]:
    now = facts.ended or facts.last_event
    return tuple(
        PauseRow(
            paused=each.paused,
            requested=each.requested,
            reason=each.reason,
            timeout_paused=each.timeout_paused,
            resumed=each.resumed,
            resume_reason=each.resume_reason,
            seconds=each.seconds(now),
            completed=tuple(explained.located.text(key) or key for key in each.completed),
        )
        for each in facts.pauses
    )


# -- what is explained ---------------------------------------------------------------------------


def _as_found(history: RecordedHistory, folded: Folded, number: int) -> Folded:
    count = len(folded.invocations)
    if history.operations is not None:
        raise UsageError(f"{history.source}: a state has no invocations, only a history has")
    if number == count + 1 and folded.execution.status.is_open:
        return folded
    if not 1 <= number <= count:
        raise UsageError(
            f"{history.source}: there is no invocation {number}; the history has {count}"
        )
    return as_found_by(history.events, folded.invocations[number - 1])


def _before_its_end(record: ExecutionRecord) -> ExecutionRecord:
    return replace(
        record,
        status=None,
        result=None,
        error=None,
        end_timestamp=None,
        pause=None,
        expected_timeout=None,
    )


def _with_record(facts: ExecutionFacts, record: ExecutionRecord) -> ExecutionFacts:
    """Complete what the events say of the execution by what GetDurableExecution said."""
    pauses = pauses_with_record(facts, record)
    status = facts.status
    if record.status is not None and (
        status is ExecutionStatus.RUNNING or record.status is ExecutionStatus.DELETING
    ):
        status = record.status
    return replace(
        facts,
        status=status,
        pauses=pauses,
        expected_timeout=record.expected_timeout if status.is_open else None,
        started=facts.started or record.start_timestamp,
        ended=facts.ended or record.end_timestamp,
        input_payload=facts.input_payload
        if facts.input_payload is not None
        else record.input_payload,
        result=facts.result if facts.result is not None else record.result,
        error=facts.error or record.error,
    )


def _without_reasons(facts: ExecutionFacts) -> ExecutionFacts:
    """Leave out the reasons of pauses, which are execution data as payloads are."""
    untold = (replace(each, reason=None, resume_reason=None) for each in facts.pauses)
    return replace(facts, pauses=tuple(untold))


def _function_name(arn: str | None) -> str | None:
    if not arn:
        return None
    parts = arn.split(":")
    return parts[6] if len(parts) > 6 else arn


# -- figures -------------------------------------------------------------------------------------


def _wall_seconds(facts: ExecutionFacts) -> float | None:
    end = facts.ended or facts.last_event
    if facts.started is None or end is None:
        return None
    return max(0.0, (end - facts.started).total_seconds())


def _active_seconds(invocations: Sequence[RecordedInvocation]) -> float | None:
    spans = [
        (each.ended - each.started).total_seconds()
        for each in invocations
        if each.started is not None and each.ended is not None
    ]
    return sum(max(0.0, span) for span in spans) if spans else None


def _compute(invocations: Sequence[RecordedInvocation]) -> ComputeUse:
    spans = [
        (each.ended - each.started) // timedelta(microseconds=1)
        for each in invocations
        if each.started is not None and each.ended is not None
    ]
    billed = sum(max(0, -(-span // 1000)) for span in spans)
    timed = sum(each.is_timed for each in invocations)
    return ComputeUse(len(invocations), timed, billed / 1000)


def _own_bytes(facts: ExecutionFacts) -> int:
    """Return the bytes of the execution's own input, and of its result or error."""
    own = sum(utf8_bytes(text) for text in (facts.input_payload, facts.result) if text)
    return own + (error_bytes(facts.error) if facts.error is not None else 0)


def _totals(recorded: Mapping[str, Recorded], rows: Sequence[Row], metering: Metering) -> Totals:
    def count(*kinds: Replay) -> int:
        return sum(row.units for row in rows if row.replay in kinds)

    return Totals(
        operations=len(recorded),
        units=sum(row.units for row in rows if row.unit is not None),
        stripped=sum(row.is_stripped for row in rows),
        re_executed=count(Replay.RE_EXECUTED, Replay.ERROR_RECOVERED),
        skipped=count(Replay.SKIPPED),
        not_dispatched=count(Replay.NOT_DISPATCHED),
        failed=sum(row.units for row in rows if row.status in _FAILED),
        pending=count(Replay.WAITS, Replay.NEXT_ATTEMPT),
        metered_operations=metering.execution.operations
        + metering.invocation_retries.operations
        + sum(row.metered_operations for row in rows),
        metered_bytes=metering.execution.bytes
        + metering.invocation_retries.bytes
        + sum(row.metered_bytes for row in rows),
    )


_FAILED: Final = frozenset(
    {OperationStatus.FAILED, OperationStatus.TIMED_OUT, OperationStatus.STOPPED}
)
_BODIES: Final = frozenset({Replay.RE_EXECUTED, Replay.RUNS_AGAIN, Replay.ERROR_RECOVERED})
_ANSWERS: Final = frozenset({Replay.FROM_CHECKPOINT, Replay.RAISES, Replay.ERROR_RECOVERED})


def _cost(recorded: Mapping[str, Recorded], explained: Explained) -> ReplayCost:
    handed = visible((each.operation for each in recorded.values()), explained.rebuilt)
    rows = explained.rows
    return ReplayCost(
        operations=len(handed),
        payload_bytes=sum(utf8_bytes(each.result) for each in handed if each.result),
        answered=sum(row.replay in _ANSWERS and row.id is not None for row in rows),
        contexts_re_executed=sum(
            row.type == OperationType.CONTEXT and row.replay in _BODIES - _ANSWERS for row in rows
        ),
        unit_bodies=sum(row.units for row in rows if row.id is None and row.replay in _BODIES),
    )


def _limits(
    folded: Folded,
    rows: Sequence[Row],
    totals: Totals,
    metering: Metering,
    stored_bytes: int,
    limits: ServiceLimits,
) -> tuple[LimitUse, ...]:
    facts, recorded = folded.execution, folded.operations
    payloads = ((_fullest(each, limits), key) for key, each in recorded.items())
    errors = (
        (error_bytes(each.operation.error), key)
        for key, each in recorded.items()
        if each.operation.error is not None
    )
    nothing = (0.0, 0, limits.payload_bytes)
    (_, largest, most), where = max(payloads, default=(nothing, ""), key=lambda pair: pair[0])
    worst, error_where = max(errors, default=(0, ""), key=lambda pair: pair[0])
    result = utf8_bytes(facts.result) if facts.result else 0
    place, error_place = _place_of(where, rows), _place_of(error_where, rows)
    most_operations, partial = limits.operations, metering.operations_at_least
    uses = (
        LimitUse("payload_bytes", "largest payload", "bytes", largest, most, place),
        LimitUse("error_bytes", "largest error", "bytes", worst, limits.error_bytes, error_place),
        LimitUse(
            "operations",
            "operations",
            "operations",
            len(recorded),
            most_operations,
            at_least=partial,
        ),
        LimitUse(
            "metered_operations",
            "metered",
            "operations",
            totals.metered_operations,
            most_operations,
            note=WHICH_COUNTS,
            at_least=partial,
        ),
        LimitUse(
            "stored_bytes",
            "bytes written",
            "bytes",
            stored_bytes,
            limits.stored_bytes,
            at_least=metering.bytes_at_least,
        ),
        LimitUse("response_bytes", "final result", "bytes", result, limits.response_bytes),
    )
    kind = recorded[where].operation.type if where else OperationType.STEP
    table = {row.key: row for row in limit_rows(limits)}
    table["payload_bytes"] = table[payload_key(kind)]
    table["metered_operations"] = table["operations"]
    return tuple(
        _limit_use(table[use.key], use if use.used else replace(use, where=None))
        for use in uses
        if use.used or use.key in _ALWAYS_SHOWN
    )


_ALWAYS_SHOWN: Final = frozenset(
    {"payload_bytes", "operations", "metered_operations", "stored_bytes"}
)

WHICH_COUNTS: Final = "open whether the cap counts these"


def _limit_use(row: LimitRow, use: LimitUse) -> LimitUse:
    """Return how much of a limit is used, with what the table says of the limit."""
    asynchronous = LIMITS.async_result_bytes if use.key == "response_bytes" else use.limit
    note = use.note or (row.note if use.used >= _NEAR * asynchronous else None)
    return replace(use, source=row.source, as_of=row.as_of, disputed=row.disputed, note=note)


_NEAR: Final = 0.5
"""From which part of a limit on its note is worth reading."""


def _fullest(each: Recorded, limits: ServiceLimits) -> tuple[float, int, int]:
    """Return of an operation's largest payload the part of its limit, its bytes, the limit."""
    texts = each.payloads or ([each.operation.result] if each.operation.result else [])
    size = max((utf8_bytes(text) for text in texts), default=0)
    limit = payload_limit(each.operation.type, limits)
    return size / limit, size, limit


def _place_of(operation_id: str, rows: Sequence[Row]) -> str | None:
    return next((_place(row) for row in rows if row.id == operation_id), None)


def _place(row: Row) -> str:
    return f"{row.position} {label_of(row)}"
