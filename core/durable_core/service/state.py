"""The operations of one simulated execution, with every index that keeps an update cheap.

Each operation is put, hidden and delivered a bounded number of times, so the cost of an update does
not grow with the execution; only the start of an invocation walks the operations that it hands
over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from durable_core.model import Operation, OperationType
from durable_core.sizes import error_bytes, utf8_bytes
from durable_core.transitions import WAITS

FRAME_BYTES = 256
"""What an operation takes in a page of state beside its texts: ids, timestamps and field names."""


def is_waiting(operation: Operation) -> bool:
    """Return True where the service, and not the handler, makes the next move."""
    return (operation.type, operation.status) in WAITS


def hides_children(operation: Operation) -> bool:
    """Return True for a completed context whose children the service doesn't hand over."""
    return (
        operation.type is OperationType.CONTEXT
        and operation.is_terminal
        and not operation.replay_children
    )


def operation_bytes(operation: Operation) -> int:
    """Return what an operation counts against the size of a page of state."""
    size = FRAME_BYTES
    for text in (operation.name, operation.result):
        if text:
            size += utf8_bytes(text)
    if operation.execution_details and operation.execution_details.input_payload:
        size += utf8_bytes(operation.execution_details.input_payload)
    if operation.error is not None:
        size += error_bytes(operation.error)
    return size


class OperationStore:
    """Every operation of an execution, in the order in which they were created.

    `waiting` counts those that wait for the service. `stored_bytes` is what was written so far.
    """

    def __init__(self, execution: Operation) -> None:
        self._operations: dict[str, Operation] = {}
        self._order: dict[str, int] = {}
        self._children: dict[str, list[str]] = {}
        self._visible: dict[str, Operation] = {}
        self._unseen: dict[str, None] = {}
        self._woken: dict[str, None] = {}
        self._sizes: dict[str, int] = {}
        self.waiting = 0
        self.stored_bytes = 0
        self.execution_id = execution.id
        self.put(execution)

    def __len__(self) -> int:
        return len(self._operations)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Every operation by its id, those included that are no longer handed over."""
        return MappingProxyType(self._operations)

    @property
    def has_woken(self) -> bool:
        """True when the service has moved an operation since the handler last heard of it."""
        return bool(self._woken)

    def get(self, operation_id: str) -> Operation | None:
        """Return the operation with this id, or None."""
        return self._operations.get(operation_id)

    def put(self, operation: Operation, *, woken: bool = False) -> None:
        """Write an operation. `woken`: the service did it by itself, the handler has to know."""
        key = operation.id
        before = self._operations.get(key)
        self._operations[key] = operation
        self._unseen[key] = None
        self._sizes.pop(key, None)
        if woken:
            self._woken[key] = None
        if before is None:
            self._insert(operation)
        else:
            self.waiting -= is_waiting(before)
            if key in self._visible:
                self._visible[key] = operation
        self.waiting += is_waiting(operation)
        if hides_children(operation) and not (before is not None and hides_children(before)):
            self._hide_below(key)

    def _insert(self, operation: Operation) -> None:
        key, parent = operation.id, operation.parent_id
        self._order[key] = len(self._order)
        if parent is not None:
            self._children.setdefault(parent, []).append(key)
            above = self._operations.get(parent)
            if above is not None and (parent not in self._visible or hides_children(above)):
                return
        self._visible[key] = operation

    def _hide_below(self, key: str) -> None:
        below = list(self._children.get(key, ()))
        while below:
            child = below.pop()
            if self._visible.pop(child, None) is not None:
                below.extend(self._children.get(child, ()))

    def take_unseen(self) -> tuple[Operation, ...]:
        """Return what changed since the handler last heard, oldest operation first; it has now."""
        changed = sorted(self._unseen, key=self._order.__getitem__)
        self.forget_unseen()
        return tuple(self._operations[key] for key in changed)

    def forget_unseen(self) -> tuple[str, ...]:
        """Note that the handler knows everything; return the ids that the service had moved."""
        woken = tuple(key for key in self._woken if key in self._visible)
        self._unseen.clear()
        self._woken.clear()
        return woken

    def handed_over(self) -> tuple[Operation, ...]:
        """Return the operations that an invocation is handed: all but those of hidden contexts."""
        return tuple(self._visible.values())

    def page_end(self, view: Sequence[Operation], start: int, items: int, size_bytes: int) -> int:
        """Return the index after the last operation of the page of the view that begins at `start`.

        A page holds at least one operation, however large it is.
        """
        end, size = start, 0
        for operation in view[start : start + items]:
            size += self._size_of(operation)
            if size > size_bytes and end > start:
                break
            end += 1
        return end

    def _size_of(self, operation: Operation) -> int:
        if self._operations.get(operation.id) is not operation:
            return operation_bytes(operation)
        size = self._sizes.get(operation.id)
        if size is None:
            size = self._sizes[operation.id] = operation_bytes(operation)
        return size
