"""What AWS meters for an execution beside its operations, and what a source leaves open of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from durable_core.explaining.report import Metering, Row
from durable_core.fold import Folded
from durable_core.history import RecordedHistory
from durable_core.invocations import RecordedInvocation
from durable_core.metering import (
    CHAINED_INVOKES_UNPUBLISHED,
    FLAT_UNITS_UNPUBLISHED,
    lacks_data,
    metered_execution,
    metered_retries,
)
from durable_core.model import OperationType


def metering_of(
    history: RecordedHistory,
    folded: Folded,
    rows: Sequence[Row],
    execution_bytes: int,
    *,
    retried: Iterable[RecordedInvocation],
    lacks_events: bool,
) -> Metering:
    """Return what is metered beside the rows, and why the totals may be more than is known.

    `execution_bytes` are those of the execution's own input and output, `retried` the invocations
    after which another one began. `lacks_events`: some of the history aren't in the source.
    """
    missing_operations = tuple(_missing_operations(history, rows, lacks_events))
    missing_bytes = tuple(_missing_bytes(folded))
    return Metering(
        execution=metered_execution(execution_bytes),
        invocation_retries=metered_retries(retried),
        operations_at_least=bool(missing_operations),
        bytes_at_least=bool(missing_operations or missing_bytes),
        notes=(*missing_operations, *missing_bytes, *_unpublished(rows)),
    )


def _missing_operations(
    history: RecordedHistory, rows: Sequence[Row], lacks_events: bool
) -> Iterator[str]:
    if history.operations is not None:
        yield (
            "a state holds no failed invocations, no operations in completed contexts, and of each "
            "operation the last payload only: at least this was metered"
        )
    elif lacks_events:
        yield "events are missing from this history: at least this was metered"
    elif any(row.id is not None and row.status is None for row in rows):
        yield "operations are missing from this history: at least this was metered"


def _missing_bytes(folded: Folded) -> Iterator[str]:
    facts = folded.execution
    is_lost = facts.is_input_lost or facts.is_end_lost
    if is_lost or any(map(lacks_data, folded.operations.values())):
        yield "payloads are left out of this history: at least these bytes were metered"


def _unpublished(rows: Sequence[Row]) -> Iterator[str]:
    if any(row.type == OperationType.CHAINED_INVOKE for row in rows):
        yield CHAINED_INVOKES_UNPUBLISHED
    if any(row.is_flat_unit for row in rows):
        yield FLAT_UNITS_UNPUBLISHED
