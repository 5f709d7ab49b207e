"""The service client that AWS's SDK is given, and what it notices of the SDK's work."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final

from durable_core.errors import WireError
from durable_core.excerpts import short_name
from durable_core.limits import KIB
from durable_core.model import OperationType, is_batch
from durable_core.runtimes.aws_python.deadlock import HandlerStuck, UnitsEnded
from durable_core.runtimes.aws_python.installed import PACKAGE, InstalledSdk
from durable_core.runtimes.aws_python.invocation_observer import (
    InvocationObserver,
    sub_type_of,
    type_of,
)
from durable_core.runtimes.aws_python.queue import UpdateQueue
from durable_core.runtimes.aws_python.service_endpoint import Died, ServiceEndpoint, ServiceError
from durable_core.runtimes.aws_python.shapes import Converter, update_of
from durable_core.safe_text import shown
from durable_core.sandbox.handler_clock import body_takes_time
from durable_core.sandbox.step_bodies import running_body
from durable_core.sandbox.threads.tasks import offer_turn
from durable_core.service.values import INVALID_TOKEN, CheckpointAnswer

BATCH_BYTES: Final = 750 * KIB
"""What the SDK lets into one request by its own estimate (`CheckpointBatcherConfig`, 3.0.0)."""


class Client:
    """The service client that the SDK is given. Called from its threads, with keywords."""

    def __init__(
        self,
        sdk: InstalledSdk,
        convert: Converter,
        desk: ServiceEndpoint,
        observed: InvocationObserver,
    ) -> None:
        self._sdk = sdk
        self._convert = convert
        self._desk = desk
        self._oversized: dict[tuple[str, str], HandlerStuck] = {}
        self._taken: Any = None
        self._waiting: list[UnitsEnded] = []
        self.observed = observed
        self.unread = observed.unread
        self.queue = UpdateQueue(self._take)
        self.failure: BaseException | None = None
        self.stuck: HandlerStuck | None = None

    def checkpoint(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: list[Any],
        client_token: str | None = None,
    ) -> Any:
        """Persist the updates, as CheckpointDurableExecution."""
        try:
            return self._checkpoint(checkpoint_token, updates)
        except Exception as error:
            self._fail(error)
            raise

    def _checkpoint(self, checkpoint_token: str, updates: list[Any]) -> Any:
        try:
            ours = tuple(update_of(each) for each in updates)
        except WireError as error:  # botocore wouldn't send it either
            raise self._sdk.checkpoint_error.from_exception(error) from None
        if self._oversized:
            for each in ours:
                self._oversized.pop((each.id, each.action.value), None)
            if self._oversized:
                self.stuck = next(iter(self._oversized.values()))
                raise self.stuck
        try:
            if not checkpoint_token:
                code, message = INVALID_TOKEN.code, INVALID_TOKEN.message
                raise ServiceError(code, message, 400, "CheckpointDurableExecution")
            return self._answer(self._desk.checkpoint(checkpoint_token, ours))
        except ServiceError as error:
            raise self._sdk.checkpoint_error.from_exception(error) from None

    def _answer(self, answer: CheckpointAnswer) -> Any:
        operations = self._convert(answer.operations)
        # An empty token is how the SDKs before 2.0 take it that the execution is over.
        return self._sdk.checkpoint_output(
            checkpoint_token=answer.checkpoint_token or "",
            new_execution_state=self._sdk.new_state(
                operations=operations, next_marker=answer.next_marker
            ),
        )

    def get_execution_state(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        next_marker: str,
        max_items: int = 1000,
    ) -> Any:
        """Return a page of the state, as GetDurableExecutionState."""
        try:
            page = self._desk.get_state(checkpoint_token, next_marker)
        except ServiceError as error:
            raise self._sdk.state_error.from_exception(error) from None
        self.observed.handed(page.operations)
        operations = self._convert(page.operations)
        return self._sdk.state_output(operations=operations, next_marker=page.next_marker)

    # -- called by what `attach` puts into the SDK ----------------------------------------

    def queued(self, update: Any) -> None:
        """Note that the code asks for an update, which is about to be queued."""
        self.observed.asked(update.operation_id, update.parent_id)

    def _take(self, update: Any) -> None:
        """Note which update the SDK's thread took from the queue last, and whether it fits.

        Seen in 1.7.0 to 3.0.0: one that is larger than a request may be is sent alone when it comes
        first, but never when it comes while a request is being gathered.
        """
        self._taken = update
        size = _size_of(update)
        if size > BATCH_BYTES:
            self._oversized[update.operation_id, update.action.value] = HandlerStuck(
                _named(update),
                f"an update of {size:,} bytes is over the {BATCH_BYTES:,} bytes that a request may "
                "have, and AWS's SDK waits for it for ever once it is queued behind another one",
            )

    def sender_ended(self, error: BaseException | None) -> None:
        """Note that the SDK's thread which sends checkpoints has ended, and by which error.

        Those who wait for a checkpoint, now or later, are told that it failed.
        """
        if error is not None and self.stuck is None:
            self.stuck = HandlerStuck(
                _named(self._taken),
                f"AWS's SDK {self._sdk.version} ended the thread that sends checkpoints with "
                f"{type(error).__name__}: {error}, and waits for it for ever",
            )
        was_over = self.stuck is None and self.failure is None and self.queue.stopping
        self._fail(self.stuck or Died("AWS's SDK has ended the thread that sends checkpoints"))
        self.queue.end(
            self._sdk.orphaned_error("The invocation is over.", "")
            if was_over
            else self._sdk.background_error("Checkpoint creation failed", self.failure)
        )

    # -- maps and parallels of 1.x ---------------------------------------------------------

    def units_ended(self, executor: Any, operation_id: str | None) -> UnitsEnded:
        """Return what a map or parallel waits for, whose units it doesn't always learn of."""

        def lost() -> BaseException:
            error = self.failure or executor.durable_cli_lost
            if self.stuck is None and not self._desk.dead and not self.queue.stopping:
                self.stuck = HandlerStuck(
                    self.observed.label(operation_id) or "a map or parallel",
                    f"{self._why_lost(error)}, and AWS's SDK {self._sdk.version} waits for ever "
                    "for the unit that it was in",
                )
            raised: BaseException = self._sdk.background_error("lost a unit", self.stuck or error)
            return raised

        def is_lost() -> bool:
            return (self.failure or executor.durable_cli_lost) is not None

        event = UnitsEnded(is_lost, lost)
        self._waiting.append(event)
        return event

    def end_a_wait(self) -> bool:
        """Let the innermost map or parallel that waits learn that its units won't all end; return
        whether there is one. To be asked when no thread can go on."""
        return any(each.give_up() for each in reversed(self._waiting))

    def _why_lost(self, error: BaseException) -> str:
        if self.failure is None:
            return f"{type(error).__name__} was raised"
        refusal = self._desk.refusal
        if refusal is None:
            return f"a checkpoint failed ({error})"
        whose = self.observed.label(refusal.operation_id)
        return f"a checkpoint{f' of {whose}' if whose else ''} was refused ({refusal})"

    def _fail(self, error: BaseException) -> None:
        """Note that no checkpoint can succeed any more."""
        if self.failure is None:
            self.failure = error

    # -- what runs -------------------------------------------------------------------------

    def watched(
        self,
        body: Callable[..., Any],
        identifier: Any,
        is_replay_children: bool = False,
        attempt: int | None = None,
    ) -> Callable[..., Any]:
        """Return the body of an operation such that its beginning and its end are seen."""

        def seen(*args: Any, **keywords: Any) -> Any:
            kind = type_of(identifier)
            has_units = is_batch(kind, sub_type_of(identifier))
            if not self.queue.has_reader:
                self.queue.meet_reader()
            offer_turn()
            self.observed.begins(identifier, replays_children=is_replay_children, attempt=attempt)
            recorded = kind == OperationType.STEP
            key = f"{identifier.operation_id}/{attempt}" if recorded else None
            token = running_body.set(key)
            try:
                with body_takes_time() if recorded else nullcontext():
                    result = body(*args, **keywords)
                if not recorded:
                    units = getattr(result, "all", None) if has_units else None
                    self.observed.came_to(identifier, units, rebuilt=is_replay_children)
                return result
            except BaseException as error:
                if ends_process(error):
                    self.queue.settle()
                raise
            finally:
                running_body.reset(token)
                self.observed.ends()

        return seen

    def die(self, status: int) -> None:
        """Send what is queued, and nothing ever after: the process of the invocation ends."""
        self.queue.settle()
        self._desk.die(status)
        self._fail(Died("the process of this invocation is gone"))

    def reads(self, operation_id: str) -> None:
        """Note that the code asks for an operation, which may have been recorded before."""
        self.observed.reads(operation_id)


MOST_BYTES_OF_A_CHARACTER: Final = 12
"""In the JSON that the SDK estimates by: two escaped surrogates."""
_FEW: Final = BATCH_BYTES / MOST_BYTES_OF_A_CHARACTER
_TEXT: Final = frozenset({str, type(None)})


def _size_of(update: Any) -> int:
    """Return the size of an update by the SDK's own estimate; 0 where it can't be large, or where
    it is no JSON, at which the SDK fails by itself."""
    if update is None or _characters_of(update) < _FEW:
        return 0
    try:
        return len(json.dumps(update.to_dict()))
    except (TypeError, ValueError):
        return 0


def _characters_of(update: Any) -> int:
    """Return how many characters of an update come from the handler."""
    error, invoke = update.error, update.chained_invoke_options
    texts = [update.payload, update.name]
    if type(update.sub_type) is str:  # and not one of the SDK's own
        texts.append(update.sub_type)
    if error is not None:
        texts += [error.message, error.type, error.data, *(error.stack_trace or ())]
    if invoke is not None:
        texts += [invoke.function_name, getattr(invoke, "tenant_id", None)]
    if _TEXT.issuperset(map(type, texts)):
        return sum(map(len, filter(None, texts)))
    return sum(len(each) for each in texts if isinstance(each, str))


def ends_process(error: BaseException) -> bool:
    """Return True for what ends the process where nothing catches it: all but an Exception, and but
    what the SDK itself passes through bodies to suspend them."""
    module = type(error).__module__.partition(".")[0]
    return not isinstance(error, Exception) and module != PACKAGE


def _named(update: Any) -> str:
    """Return an update as a person would name it: `STEP charge`."""
    if update is None:
        return "(no operation)"
    name = update.operation_id if update.name is None else shown(update.name)
    return f"{update.operation_type.value} {short_name(name)}"
