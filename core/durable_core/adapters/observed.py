"""What an SDK did in an invocation, from what was seen of it.

Seen are the state that was handed over, the bodies that ran, the operations that were replayed and
the updates that were sent; nothing is guessed from our own rules. Bodies run in threads: their
order is that in which they began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from durable_core.batching import Cut
from durable_core.checkpointer import SentRequest
from durable_core.ids import Path, Placed, detect, resolve
from durable_core.journal import Did, Note
from durable_core.model import (
    BATCH_SUB_TYPES,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    SubType,
    UnitStatus,
)
from durable_core.sdks import SDKS, Sdk
from durable_core.summary import read_summary

_BEGINS = frozenset({OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE})
_STEPS = frozenset({SubType.STEP, SubType.WAIT_FOR_CONDITION})

Seen = tuple[Did, str, str, str | None, str | None, str | None, int | None]
"""What happened to which operation: id, type, sub-type, name, parent's id, attempt."""


class Observed:
    """What one invocation was seen to do."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._handed: dict[str, Operation] = {}
        self._seen: list[Seen] = []
        self._ran: dict[str, None] = {}
        self._requests: list[SentRequest] = []
        self.handed(operations)

    # -- while it happens ----------------------------------------------------------------------

    def handed(self, operations: Iterable[Operation]) -> None:
        """Take in a page of the state that was handed over."""
        for operation in operations:
            self._handed[operation.id] = operation

    def ran(self, identifier: Any, *, replays_children: bool, attempt: int | None) -> None:
        """Take in that a body runs: of a step, a check, a context or a unit."""
        key, parent = identifier.operation_id, identifier.parent_id
        above = self._handed.get(parent or "")
        # A FLAT unit has no operation of its own: its map or parallel says whether it is replayed.
        again = replays_children or (above is not None and above.is_terminal)
        did = Did.RE_EXECUTED if again else Did.RAN
        sub_type = str(getattr(identifier.sub_type, "value", identifier.sub_type))
        kind = getattr(getattr(identifier, "operation_type", None), "value", None)
        if kind is None:  # before 3.0 an identifier has no type
            kind = OperationType.STEP if sub_type in _STEPS else OperationType.CONTEXT
        self._ran[key] = None
        shown = attempt if kind == OperationType.STEP else None
        self._seen.append((did, key, kind, sub_type, identifier.name, parent, shown))

    def replayed(self, operation_id: str) -> None:
        """Take in that the code came to an operation that was recorded before."""
        operation = self._handed.get(operation_id)
        if operation is None or not operation.is_terminal or operation.replay_children:
            return
        succeeded = operation.status is OperationStatus.SUCCEEDED
        self._note(Did.RETURNED if succeeded else Did.RAISED, operation)

    def sent(self, updates: tuple[OperationUpdate, ...], sends: int) -> None:
        """Take in a request that was answered, refused or cut off by a crash."""
        rules = SDKS[Sdk.PYTHON]
        estimated = sum(map(rules.estimate, updates))
        cut = Cut.END
        if estimated > rules.max_bytes:
            cut = Cut.OVERSIZED
        elif len(updates) >= rules.max_operations:
            cut = Cut.OPERATIONS
        self._requests.append(SentRequest(len(updates), estimated, cut, sends, updates))
        for update in updates:
            if update.type in _BEGINS and update.action is OperationAction.START:
                self._note(Did.BEGAN, update)
            elif update.replay_children:
                self._note(Did.STRIPPED, update)

    def _note(self, did: Did, of: Operation | OperationUpdate) -> None:
        self._seen.append((did, of.id, of.type, of.sub_type, of.name, of.parent_id, None))

    # -- when it is over -----------------------------------------------------------------------

    def requests(self) -> tuple[SentRequest, ...]:
        """Return the requests, in the order in which they were sent."""
        return tuple(self._requests)

    def notes(self) -> tuple[Note, ...]:
        """Return what happened, with the position of each operation."""
        seen = [*self._seen, *self._skipped()]
        paths = self._paths(seen)
        return tuple(
            Note(did, key, paths.get(key, ()), kind, sub_type, name, parent, attempt=attempt)
            for did, key, kind, sub_type, name, parent, attempt in seen
        )

    def _skipped(self) -> Iterator[Seen]:
        """Return the units, frozen as started, of re-executed contexts, whose bodies didn't run."""
        for did, key, _, sub_type, *_ in list(self._seen):
            if did is not Did.RE_EXECUTED or sub_type not in BATCH_SUB_TYPES:
                continue
            recorded = self._handed.get(key)
            summary = None if recorded is None else read_summary(recorded.result)
            scheme = detect(self._placed(self._seen))
            if summary is None or scheme is None:
                continue
            is_map = sub_type == SubType.MAP
            unit_type = SubType.MAP_ITERATION if is_map else SubType.PARALLEL_BRANCH
            for run in summary.runs:
                if run.status is not UnitStatus.STARTED or not run.dispatched:
                    continue
                for index in range(run.start, run.stop):
                    unit, _ = scheme.child(key, index + scheme.first_unit)
                    if unit not in self._ran:
                        known = self._handed.get(unit)
                        name = known.name if known else None
                        kind = OperationType.CONTEXT
                        yield (Did.SKIPPED, unit, kind, unit_type, name, key, None)

    def _placed(self, seen: Iterable[Seen]) -> Mapping[str, Placed]:
        placed = {
            key: Placed(each.parent_id, each.sub_type in BATCH_SUB_TYPES)
            for key, each in self._handed.items()
            if each.type is not OperationType.EXECUTION
        }
        for _, key, _, sub_type, _, parent, _ in seen:
            placed.setdefault(key, Placed(parent, sub_type in BATCH_SUB_TYPES))
        for request in self._requests:
            for update in request.updates:
                batch = update.sub_type in BATCH_SUB_TYPES
                placed.setdefault(update.id, Placed(update.parent_id, batch))
        return placed

    def _paths(self, seen: Iterable[Seen]) -> dict[str, Path]:
        placed = self._placed(seen)
        scheme = detect(placed)
        return {} if scheme is None else resolve(placed, scheme)
