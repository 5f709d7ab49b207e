"""How units of a map or parallel are recorded: names, how each ended, how many there were.

Pure. From two sources: the operations of NESTED units and what is in FLAT ones, and the stored
result or summary.
"""

from __future__ import annotations

from durable_core.model import CompletionReason, OperationStatus, UnitStatus
from durable_core.summaries.values import Summary, SummaryForm, UnitRun
from durable_core.verifying.recorded_tree import Node
from durable_core.verifying.unit_divergence import UnitRecord


def unit_records(node: Node | None, summary: Summary | None, first: int) -> dict[int, UnitRecord]:
    """Return what is recorded of each unit, by index."""
    units: dict[int, UnitRecord] = {}
    if node is not None:
        for number, child in node.children.items():
            flat = child.recorded is None
            name = None if child.recorded is None else (child.recorded.operation.name or "")
            units[number - first] = UnitRecord(name, flat)
    if summary is not None:
        for index, name in summary.names.items():
            known = units.get(index, UnitRecord())
            if known.name is None and name is not None:
                units[index] = UnitRecord(name, known.is_flat)
    return units


_LISTS_ALL = frozenset(
    {SummaryForm.DOTNET, SummaryForm.COMPACT, SummaryForm.JAVA, SummaryForm.JAVASCRIPT}
)


def total_units(summary: Summary | None) -> int | None:
    """Return how many units there were, None where only those that were started are listed."""
    if summary is None or summary.form is SummaryForm.EMPTY:
        return None
    if summary.form in _LISTS_ALL or summary.reason == CompletionReason.ALL_COMPLETED:
        return summary.total
    return None


def unit_status(
    node: Node | None, run: UnitRun | None, *, complete: bool, summary: Summary | None
) -> UnitStatus | None:
    """Return how a unit ended; None where nothing but its body tells."""
    if run is not None and run.status is not None:
        return run.status
    operation = None if node is None or node.recorded is None else node.recorded.operation
    if operation is not None:
        if operation.status is OperationStatus.SUCCEEDED:
            return UnitStatus.SUCCEEDED
        return UnitStatus.FAILED if operation.is_terminal else UnitStatus.STARTED
    if run is not None:
        return UnitStatus.SUCCEEDED if summary is not None and summary.failures == 0 else None
    if summary is None and complete and node is not None:
        return UnitStatus.FAILED
    return UnitStatus.STARTED if node is not None else None


def completion_reason(summary: Summary | None) -> CompletionReason | None:
    """Return why the map or parallel completed, where that is known."""
    try:
        return CompletionReason(summary.reason or "") if summary is not None else None
    except ValueError:
        return None
