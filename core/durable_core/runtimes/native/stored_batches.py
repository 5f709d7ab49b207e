"""The stored result of a native map or parallel, as a replay returns it while it is verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from durable_core.exceptions import error_object
from durable_core.model import CompletionReason, ErrorObject, OperationStatus
from durable_core.native.batch_result import BatchItem, BatchResult
from durable_core.native.operations import batch as batches
from durable_core.native.operations.batch_payload import read_inline
from durable_core.runtimes.native.replay_call import VerifyingCall
from durable_core.verifying.differences import compare_flat_results, returned
from durable_core.verifying.missing_values import UnknownValue, is_unknown
from durable_core.verifying.traces import BodyEnd, BodyOutcome
from durable_core.verifying.units import UnitResult


def read_first(
    call: VerifyingCall, options: batches.BatchOptions
) -> BatchResult[Any] | UnknownValue | None:
    """Return the stored result where it may not be to be had, before any unit runs."""
    answer, recorded = call.answer, call.answer.recorded
    if recorded is None or recorded.operation.status is not OperationStatus.SUCCEEDED:
        return None
    if call.session.is_stripped(recorded) or not answer.is_terminal:
        return None
    if recorded.is_lost or options.serdes is not None or options.unit_serdes is not None:
        return _stored(call, options)
    return None


def _stored(call: VerifyingCall, options: batches.BatchOptions) -> BatchResult[Any] | UnknownValue:
    session = call.session
    unknown = session.take_payload(call.answer)
    if unknown is not None:
        return unknown
    payload = call.recorded.result if call.recorded else None
    if options.serdes is not None:
        return cast("BatchResult[Any]", call.to_value(options.serdes, payload))
    inline = read_inline(payload)
    if inline is None:
        session.doubt(
            f"the recorded result of {call.label} is not one of a map or parallel of this runtime",
            "give a history as the service returns it, of a handler of this runtime",
            call.path,
        )
        return BatchResult([], CompletionReason.ALL_COMPLETED)
    return batches.inline_result(call, inline, options)


def has_unknown(inline: BatchResult[Any] | UnknownValue | None) -> bool:
    """Tell whether a stored result, or that of a unit in it, isn't to be had."""
    if inline is None or is_unknown(inline):
        return inline is not None
    return isinstance(inline, BatchResult) and any(is_unknown(each.result) for each in inline.all)


def whole_result(
    call: VerifyingCall,
    options: batches.BatchOptions,
    inline: BatchResult[Any] | UnknownValue | None,
    ends: Sequence[BodyOutcome],
) -> BatchResult[Any]:
    """Return the stored result, and compare the values of FLAT units with it."""
    if inline is None:
        inline = _stored(call, options)
    # What a SerDes makes of it may be anything.
    if not is_unknown(inline) and isinstance(inline, BatchResult):
        inline = BatchResult([_known(item, ends) for item in inline.all], inline.completion_reason)
        was = {each.index: each.result for each in inline.succeeded()}
        compare_flat_results(call.session, call.answer, was, returned(ends))
    return cast("BatchResult[Any]", inline)


def _known(item: BatchItem[Any], ends: Sequence[BodyOutcome]) -> BatchItem[Any]:
    """Return a unit's result, from its body where the record doesn't have it."""
    if not is_unknown(item.result) or item.index >= len(ends):
        return item
    ended = ends[item.index]
    return replace(item, result=ended.value) if ended.outcome is BodyEnd.RETURNED else item


def rebuilt_result(
    reason: CompletionReason | None,
    units: Sequence[UnitResult],
    planned: Sequence[batches.PlannedUnit],
) -> BatchResult[Any]:
    """Return the result of a stripped map or parallel: frozen statuses, values of this run."""
    items = [
        BatchItem(unit.index, unit.status, unit.value, _error_of(unit), planned[unit.index].name)
        for unit in units
    ]
    return BatchResult(items, reason or CompletionReason.ALL_COMPLETED)


def _error_of(unit: UnitResult) -> ErrorObject | None:
    return unit.error or (None if unit.raised is None else error_object(unit.raised))
