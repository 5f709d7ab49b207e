"""Whether a context is rebuilt from its children, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from durable_core.frozen import dataclass
from durable_core.ids import BLAKE2B, IdScheme
from durable_core.limits import LIMITS
from durable_core.model import (
    UNIT_SUB_TYPES,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
    UnitStatus,
    stores_summary,
)
from durable_core.sizes import utf8_bytes
from durable_core.summaries.values import Summary, SummaryForm


@dataclass(frozen=True, slots=True)
class ReplayChildrenFact:
    """Whether a context has ReplayChildren, and how that is known.

    `inferred` is True when no source says so and it follows from the payload; `reason` says why, in
    words. Some writers can't be told from events: a JavaScript context that keeps its children by
    `childOperationsDepth`, and a child context with a summary of the user's own.
    """

    value: bool
    inferred: bool
    reason: str
    stripped: bool = False
    """The values aren't in the checkpoint because they were too large for it. False for what is
    rebuilt for another reason, which `reason` then says."""


def replay_children_of(
    operation: Operation,
    summary: Summary | None,
    *,
    payload_known: bool = True,
    scheme: IdScheme | None = None,
    units: Sequence[Operation] = (),
    limit: int = LIMITS.payload_bytes,
) -> ReplayChildrenFact:
    """Say whether a context is rebuilt from its children; an explicit flag always wins.

    `payload_known` is False when the history was read without execution data. `scheme` is that of
    the history's ids, where it is known: it tells whose SDK wrote them. `units` are the operations
    of a map's or parallel's own units, where they are recorded, and of a DAG's nodes; `limit` is
    that of a payload.
    """
    details = operation.context_details
    if details is not None and details.replay_children is not None:
        if not details.replay_children:
            return ReplayChildrenFact(False, False, "the operation says so")
        why = _why_not_stripped(operation, summary, scheme, units, limit)
        return ReplayChildrenFact(True, False, why or "the operation says so", not why)
    if operation.type is not OperationType.CONTEXT or operation.status is not _DONE:
        return ReplayChildrenFact(False, False, "only a succeeded context is rebuilt")
    if not payload_known:
        return ReplayChildrenFact(False, True, "unknown: the history has no payloads")
    if operation.result == "":
        return ReplayChildrenFact(True, True, "its stored payload is empty", True)
    if operation.result is None and scheme is BLAKE2B and _is_child(operation):
        # AWS's SDK for Python leaves an empty payload out up to 1.x, and writes None as "null".
        return ReplayChildrenFact(True, True, "it has no stored payload", True)
    if summary is not None and stores_summary(operation.type, operation.sub_type):
        if why := _not_for_size(operation, summary, units, limit):
            return ReplayChildrenFact(True, True, why)
        if summary.stripped and not _is_whole_java(summary, units, limit):
            why = "its stored result has no values, only statuses"
            return ReplayChildrenFact(True, True, why, True)
    return ReplayChildrenFact(False, True, "its stored payload is whole")


def _is_child(operation: Operation) -> bool:
    """Return True for a child context, whose sub-type may be the user's own."""
    is_unit = operation.sub_type in UNIT_SUB_TYPES
    others = (SubType.WAIT_FOR_CALLBACK,)
    return not (
        is_unit
        or stores_summary(operation.type, operation.sub_type)
        or operation.sub_type in others
    )


def _why_not_stripped(
    operation: Operation,
    summary: Summary | None,
    scheme: IdScheme | None,
    units: Sequence[Operation],
    limit: int,
) -> str:
    """Say why a context has ReplayChildren although nothing was stripped; "" where it was."""
    if not operation.result:
        return ""
    if summary is not None:
        if why := _not_for_size(operation, summary, units, limit):
            return why
        return "" if summary.stripped else _WHOLE
    if scheme is BLAKE2B:
        return ""  # Python's has ReplayChildren for large results only: this is a custom summary
    return _WHOLE_OR_SUMMARY


_WHOLE: Final = "it has ReplayChildren, although its result is stored whole"
_WHOLE_OR_SUMMARY: Final = f"{_WHOLE} (or a summary that the handler made of it)"
ALWAYS: Final = "Java's parallel is always rebuilt"
ON_NODES: Final = (
    "a DAG's stored result says how its nodes ended, whose results are on the nodes; "
    "nothing was stripped"
)
ON_UNITS: Final = (
    "its units' results are on the units only, where previews of the .NET SDK kept them; "
    "nothing was stripped"
)


def _not_for_size(
    operation: Operation, summary: Summary, units: Sequence[Operation], limit: int
) -> str:
    """Say why a map or parallel without values is rebuilt, where not for its size; or ""."""
    if summary.form is SummaryForm.JAVA and operation.sub_type == SubType.PARALLEL:
        return ALWAYS
    if summary.form is SummaryForm.DAG and units and _whole_bytes(units) <= limit:
        return ON_NODES if all(unit.is_terminal for unit in units) else ""
    if summary.form is SummaryForm.DOTNET and summary.stripped and _are_kept(summary, units):
        is_preview = any(unit.sub_type == SubType.MAP_ITEM for unit in units)
        if is_preview or _whole_bytes(units) <= limit:
            return ON_UNITS
    return ""


def _is_whole_java(summary: Summary, units: Sequence[Operation], limit: int) -> bool:
    """Tell whether Java's map has no values because its units returned none: small as it was, it
    can't have been stripped."""
    is_java = summary.form is SummaryForm.JAVA
    return is_java and _are_kept(summary, units) and _whole_bytes(units) <= limit


def _are_kept(summary: Summary, units: Sequence[Operation]) -> bool:
    """Tell whether every unit that ended has an operation that holds its own result or error."""
    ended = sum(summary.count(status) for status in (UnitStatus.SUCCEEDED, UnitStatus.FAILED))
    held = [unit for unit in units if unit.is_terminal and (unit.result or unit.error)]
    return 0 < ended <= len(held)


_UNIT_FRAME: Final = 256
"""More bytes than any SDK writes around the result of one unit: index, name, status, error type."""


def _whole_bytes(units: Sequence[Operation]) -> int:
    """Return at least the bytes that the whole result of a map or parallel would have had.

    A unit's result stands in it as a JSON text: twice its bytes, if every one has to be escaped.
    """
    texts = (text for unit in units for text in (unit.result, unit.name) if text)
    errors = (
        text
        for unit in units
        if unit.error is not None
        for text in (unit.error.message, unit.error.data, *(unit.error.stack_trace or ()))
        if text
    )
    size = sum(utf8_bytes(text) for text in (*texts, *errors))
    return 2 * size + _UNIT_FRAME * (len(units) + 1)


_DONE: Final = OperationStatus.SUCCEEDED
