"""Whether a context is rebuilt from its children, and how that is known."""

from __future__ import annotations

from typing import Final

from durable_core.ids import BLAKE2B, IdScheme
from durable_core.model import (
    BATCH_SUB_TYPES,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
)
from durable_core.summaries.values import Summary, SummaryForm
from durable_core.values import dataclass


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
    """The values aren't in the checkpoint. False for a context that is rebuilt although they are:
    JavaScript's `childOperationsDepth`."""


def replay_children_of(
    operation: Operation,
    summary: Summary | None,
    *,
    payload_known: bool = True,
    scheme: IdScheme | None = None,
) -> ReplayChildrenFact:
    """Say whether a context is rebuilt from its children; an explicit flag always wins.

    `payload_known` is False when the history was read without execution data. `scheme` is that of
    the history's ids, where it is known: it tells whose SDK wrote them.
    """
    details = operation.context_details
    if details is not None and details.replay_children is not None:
        hollow = not operation.result or bool(summary and summary.stripped)
        flag = details.replay_children
        return ReplayChildrenFact(flag, False, "the operation says so", flag and hollow)
    if operation.type is not OperationType.CONTEXT or operation.status is not _DONE:
        return ReplayChildrenFact(False, False, "only a succeeded context is rebuilt")
    if not payload_known:
        return ReplayChildrenFact(False, True, "unknown: the history has no payloads")
    if operation.result == "":
        return ReplayChildrenFact(True, True, "its stored payload is empty", True)
    is_child = operation.sub_type == SubType.RUN_IN_CHILD_CONTEXT
    if operation.result is None and is_child and scheme is BLAKE2B:
        # AWS's SDK for Python leaves an empty payload out up to 1.x, and writes None as "null".
        return ReplayChildrenFact(True, True, "it has no stored payload", True)
    if operation.sub_type in BATCH_SUB_TYPES and summary is not None:
        if summary.form is SummaryForm.JAVA and operation.sub_type == SubType.PARALLEL:
            return ReplayChildrenFact(True, True, "Java's parallel is always rebuilt", True)
        if summary.stripped:
            why = "its stored result has no values, only statuses"
            return ReplayChildrenFact(True, True, why, True)
    return ReplayChildrenFact(False, True, "its stored payload is whole")


_DONE: Final = OperationStatus.SUCCEEDED
