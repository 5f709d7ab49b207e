"""A checkpoint request as a whole: examined against a staged view, so that it is all or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from durable_core.frozen import dataclass
from durable_core.limits import ServiceLimits
from durable_core.model import (
    ErrorObject,
    ExecutionStatus,
    Operation,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.service.changes import Change, Setting, change
from durable_core.service.state import OperationStore
from durable_core.service.validation import Proposal, refuse_request, refuse_update
from durable_core.service.values import Refusal
from durable_core.sizes import error_bytes, utf8_bytes


@dataclass(frozen=True, slots=True)
class RequestDecision:
    """How an execution ends."""

    status: ExecutionStatus
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an accepted request does, in order. `stored_bytes` is what is written then in all."""

    changes: tuple[Change, ...]
    stored_bytes: int
    decision: RequestDecision | None = None


class _Stage:
    """What the operations are after the updates so far, without touching the store."""

    def __init__(self, store: OperationStore) -> None:
        self._store = store
        self._staged: dict[str, Operation] = {}
        self._earlier: dict[str, OperationAction] = {}
        self._created = 0
        self.stored_bytes = store.stored_bytes

    def propose(
        self,
        update: OperationUpdate,
        index: int,
        limits: ServiceLimits,
        *,
        result_limit: int | None,
    ) -> Proposal:
        """Return the update with all that its checks look at."""
        current = self._current(update)
        created = self._created + (current is None)
        self.stored_bytes += 0 if update.payload is None else utf8_bytes(update.payload)
        self.stored_bytes += 0 if update.error is None else error_bytes(update.error)
        return Proposal(
            update=update,
            current=current,
            parent=None if update.parent_id is None else self._get(update.parent_id),
            earlier=self._earlier.get(update.id),
            # The EXECUTION itself is not one of the operations that are counted.
            operations=len(self._store) - 1 + created,
            stored_bytes=self.stored_bytes,
            index=index,
            limits=limits,
            result_limit=result_limit,
        )

    def _current(self, update: OperationUpdate) -> Operation | None:
        current = self._get(update.id)
        if current is None and update.type is OperationType.EXECUTION:
            # Whatever id it carries, it means the one there is: the SDKs make one up.
            return self._store.get(self._store.execution_id)
        return current

    def _get(self, operation_id: str) -> Operation | None:
        staged = self._staged.get(operation_id)
        return staged if staged is not None else self._store.get(operation_id)

    def take(self, update: OperationUpdate, changed: Change, *, created: bool) -> None:
        """Stage what an accepted update does."""
        self._staged[update.id] = changed.operation
        self._earlier[update.id] = update.action
        self._created += created


def examine(
    updates: Sequence[OperationUpdate],
    store: OperationStore,
    setting: Setting,
    limits: ServiceLimits,
    *,
    result_limit: int | None = None,
) -> Accepted | Refusal:
    """Return what the updates do, or why the request is refused. Changes nothing."""
    refusal = refuse_request(updates)
    if refusal is not None:
        return refusal
    stage = _Stage(store)
    changes: list[Change] = []
    decision: RequestDecision | None = None
    for index, update in enumerate(updates, start=1):
        proposal = stage.propose(update, index, limits, result_limit=result_limit)
        refusal = refuse_update(proposal)
        if refusal is not None:
            return refusal
        if update.type is OperationType.EXECUTION:
            decision = _decision(update)
            continue
        changed = change(update, proposal.current, setting)
        stage.take(update, changed, created=proposal.current is None)
        changes.append(changed)
    return Accepted(tuple(changes), stage.stored_bytes, decision)


def _decision(update: OperationUpdate) -> RequestDecision:
    if update.action is OperationAction.FAIL:
        return RequestDecision(ExecutionStatus.FAILED, error=update.error)
    return RequestDecision(ExecutionStatus.SUCCEEDED, result=update.payload)
