"""Every limit of the service, in one dated table with the source of each.

Limits move. When one does, this file is the only one to change. `ServiceLimits` holds the values
as a frozen value so that a what-if can switch one (`dataclasses.replace`); the caps and rules by
which each SDK batches are in `sdks`.
"""

from __future__ import annotations

from dataclasses import field, fields

from durable_core.frozen import dataclass
from durable_core.model import OperationType
from durable_core.operation_types import OPERATION_TYPES

AS_OF = "2026-11"

KIB = 1024
MIB = 1024 * 1024

FUNCTION_TIMEOUT_SECONDS = 900
"""How long Lambda lets an invocation run: its longest function timeout (Lambda quotas page)."""

_MODEL = "service model, botocore 1.44"
_ANSWER = "the service's own InvalidParameterValueException"
_QUOTA = "Lambda quotas page, 2026-11"
_RUNNER = "AWS's Python local runner 1.4.0 enforces it"


def _limit(
    value: int,
    what: str,
    unit: str,
    source: str,
    *,
    disputed: str | None = None,
    note: str | None = None,
) -> int:
    """Return a limit of the table. `disputed` is what another of AWS's own sources says of it,
    `note` what has to be known of it by whoever comes near."""
    about = {"what": what, "unit": unit, "source": source, "disputed": disputed, "note": note}
    return field(default=value, metadata=about)


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """The limits that the service enforces, in the units that their names end in."""

    payload_bytes: int = _limit(
        256 * KIB, "payload of one operation, UTF-8", "bytes", f"{_ANSWER}; reference 2026-11"
    )
    invoke_payload_bytes: int = _limit(
        MIB, "input or result of a chained invoke, or of the execution it starts", "bytes", _RUNNER
    )
    callback_payload_bytes: int = _limit(
        MIB,
        "result sent to a callback",
        "bytes",
        _MODEL,
        disputed="256 KB in the README of AWS's JavaScript SDK",
    )
    input_bytes: int = _limit(6 * MIB, "input of a synchronous start", "bytes", _MODEL)
    async_input_bytes: int = _limit(MIB, "input of an asynchronous start", "bytes", _MODEL)
    execution_payload_bytes: int = _limit(
        6 * MIB, "result checkpointed for the execution", "bytes", _MODEL
    )
    async_result_bytes: int = _limit(
        MIB, "result of an execution that was started asynchronously", "bytes", _MODEL
    )
    error_bytes: int = _limit(
        32 * KIB,
        "error object as JSON",
        "bytes",
        _RUNNER,
        disputed="262,144 in the runner of AWS's Go SDK",
    )
    request_bytes: int = _limit(
        750 * KIB, "one checkpoint request", "bytes", "the cap in every AWS SDK, 2026-11"
    )
    response_bytes: int = _limit(
        6 * MIB - 50,
        "final response of a handler",
        "bytes",
        "AWS's SDKs, 2026-11",
        note="1,048,576 bytes where the execution was started asynchronously",
    )
    operations: int = _limit(
        3_000,
        "operations of one execution",
        "operations",
        _QUOTA,
        note="whether it counts distinct operations or metered ones is open",
    )
    stored_bytes: int = _limit(
        100_000_000, "bytes written by one execution", "bytes", f"{_QUOTA} (100 MB)"
    )
    execution_seconds: int = _limit(
        31_622_400, "longest execution, pauses included (366 days)", "seconds", _MODEL
    )
    wait_min_seconds: int = _limit(1, "shortest wait or retry delay", "seconds", _MODEL)
    wait_max_seconds: int = _limit(31_622_400, "longest wait or retry delay", "seconds", _MODEL)
    callback_timeout_seconds: int = _limit(
        99_999_999, "longest callback timeout or heartbeat", "seconds", _MODEL
    )
    name_length: int = _limit(256, "name of an operation", "characters", _MODEL)
    id_length: int = _limit(64, "id of an operation", "characters", _MODEL)
    sub_type_length: int = _limit(32, "sub-type of an operation", "characters", _MODEL)
    state_page_operations: int = _limit(
        1_000, "operations in one page of state", "operations", _MODEL
    )
    state_page_bytes: int = _limit(
        5_000_000, "bytes in one page of state", "bytes", "reference 2026-11"
    )


LIMITS = ServiceLimits()


def payload_key(kind: OperationType) -> str:
    """Return the key of the limit that the payload of an operation of this type has."""
    return OPERATION_TYPES[kind].payload_limit


def payload_limit(kind: OperationType, limits: ServiceLimits = LIMITS) -> int:
    """Return how many bytes of UTF-8 the payload of an operation of this type may have."""
    limit: int = getattr(limits, payload_key(kind))
    return limit


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit as a row to show: its key, value, unit, what it bounds and where that is said.

    `disputed` is what another of AWS's sources says (None where they agree), `note` what has to be
    known of it by whoever comes near. `as_of` is when the sources were read.
    """

    key: str
    value: int
    unit: str
    what: str
    source: str
    disputed: str | None = None
    note: str | None = None
    as_of: str = AS_OF


def limit_rows(limits: ServiceLimits = LIMITS) -> tuple[LimitRow, ...]:
    """Return every limit as a row, in the order of the table."""
    return tuple(
        LimitRow(
            key=spec.name,
            value=getattr(limits, spec.name),
            unit=spec.metadata["unit"],
            what=spec.metadata["what"],
            source=spec.metadata["source"],
            disputed=spec.metadata["disputed"],
            note=spec.metadata["note"],
        )
        for spec in fields(limits)
    )
