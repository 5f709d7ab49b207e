"""What an SDK did in an invocation, from what was seen of it.

Seen are the state that was handed over, the bodies that ran, the operations that were replayed and
the updates that were sent; nothing is guessed from our own rules. Bodies run in threads: their
order is that in which they began.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from durable_core.batches.batching import Cut
from durable_core.excerpts import labelled
from durable_core.ids import BLAKE2B, IdScheme, Path, position_text
from durable_core.limits import LIMITS
from durable_core.model import (
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    SubType,
    UnitStatus,
    is_batch,
)
from durable_core.native.checkpointer import SentRequest
from durable_core.native.journal import Activity, Note, Whole
from durable_core.safe_text import shown
from durable_core.sdks import SDKS, Sdk
from durable_core.summaries.reading import read_summary
from durable_core.transitions import MUST_START

_STEPS = frozenset({SubType.STEP, SubType.WAIT_FOR_CONDITION})

Seen = tuple[Activity, str, str, str | None, str | None, str | None, int | None]
"""What happened to which operation: id, type, sub-type, name, parent's id, attempt."""


def sub_type_of(identifier: Any) -> str:
    """Return the sub-type of one of the SDK's identifiers: a plain text from 3.0 on only."""
    return str(getattr(identifier.sub_type, "value", identifier.sub_type))


def type_of(identifier: Any) -> str:
    """Return the type of the operation that has a body: a step, which may have any sub-type, or a
    context."""
    kind: str | None = getattr(getattr(identifier, "operation_type", None), "value", None)
    if kind is not None:
        return kind
    # Before 3.0 an identifier has no type, and no sub-type is the user's own.
    return OperationType.STEP if sub_type_of(identifier) in _STEPS else OperationType.CONTEXT


class _Positions:
    """The position of each operation, found while the code comes to it.

    Every thread that runs bodies has a stack of those that it is in. An operation's number is
    found by making the ids of its context in turn, from where the last search ended.
    """

    def __init__(self, scheme: IdScheme) -> None:
        self._scheme = scheme
        self._inside = threading.local()
        self._lock = threading.Lock()
        self._made: dict[str | None, dict[str, int]] = {}
        self.paths: dict[str, Path] = {}

    def enter(self, key: str, parent_id: str | None) -> None:
        """Place a body that this thread begins, and be in it from now on."""
        self.place(key, parent_id)
        self._stack().append(key)

    def leave(self) -> None:
        """Be no longer in the body that this thread began last."""
        self._stack().pop()

    def place(self, key: str, parent_id: str | None) -> None:
        """Find the position of an operation that this thread came to."""
        if key in self.paths:
            return
        stack = self._stack()
        context = stack[-1] if stack else parent_id  # the thread of a unit begins with the unit
        with self._lock:
            self.place_in(context, key)

    def place_in(self, context: str | None, key: str) -> None:
        """Find the position of an operation of which the context is known."""
        number = self._number(context, key)
        above = () if context is None else self.paths.get(context)
        if number is not None and above is not None:
            self.paths[key] = (*above, number)

    def _stack(self) -> list[str]:
        stack: list[str] | None = getattr(self._inside, "stack", None)
        if stack is None:
            stack = self._inside.stack = []
        return stack

    def _number(self, context: str | None, key: str) -> int | None:
        made = self._made.setdefault(context, {})
        for number in range(len(made), len(made) + MOST_AHEAD):
            if key in made:
                break
            made[self._scheme.child(context, number)[0]] = number
        return made.get(key)


MOST_AHEAD: Final = 10_000
"""How far ahead of what was seen so far an operation is looked for."""


class InvocationObserver:
    """What one invocation was seen to do. Called from the threads in which it happens."""

    def __init__(
        self,
        operations: Iterable[Operation],
        scheme: IdScheme = BLAKE2B,
        tell: Callable[[Note], None] | None = None,
    ) -> None:
        self._scheme = scheme
        self._tell = tell
        self._handed: dict[str, Operation] = {}
        self.unread: dict[str, Operation] = {}
        """What was handed over and not yet asked for by the code."""
        self._seen: list[Seen] = []
        self._ran: dict[str, None] = {}
        self._requests: list[SentRequest] = []
        self._once: set[str] = set()
        self._serialized: dict[str, Whole] = {}
        self._units: dict[str, tuple[tuple[int, str], ...]] = {}
        self._positions = _Positions(scheme)
        self.handed(operations)

    # -- while it happens ----------------------------------------------------------------------

    def handed(self, operations: Iterable[Operation]) -> None:
        """Take in a page of the state that was handed over."""
        for operation in operations:
            if operation.id not in self._handed or operation.id in self.unread:
                self.unread[operation.id] = operation
            self._handed[operation.id] = operation

    def begins(self, identifier: Any, *, replays_children: bool, attempt: int | None) -> None:
        """Take in that a body begins: of a step, a check, a context or a unit."""
        key, parent = identifier.operation_id, identifier.parent_id
        sub_type = sub_type_of(identifier)
        kind = type_of(identifier)
        is_step = kind == OperationType.STEP
        above = self._handed.get(parent or "")
        # A FLAT unit has no operation of its own: its map or parallel says whether it is replayed.
        again = replays_children or (not is_step and above is not None and above.is_terminal)
        did = Activity.RE_EXECUTED if again else Activity.RAN
        self._ran[key] = None
        tried = attempt if is_step else None
        self._positions.enter(key, parent)
        self._add((did, key, kind, sub_type, identifier.name, parent, tried))

    def ends(self) -> None:
        """Take in that the body that this thread began last has ended."""
        self._positions.leave()

    def is_once(self, operation_id: str) -> None:
        """Take in that an attempt of this step may run its body once, whatever happens."""
        self._once.add(operation_id)

    def came_to(self, identifier: Any, units: Iterable[Any] | None, *, rebuilt: bool) -> None:
        """Take in that the body of a context has returned: a map or parallel with its units."""
        key = identifier.operation_id
        if units is not None:
            self._units[key] = tuple((each.index, str(each.status.value)) for each in units)
        if rebuilt and key in self._handed:
            self._note(Activity.REBUILT, self._handed[key])

    def serialized(self, operation_id: str, text: str) -> None:
        """Take in the whole result of a context, of those that may be stripped or rebuilt."""
        known = self._handed.get(operation_id)
        if len(text) * 4 > LIMITS.payload_bytes or (known is not None and known.replay_children):
            data = text.encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
            self._serialized[operation_id] = Whole(len(data), len(text), digest)

    def asked(self, operation_id: str, parent_id: str | None) -> None:
        """Take in that the code asks for an operation to be written."""
        self._positions.place(operation_id, parent_id)

    def reads(self, operation_id: str) -> None:
        """Note that the code asks for an operation: one that was handed over complete answers it.

        What the code asks for twice, as a callback and its result, is noted once.
        """
        operation = self.unread.pop(operation_id, None)
        if operation is None:
            return
        self._positions.place(operation_id, operation.parent_id)
        if not operation.is_terminal or operation.replay_children:
            return
        succeeded = operation.status is OperationStatus.SUCCEEDED
        self._note(Activity.RETURNED if succeeded else Activity.RAISED, operation)

    def sent(
        self, updates: tuple[OperationUpdate, ...], sends: int, refused: str | None = None
    ) -> None:
        """Take in a request that was answered, refused (why) or cut off by a crash."""
        rules = SDKS[Sdk.PYTHON]
        estimated = sum(map(rules.estimate, updates))
        cut = Cut.END
        if estimated > rules.max_bytes:
            cut = Cut.OVERSIZED
        elif len(updates) >= rules.max_operations:
            cut = Cut.OPERATIONS
        self._requests.append(SentRequest(len(updates), estimated, cut, sends, updates, refused))
        for update in updates:
            if update.type in MUST_START and update.action is OperationAction.START:
                self._note(Activity.BEGAN, update)
            elif update.replay_children:
                self._note(Activity.STRIPPED, update)

    def _note(self, did: Activity, of: Operation | OperationUpdate) -> None:
        self._add((did, of.id, of.type, of.sub_type, of.name, of.parent_id, None))

    def _add(self, seen: Seen) -> None:
        if seen[4] is not None and type(seen[4]) is not str:  # no name that the service takes
            seen = (*seen[:4], shown(seen[4]), *seen[5:])
        self._seen.append(seen)
        if self._tell is not None:
            self._tell(self._noted(seen))

    def _noted(self, seen: Seen) -> Note:
        did, key, kind, sub_type, name, parent, attempt = seen
        path = self._positions.paths.get(key, ())
        whole = self._whole(key) if did in (Activity.STRIPPED, Activity.REBUILT) else None
        return Note(
            did,
            key,
            path,
            kind,
            sub_type,
            name,
            parent,
            attempt=attempt,
            size=None if whole is None else whole.size,
            once=attempt is not None and key in self._once,
            whole=whole,
        )

    def _whole(self, key: str) -> Whole:
        return replace(self._serialized.get(key, Whole()), units=self._units.get(key))

    def label(self, operation_id: str | None) -> str | None:
        """Return an operation as reports name it, `Map "parts" (1)`; None for one not seen here."""
        seen = next((each for each in self._seen if each[1] == operation_id), None)
        if seen is None:
            return None
        path = self._positions.paths.get(seen[1])
        return labelled(seen[3] or seen[2], seen[4]) + (f" ({position_text(path)})" if path else "")

    # -- when it is over -----------------------------------------------------------------------

    def requests(self) -> tuple[SentRequest, ...]:
        """Return the requests, in the order in which they were sent."""
        return tuple(self._requests)

    def notes(self) -> tuple[Note, ...]:
        """Return what happened, with the position of each operation."""
        return tuple(self._noted(seen) for seen in [*self._seen, *self._skipped()])

    def _skipped(self) -> Iterator[Seen]:
        """Return the units, frozen as started, of re-executed contexts, whose bodies didn't run."""
        batches = {
            key: sub_type
            for did, key, kind, sub_type, *_ in self._seen
            if did is Activity.RE_EXECUTED and is_batch(kind, sub_type)
        }
        if not batches:
            return
        units = [unit for key in batches for unit in self._frozen_as_started(key)]
        # A summary of 1.x doesn't name them, but a NESTED unit has an operation of its own.
        units += [
            (each.parent_id, each.id)
            for each in self._handed.values()
            if each.parent_id in batches and each.is_unit and each.status is OperationStatus.STARTED
        ]
        for key, unit in dict.fromkeys(units):
            if unit not in self._ran:
                self._positions.place_in(key, unit)
                is_map = batches[key] == SubType.MAP
                unit_type = SubType.MAP_ITERATION if is_map else SubType.PARALLEL_BRANCH
                known = self._handed.get(unit)
                name = known.name if known else None
                yield (Activity.SKIPPED, unit, OperationType.CONTEXT, unit_type, name, key, None)

    def _frozen_as_started(self, key: str) -> Iterator[tuple[str, str]]:
        recorded = self._handed.get(key)
        summary = None if recorded is None else read_summary(recorded.result)
        for run in () if summary is None else summary.runs:
            if run.status is UnitStatus.STARTED and run.dispatched:
                for index in range(run.start, run.stop):
                    yield key, self._scheme.child(key, index + self._scheme.first_unit)[0]
