"""One invocation's view of an execution: what is recorded, what is under way, what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

from durable_core.exceptions import escaped
from durable_core.frozen import dataclass
from durable_core.ids import SHA256, IdScheme, Path
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import Operation, OperationType, OperationUpdate
from durable_core.native.checkpointer import Checkpointer, RequestAnswer
from durable_core.native.journal import Note
from durable_core.signals import (
    InvocationEnding,
    Overdue,
    ProcessDied,
    UnitStopping,
    exit_status,
)


class Scope:
    """What runs in one context. A FLAT unit has one too.

    Once it is told to stop, whatever waits in it ends at once, whatever works ends with its next
    operation, and `quiet` says when all of that has happened. `rebuilding`: the context is
    terminal, its body runs only to rebuild a value, nothing in it may be written.
    """

    __slots__ = ("_children", "_parent", "_quiet", "_waiting", "in_flight", "rebuilding", "stopped")

    def __init__(self, parent: Scope | None = None, *, rebuilding: bool = False) -> None:
        self._parent = parent
        self._children: dict[Scope, None] = {}  # in order, as a set would not be
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._quiet: asyncio.Future[None] | None = None
        self.in_flight = 0
        self.stopped: bool = parent is not None and parent.stopped
        self.rebuilding: bool = rebuilding or (parent is not None and parent.rebuilding)
        if parent is not None:
            parent._children[self] = None

    def enter(self) -> None:
        """Count an operation in."""
        self.in_flight += 1

    def leave(self) -> None:
        """Count an operation out."""
        self.in_flight -= 1
        if self.in_flight == 0 and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    def stop(self) -> None:
        """Ask everything in it to stop, contexts inside of it included."""
        self.stopped = True
        for child in self._children:
            child.stop()
        for future in self._waiting:
            if not future.done():
                future.set_exception(UnitStopping())
                future.exception()

    async def quiet(self) -> None:
        """Wait until no operation in it is under way."""
        while self.in_flight:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet

    async def close(self) -> None:
        """Stop it, wait until it is quiet, and forget it."""
        self.stop()
        await self.quiet()
        if self._parent is not None:
            self._parent._children.pop(self, None)

    async def wait_for(self, future: asyncio.Future[None]) -> None:
        """Wait in this scope: a stop ends the wait."""
        self._waiting[future] = None
        try:
            await future
        finally:
            del self._waiting[future]


@dataclass
class Execution:
    """The state that one invocation was handed and what answers to its checkpoints add to it.

    `bodies` counts the bodies of steps and checks that run now. `fatal` is what makes the execution
    fail whatever the handler does about it: it is noted when it happens, since handlers catch.
    `revoked`: the service has taken the checkpoint token back, whatever the handler does now is
    done again by a later invocation. `death` is done once the process that runs the invocation is
    gone. `known_ends` are how attempts
    of steps ended in an earlier run that this one follows: their bodies are not run.
    """

    arn: str
    checkpointer: Checkpointer
    death: asyncio.Future[ProcessDied]
    seed: int = 0
    scheme: IdScheme = SHA256
    limits: ServiceLimits = LIMITS
    known_ends: Mapping[tuple[str, int], OperationUpdate] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)
    fatal: Exception | None = None
    ending: bool = False
    revoked: bool = False
    bodies: int = 0
    parked: int = 0
    tell: Callable[[Note], None] | None = None
    _changes: dict[str, list[asyncio.Future[None]]] = field(default_factory=dict)

    def load(self, operations: Iterable[Operation]) -> None:
        """Take in a page of the state that the invocation was handed."""
        for operation in operations:
            self.operations[operation.id] = operation

    def take_answer(self, answer: RequestAnswer) -> None:
        """Take in what a checkpoint answered, and wake what waits for it."""
        for operation in answer.operations:
            self.operations[operation.id] = operation
            for future in self._changes.pop(operation.id, ()):
                if not future.done():
                    future.set_result(None)

    def revoke(self) -> None:
        """Note that the service has taken the token back, and end whatever waits for it."""
        self.ending = self.revoked = True
        for futures in self._changes.values():
            for future in futures:
                if not future.done():
                    future.set_exception(InvocationEnding())
                    future.exception()
        self._changes.clear()

    def recorded(self, operation_id: str) -> Operation | None:
        """Return what is recorded under the id."""
        return self.operations.get(operation_id)

    @property
    def has_history(self) -> bool:
        """True when an earlier invocation recorded something."""
        return any(each.type is not OperationType.EXECUTION for each in self.operations.values())

    def note(self, note: Note) -> None:
        """Note what happened, and tell it to whoever listens."""
        self.notes.append(note)
        if self.tell is not None:
            self.tell(note)

    def check(self, scope: Scope) -> None:
        """Raise where no operation can be asked for any more."""
        if self.ending:
            raise InvocationEnding
        if self.fatal is not None:
            raise self.fatal
        if scope.stopped:
            raise UnitStopping

    def fail(self, error: Exception) -> Exception:
        """Note what makes the execution fail; the first such error stands. Return it to raise."""
        if self.fatal is None:
            self.fatal = error
        return error

    def die(self, why: str, by: BaseException) -> ProcessDied:
        """Note that the process is gone: nothing is written any more. Return what to raise."""
        self.ending = True
        timed_out = isinstance(by, Overdue)
        died = ProcessDied(why, exit_status(by), escaped(by), timed_out=timed_out)
        if not self.death.done():
            self.death.set_result(died)
        return died

    async def changed(self, operation_id: str, scope: Scope) -> None:
        """Wait until an answer brings news of the operation: if none does, until the invocation
        ends."""
        self.check(scope)
        future = asyncio.get_running_loop().create_future()
        self._changes.setdefault(operation_id, []).append(future)
        self.parked += 1
        try:
            await scope.wait_for(future)
        finally:
            self.parked -= 1
