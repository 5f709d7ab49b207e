"""The legal moves of an operation, as one table: `(type, status, action) -> status`.

Status None stands for an operation that doesn't exist yet. Source: the service's answers as AWS's
Python SDK 3.0.0 and its testing library 1.4.0 rely on them, and the service model's enums
(botocore 1.44). What only the service itself does (a timer fires, a callback is answered) is not a
checkpoint action and stands in `BACKEND`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from durable_core.model import OperationAction, OperationStatus, OperationType

_T, _S, _A = OperationType, OperationStatus, OperationAction

Move = tuple[OperationType, OperationStatus | None, OperationAction]

MOVES: Final[Mapping[Move, OperationStatus]] = MappingProxyType(
    {
        (_T.CONTEXT, None, _A.START): _S.STARTED,
        (_T.CONTEXT, None, _A.SUCCEED): _S.SUCCEEDED,
        (_T.CONTEXT, None, _A.FAIL): _S.FAILED,
        (_T.CONTEXT, _S.STARTED, _A.SUCCEED): _S.SUCCEEDED,
        (_T.CONTEXT, _S.STARTED, _A.FAIL): _S.FAILED,
        (_T.STEP, None, _A.START): _S.STARTED,
        (_T.STEP, None, _A.SUCCEED): _S.SUCCEEDED,
        (_T.STEP, None, _A.FAIL): _S.FAILED,
        (_T.STEP, None, _A.RETRY): _S.PENDING,
        (_T.STEP, _S.STARTED, _A.SUCCEED): _S.SUCCEEDED,
        (_T.STEP, _S.STARTED, _A.FAIL): _S.FAILED,
        (_T.STEP, _S.STARTED, _A.RETRY): _S.PENDING,
        (_T.STEP, _S.READY, _A.START): _S.STARTED,
        (_T.STEP, _S.READY, _A.SUCCEED): _S.SUCCEEDED,
        (_T.STEP, _S.READY, _A.FAIL): _S.FAILED,
        (_T.STEP, _S.READY, _A.RETRY): _S.PENDING,
        (_T.WAIT, None, _A.START): _S.STARTED,
        (_T.WAIT, _S.STARTED, _A.CANCEL): _S.CANCELLED,
        (_T.CALLBACK, None, _A.START): _S.STARTED,
        (_T.CHAINED_INVOKE, None, _A.START): _S.STARTED,
        (_T.EXECUTION, _S.STARTED, _A.SUCCEED): _S.SUCCEEDED,
        (_T.EXECUTION, _S.STARTED, _A.FAIL): _S.FAILED,
    }
)

BACKEND: Final[Mapping[tuple[OperationType, OperationStatus], frozenset[OperationStatus]]] = (
    MappingProxyType(
        {
            (_T.STEP, _S.PENDING): frozenset({_S.READY}),
            (_T.WAIT, _S.STARTED): frozenset({_S.SUCCEEDED}),
            (_T.CALLBACK, _S.STARTED): frozenset({_S.SUCCEEDED, _S.FAILED, _S.TIMED_OUT}),
            (_T.CHAINED_INVOKE, _S.STARTED): frozenset(
                {_S.SUCCEEDED, _S.FAILED, _S.TIMED_OUT, _S.STOPPED}
            ),
            (_T.CHAINED_INVOKE, _S.PENDING): frozenset(
                {_S.STARTED, _S.SUCCEEDED, _S.FAILED, _S.TIMED_OUT, _S.STOPPED}
            ),
            (_T.EXECUTION, _S.STARTED): frozenset({_S.TIMED_OUT, _S.STOPPED}),
        }
    )
)


def _reachable() -> dict[OperationType, frozenset[OperationStatus]]:
    found: dict[OperationType, set[OperationStatus]] = {kind: set() for kind in OperationType}
    for (kind, before, _), after in MOVES.items():
        found[kind] |= {after} if before is None else {before, after}
    for (kind, before), later in BACKEND.items():
        found[kind] |= {before, *later}
    return {kind: frozenset(statuses) for kind, statuses in found.items()}


STATUSES: Final[Mapping[OperationType, frozenset[OperationStatus]]] = MappingProxyType(_reachable())
"""Every status that an operation of a type can have."""

MUST_START: Final = frozenset(
    kind
    for kind in OperationType
    if {action for of, before, action in MOVES if of is kind and before is None} == {_A.START}
)
"""The types that can't end without a start; a step or a context can."""

WAITS: Final = frozenset(move for move in BACKEND if move[0] is not OperationType.EXECUTION)
"""Where an operation waits for the service and not for the handler."""


def after(
    kind: OperationType, status: OperationStatus | None, action: OperationAction
) -> OperationStatus | None:
    """Return the status that the action leads to, or None when the service refuses it."""
    return MOVES.get((kind, status, action))
