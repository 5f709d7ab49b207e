"""One operation that the code asks for: what is decided about it and how its updates are written.

What any operation does is in `operations`; how a replay treats it is `decide`'s alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, cast

from durable_core.decide import AskedOperation, ReplayDecision, Verb, Want, decide
from durable_core.exceptions import NonDeterministicExecutionError
from durable_core.excerpts import short_name
from durable_core.ids import Path, position_text
from durable_core.interrupts import is_interrupted
from durable_core.model import (
    ErrorObject,
    Operation,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.native.chance import chance_of
from durable_core.native.event_loop import VirtualTimeLoop
from durable_core.native.execution import Execution, Scope
from durable_core.native.journal import Activity, Note
from durable_core.native.serdes import JSON, SerDes, SerDesContext, deserialize, serialize
from durable_core.sandbox.handler_clock import body_takes_time
from durable_core.sandbox.step_bodies import running_body
from durable_core.signals import CheckpointFailed, ProcessDied


class Call:
    """An operation at its position. `prefix` is what the ids of operations inside are made from."""

    __slots__ = (
        "_looked",
        "_serdes_context",
        "execution",
        "id",
        "name",
        "parent_id",
        "path",
        "prefix",
        "scope",
        "sub_type",
        "type",
    )

    def __init__(
        self,
        execution: Execution,
        scope: Scope,
        kind: OperationType,
        sub_type: str,
        name: str | None,
        parent_id: str | None,
        prefix: str | None,
        number: int,
        path: Path,
    ) -> None:
        self.execution = execution
        self.scope = scope
        self.type = kind
        self.sub_type = sub_type
        self.name = name
        self.parent_id = parent_id
        self.id, self.prefix = execution.scheme.child(prefix, number)
        self.path = (*path, number)
        self._looked = False
        self._serdes_context = SerDesContext(self.id, execution.arn)
        execution.paths[self.id] = self.path

    @property
    def label(self) -> str:
        """The operation as a person would name it: `STEP 'charge' (2.1)`."""
        name = f" {short_name(self.name)!r}" if self.name else ""
        return f"{self.type}{name} ({position_text(self.path)})"

    # -- deciding ------------------------------------------------------------------------------

    @property
    def recorded(self) -> Operation | None:
        """What is recorded of it now."""
        return self.execution.operations.get(self.id)

    def decide(self, want: Want = Want.OPERATION) -> ReplayDecision:
        """Return what is to happen. Raises NonDeterministicExecutionError where it diverges."""
        recorded = self.recorded
        asked = AskedOperation(self.type, self.sub_type, self.name, self.parent_id, want)
        decision = decide(
            recorded, asked, replay_children=recorded is not None and recorded.replay_children
        )
        if decision.verb is Verb.DIVERGE:
            raise self.diverged(
                "; ".join(
                    f"recorded {mismatch.field} {mismatch.recorded!r}, "
                    f"the code asks for {mismatch.current!r}"
                    for mismatch in decision.mismatches
                )
            )
        if not self._looked:
            self._looked = True
            if decision.verb is Verb.REUSE and recorded is not None and recorded.is_terminal:
                self.note(Activity.RETURNED)  # an open callback gives its id only
            elif decision.verb is Verb.RAISE:
                self.note(Activity.RAISED)
        return self._while_rebuilding(decision) if self.scope.rebuilding else decision

    def _while_rebuilding(self, decision: ReplayDecision) -> ReplayDecision:
        """Keep everything unwritten in a context that is complete."""
        if self.recorded is None:
            raise self.diverged(
                "it is not recorded, but the context around it is complete: the body that "
                "rebuilds its result asks for an operation that it didn't ask for before"
            )
        if decision.verb in (Verb.RUN, Verb.RUN_AGAIN, Verb.INTERRUPTED):
            return ReplayDecision(Verb.SUSPEND)  # left unfinished when the context completed
        return decision

    def diverged(self, why: str) -> Exception:
        """Return the error of code that doesn't do what is recorded, noted as the end of it."""
        message = f"{self.label}: {why}"
        return self.execution.fail(NonDeterministicExecutionError(message, self.id))

    async def park(self, decision: ReplayDecision) -> None:
        """Wait until the service changes the operation, in this invocation or a later one."""
        self.note(Activity.SUSPENDED)
        await self.execution.changed(self.id, self.scope)

    def note(
        self,
        did: Activity,
        *,
        attempt: int | None = None,
        size: int | None = None,
        once: bool = False,
    ) -> None:
        """Note for the report what happened."""
        self.execution.note(
            Note(
                did,
                self.id,
                self.path,
                self.type,
                self.sub_type,
                self.name,
                self.parent_id,
                attempt=attempt,
                size=size,
                once=once,
            )
        )

    # -- writing -------------------------------------------------------------------------------

    def update(
        self,
        action: OperationAction,
        *,
        payload: str | None = None,
        error: ErrorObject | None = None,
        **options: Any,
    ) -> OperationUpdate:
        """Return an update of the operation, with its identity in it."""
        return OperationUpdate(
            id=self.id,
            type=self.type,
            action=action,
            parent_id=self.parent_id,
            name=self.name,
            sub_type=self.sub_type,
            payload=payload,
            error=error,
            **options,
        )

    def send(self, action: OperationAction) -> None:
        """Queue an update and don't wait for it."""
        self.execution.check(self.scope)
        self.execution.checkpointer.enqueue(self.update(action))

    async def persist(
        self,
        action: OperationAction,
        *,
        payload: str | None = None,
        error: ErrorObject | None = None,
        **options: Any,
    ) -> None:
        """Write an update and wait until it is persisted."""
        if self.execution.ending:
            self.execution.check(self.scope)
        update = self.update(action, payload=payload, error=error, **options)
        await self.execution.checkpointer.persist(update)

    # -- values --------------------------------------------------------------------------------

    def to_payload(self, serdes: SerDes[Any] | None, value: Any) -> str | None:
        """Return the payload of a value of this operation. Raises SerDesError."""
        return serialize(serdes or JSON, value, self._serdes_context)

    def to_value(self, serdes: SerDes[Any] | None, payload: str | None) -> Any:
        """Return the value of a payload of this operation. Raises SerDesError."""
        return deserialize(serdes or JSON, payload, self._serdes_context)

    def round_trip(self, serdes: SerDes[Any] | None, value: Any) -> tuple[str | None, Any]:
        """Return the payload of a value and the value that a replay will return for it, which is
        therefore what this run returns."""
        payload = self.to_payload(serdes, value)
        kept = serdes is None and JSON.keeps(value)
        return payload, value if kept else self.to_value(serdes, payload)

    # -- running what the user wrote -----------------------------------------------------------

    @contextmanager
    def body(self, attempt: int, *, once: bool = False) -> Iterator[None]:
        """Run a body that no operation can be asked for in: of a step or a check.

        `once` says that this attempt's body may never run again.
        """
        self.execution.check(self.scope)
        self.note(Activity.RAN, attempt=attempt, once=once)
        self.execution.bodies += 1
        token = running_body.set(f"{self.id}/{attempt}")
        try:
            with body_takes_time():
                yield
        except BaseException as error:
            if not self.ends_process(error):
                raise
            why = f"the body of {self.label} ended the process"
            raise self.execution.die(why, error) from error
        finally:
            running_body.reset(token)
            self.execution.bodies -= 1

    def ends_process(self, error: BaseException) -> bool:
        """Return True for what a body raises that ends the process that runs it.

        That is all but an Exception, a signal of ours, and what asks it to stop from outside.
        """
        if isinstance(error, Exception | ProcessDied | CheckpointFailed):
            return False
        if isinstance(error, asyncio.CancelledError):
            return not self.is_asked_to_stop()
        return not is_interrupted()

    def is_asked_to_stop(self) -> bool:
        """Tell a stop from outside apart from a CancelledError that the code raises by itself."""
        task = asyncio.current_task()
        outside = task is not None and task.cancelling() > 0
        return outside or self.scope.stopped or self.execution.ending

    def known_end(self, attempt: int) -> OperationUpdate | None:
        """Return how this attempt ended in an earlier run that is being followed, or None."""
        known = self.execution.known_ends.get((self.id, attempt))
        same = known is not None and (known.name, known.sub_type) == (self.name, self.sub_type)
        return known if same else None

    async def end_as(self, known: OperationUpdate) -> None:
        """Write how this attempt ended in an earlier run, in place of running its body."""
        await self.persist(
            known.action,
            payload=known.payload,
            error=known.error,
            next_attempt_delay_seconds=known.next_attempt_delay_seconds,
        )

    def chance(self, attempt: int) -> AbstractContextManager[None]:
        """Return the block in which an attempt's retry or wait strategy draws its chance."""
        return chance_of(self.execution.seed, self.id, attempt)


async def called(result: Any) -> Any:
    """Return what a function of the user's returned, awaited where it is async."""
    return await result if inspect.isawaitable(result) else result


async def let_others_run() -> None:
    """Give the checkpointer its turn, so that what is queued is on its way."""
    await asyncio.sleep(0)


_TURNS: Final = 3
"""How many turns of the event loop a step takes that has nothing to wait for but its checkpoint."""


def others_are_ready() -> bool:
    """Tell whether something besides what runs now could go on."""
    return cast(VirtualTimeLoop, asyncio.get_running_loop()).is_busy


async def let_others_begin() -> None:
    """Give tasks that are ready their turns before a recorded operation is answered, as many as
    they had when it was recorded: what they ask for then comes before what is asked for next."""
    for _ in range(_TURNS):
        if not others_are_ready():
            return
        await asyncio.sleep(0)
