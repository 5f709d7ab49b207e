"""A recorded history by position: what each context recorded as its first, second, n-th operation.

Pure. Ids are turned back into positions (`ids.resolve`), so that code can be compared with a
history context by context, whatever the order in which concurrent contexts wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from durable_core.fold import Recorded
from durable_core.frozen import dataclass
from durable_core.ids import IdScheme, Path
from durable_core.model import (
    BATCH_SUB_TYPES,
    UNIT_SUB_TYPES,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
)
from durable_core.operation_types import OPERATION_TYPES
from durable_core.positions import Placed, detect, resolve
from durable_core.summaries.reading import read_summary
from durable_core.summaries.stripped import replay_children_of
from durable_core.verifying.verification import Identity


@dataclass(slots=True)
class Node:
    """A position. `recorded` None: nothing has its id; what is below makes it a virtual context."""

    path: Path
    recorded: Recorded | None = None
    children: dict[int, Node] = field(default_factory=dict)

    @property
    def is_batch(self) -> bool:
        """True for a map or parallel."""
        return self.recorded is not None and self.recorded.operation.is_batch

    @property
    def is_terminal(self) -> bool:
        """True when what is recorded doesn't change any more."""
        return self.recorded is not None and self.recorded.operation.is_terminal

    def sequence(self) -> list[Node | None]:
        """Return its operations by number, from 1; None where a number isn't recorded."""
        last = max(self.children, default=0)
        return [self.children.get(number) for number in range(1, last + 1)]

    def at(self, path: Path) -> Node | None:
        """Return the node at a position below this one, if there is one."""
        node: Node | None = self
        for number in path:
            node = None if node is None else node.children.get(number)
        return node

    def open_operations(self) -> Iterator[Operation]:
        """Return what the execution may wait for: nothing inside of a completed context is."""
        for node in self.children.values():
            if node.recorded is None or node.recorded.operation.type is OperationType.CONTEXT:
                if not node.is_terminal:
                    yield from node.open_operations()
            elif not node.is_terminal:
                yield node.recorded.operation

    def walk(self) -> Iterator[Node]:
        """Return every node below, a parent before its children."""
        stack = [self.children[number] for number in sorted(self.children, reverse=True)]
        while stack:
            node = stack.pop()
            yield node
            stack += (node.children[number] for number in sorted(node.children, reverse=True))


@dataclass(frozen=True, slots=True)
class RecordedTree:
    """The root's operations; `lost` are those whose ids fit no position."""

    root: Node
    scheme: IdScheme | None
    lost: tuple[Recorded, ...] = ()
    _stripped: dict[str, bool] = field(default_factory=dict, init=False, compare=False)

    def is_stripped(self, recorded: Recorded) -> bool:
        """Return True for a context whose value isn't stored, so that a replay runs its body
        again."""
        operation = recorded.operation
        if operation.type is not OperationType.CONTEXT:
            return False
        known = self._stripped.get(operation.id)
        if known is None:
            known = self._stripped[operation.id] = _is_stripped(recorded, self.scheme)
        return known


def _is_stripped(recorded: Recorded, scheme: IdScheme | None) -> bool:
    operation = recorded.operation
    details = operation.context_details
    is_said = details is not None and details.replay_children is not None
    summary = read_summary(operation.result) if operation.is_batch and not is_said else None
    return replay_children_of(
        operation, summary, payload_known=not recorded.truncated, scheme=scheme
    ).value


def tree_of(operations: Mapping[str, Recorded], expected: IdScheme) -> RecordedTree:
    """Return the operations by position. The `expected` scheme is the first to be tried."""
    scheme, paths = _positions(
        expected,
        tuple(
            (key, each.operation.parent_id, each.operation.sub_type in BATCH_SUB_TYPES)
            for key, each in operations.items()
        ),
    )
    root = Node(())
    if scheme is None:
        return RecordedTree(root, None, tuple(operations.values()))
    nodes = {root.path: root}
    for key, path in paths.items():
        _put(nodes, path, operations.get(key))
    lost = tuple(each for key, each in operations.items() if key not in paths)
    return RecordedTree(root, scheme, lost)


@lru_cache(maxsize=4)
def _positions(
    expected: IdScheme, places: tuple[tuple[str, str | None, bool], ...]
) -> tuple[IdScheme | None, Mapping[str, Path]]:
    """Return the scheme of ids, and the position of each that it explains.

    The last are kept: executions that went the same way have the same ids.
    """
    placed = {key: Placed(parent_id, is_batch) for key, parent_id, is_batch in places}
    first, _ = expected.child(None, 1)
    if first in placed:
        paths = resolve(placed, expected)
        if placed.keys() <= paths.keys():
            return expected, paths
    scheme = detect(placed)  # another one may have the same ids at the root
    if scheme is None:
        return (expected, paths) if first in placed else (None, {})
    scheme = expected if scheme.is_like(expected) else scheme
    return scheme, resolve(placed, scheme)


def _put(nodes: dict[Path, Node], path: Path, recorded: Recorded | None) -> Node:
    """Put what is recorded at a path, with the nodes around it."""
    node = nodes.get(path)
    if node is not None:
        node.recorded = recorded
        return node
    node = nodes[path] = Node(path, recorded)
    around = path[:-1]
    (nodes.get(around) or _put(nodes, around, None)).children[path[-1]] = node
    return node


def identity_of(node: Node | None) -> Identity | None:
    """Return the recorded identity; of a virtual context only that it is one; None: nothing."""
    if node is None:
        return None
    if node.recorded is None:
        return Identity("CONTEXT", None, None, virtual=True)
    operation = node.recorded.operation
    return Identity(operation.type.text, operation.sub_type, operation.name or None)


def is_unit(sub_type: str | None) -> bool:
    """Return True for the sub-type of a unit."""
    return sub_type in UNIT_SUB_TYPES


def unit_sub_type(batch: str | None) -> str:
    """Return the sub-type of the units of a map or parallel."""
    return SubType.MAP_ITERATION if batch == SubType.MAP else SubType.PARALLEL_BRANCH


def adapt_recorded(
    recorded: Recorded | None, operation_id: str, parent_id: str | None, identity: Identity
) -> Operation | None:
    """Return a recorded operation under the identity that the code asks for.

    So that a runtime that compares identities doesn't stop, or one that doesn't isn't misled: what
    differs is noted already. One of another type becomes one that succeeded with its result.
    """
    if recorded is None:
        return None
    operation = recorded.operation
    if (
        operation.id == operation_id
        and operation.parent_id == parent_id
        and operation.type == identity.type
        and operation.name == identity.name
        and operation.sub_type == identity.sub_type
    ):
        return operation
    kind = OperationType(identity.type)
    changes: dict[str, Any] = {
        "id": operation_id,
        "parent_id": parent_id,
        "name": identity.name,
        "sub_type": identity.sub_type,
    }
    if operation.type is kind:
        return replace(operation, **changes)
    return Operation(
        type=kind,
        status=OperationStatus.SUCCEEDED if operation.is_terminal else OperationStatus.STARTED,
        start_timestamp=operation.start_timestamp,
        end_timestamp=operation.end_timestamp,
        **_ended_details(kind, operation.result),
        **changes,
    )


def placeholder_operation(identity: Identity) -> Recorded:
    """Return what answers an operation that nothing is recorded of, so that the code goes on."""
    kind = OperationType(identity.type)
    return Recorded(
        Operation(
            id="invented",
            type=kind,
            status=OperationStatus.SUCCEEDED,
            start_timestamp=_LONG_AGO,
            end_timestamp=_LONG_AGO,
            name=identity.name,
            sub_type=identity.sub_type,
            **_ended_details(kind, "null"),
        )
    )


_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def _ended_details(kind: OperationType, result: str | None) -> dict[str, Any]:
    """Return the details of an operation of that type that ended with that result."""
    row = OPERATION_TYPES[kind]
    values = {"attempt": 1, "callback_id": "verified", "result": result}
    names = {each.name for each in fields(row.details)} & values.keys()
    return {row.details_field: row.details(**{name: values[name] for name in names})}
