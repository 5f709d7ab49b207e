"""The service client that AWS's SDK is given, and what it notices of the SDK's work."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Final

from durable_core.adapters.aws_sdk.desk import Desk, ServiceError
from durable_core.adapters.aws_sdk.installed import Sdk
from durable_core.adapters.aws_sdk.observed import Observed, sub_type_of
from durable_core.adapters.aws_sdk.queue import UpdateQueue
from durable_core.adapters.aws_sdk.shapes import Converter, update_of
from durable_core.errors import DurableError, WireError
from durable_core.limits import KIB
from durable_core.model import BATCH_SUB_TYPES, OperationUpdate, SubType
from durable_core.native.bodies import running_body
from durable_core.service.values import INVALID_TOKEN, CheckpointAnswer
from durable_core.wire import update_from_wire

BATCH_BYTES: Final = 750 * KIB
"""What the SDK lets into one request by its own estimate (`CheckpointBatcherConfig`, 3.0.0)."""

STUCK_SECONDS: Final = 2.0
"""How long an update may lie in the SDK's queue, while nothing is sent, before it is lost there."""


class HandlerStuck(DurableError):
    """The SDK lost an update that is larger than a request may be, and waits for it for ever.

    Seen in 3.0.0: such an update is sent alone when nothing is queued, but never when it comes
    while another batch is being gathered. In the cloud the invocation runs into its timeout.
    """

    is_finding = True

    def __init__(self, operation: str, size: int) -> None:
        super().__init__(operation, size)
        self.operation = operation
        self.size = size

    def __str__(self) -> str:
        return (
            f"{self.operation}: an update of {self.size:,} bytes is over the {BATCH_BYTES:,} bytes "
            "that a request may have, and AWS's SDK waits for it for ever once it is queued behind "
            "another one; in the cloud the invocation would time out"
        )


class Client:
    """The service client that the SDK is given. Called from its threads, with keywords."""

    def __init__(self, sdk: Sdk, convert: Converter, desk: Desk, observed: Observed) -> None:
        self._sdk = sdk
        self._convert = convert
        self._desk = desk
        self._oversized: dict[tuple[str, str], tuple[OperationUpdate, int]] = {}
        self.observed = observed
        self.queue = UpdateQueue()
        self.state: Any = None
        self.stuck: HandlerStuck | None = None

    def checkpoint(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: list[Any],
        client_token: str | None = None,
    ) -> Any:
        """Persist the updates, as CheckpointDurableExecution."""
        if self.stuck is not None:
            raise self.stuck
        try:
            ours = tuple(update_of(each) for each in updates)
        except WireError as error:  # botocore wouldn't send it either
            raise self._sdk.checkpoint_error.from_exception(error) from None
        for each in ours if self._oversized else ():
            self._oversized.pop((each.id, each.action), None)
        try:
            if not checkpoint_token:
                code, message = INVALID_TOKEN.code, INVALID_TOKEN.message
                raise ServiceError(code, message, 400, "CheckpointDurableExecution")
            return self._answer(self._desk.checkpoint(checkpoint_token, ours))
        except ServiceError as error:
            raise self._sdk.checkpoint_error.from_exception(error) from None

    def _answer(self, answer: CheckpointAnswer) -> Any:
        operations = self._convert(answer.operations, self._desk)
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
        operations = self._convert(page.operations, self._desk)
        return self._sdk.state_output(operations=operations, next_marker=page.next_marker)

    # -- called by what `attach` puts into the SDK ----------------------------------------

    def queued(self, update: Any) -> None:
        """Watch over an update that is too large for a request, from now until it is sent."""
        self.observed.asked(update.operation_id, update.parent_id)
        payload = getattr(update, "payload", None)
        if not payload or len(payload) * 6 < BATCH_BYTES:
            return
        wire = update.to_dict()
        size = len(json.dumps(wire))
        if size > BATCH_BYTES:
            ours = update_from_wire(wire)
            key = (ours.id, ours.action.value)
            self._oversized[key] = (ours, size)
            timer = threading.Timer(STUCK_SECONDS, self._give_up_on, (key,))
            timer.daemon = True
            timer.start()

    def _give_up_on(self, key: tuple[str, str]) -> None:
        lost = self._oversized.get(key)
        if lost is None or self.queue.stopping:
            return
        update, size = lost
        self.stuck = HandlerStuck(f"{update.type} {update.name or update.id}", size)
        self.state.create_checkpoint(is_sync=False)  # empty: the thread looks up, and is told

    def watched(
        self,
        body: Callable[..., Any],
        identifier: Any,
        is_replay_children: bool = False,
        attempt: int | None = None,
    ) -> Callable[..., Any]:
        """Return the body of an operation such that its beginning and its end are seen."""

        def seen(*args: Any, **keywords: Any) -> Any:
            sub_type = sub_type_of(identifier)
            is_batch = sub_type in BATCH_SUB_TYPES
            if is_batch:
                self.queue.alone = False  # a map or parallel has threads of its own
            self.observed.begins(identifier, replays_children=is_replay_children, attempt=attempt)
            recorded = sub_type in (SubType.STEP, SubType.WAIT_FOR_CONDITION)
            key = f"{identifier.operation_id}/{attempt}" if recorded else None
            token = running_body.set(key)
            try:
                result = body(*args, **keywords)
                if not recorded:
                    units = getattr(result, "all", None) if is_batch else None
                    self.observed.came_to(identifier, units, rebuilt=is_replay_children)
                return result
            except SystemExit:
                self.queue.settle()
                raise
            finally:
                running_body.reset(token)
                self.observed.ends()

        return seen

    def die(self) -> None:
        """Send what is queued, and nothing ever after: the process of the invocation ends."""
        self.queue.settle()
        self._desk.die()

    def replayed(self, operation: Any) -> None:
        """Note that the code came to an operation that was recorded before."""
        self.observed.replayed(operation.operation_id)
