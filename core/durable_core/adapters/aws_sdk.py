"""Handlers written with AWS's SDK, run unchanged against the simulated service.

The only importer of the SDK. It is imported when a runtime is made, from the user's own
installation, and spoken to through its public boundary: an invocation input that carries a service
client, as AWS's testing library does. What that boundary doesn't give is in `_attach`, alone.

The SDK calls its client from threads of its own; the simulated service has none. So each call
holds the desk's lock from its beginning to its end.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import wraps
from inspect import signature
from types import FunctionType
from typing import Any, Final, Protocol

from durable_core.clock import VirtualClock
from durable_core.errors import DurableError, UsageError
from durable_core.faults import NO_FAULTS, Fault, FaultKind, Faults
from durable_core.limits import KIB
from durable_core.model import (
    CheckpointRequest,
    ErrorObject,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationUpdate,
)
from durable_core.service_values import (
    INVALID_TOKEN,
    THROTTLED,
    CheckpointAnswer,
    Crash,
    Effect,
    Invocation,
    Refusal,
    StatePage,
    exit_crash,
    made_uuid,
)
from durable_core.wire import error_from_wire, operation_to_wire, update_from_wire

EXTRA: Final = "durable-cli[aws-sdk]"

FUNCTION_TIMEOUT_SECONDS: Final = 900
"""The longest that Lambda lets an invocation run."""

SENDS: Final = 5
"""How often botocore sends a request that is throttled or whose answer is lost (legacy mode)."""

BATCH_BYTES: Final = 750 * KIB
"""What the SDK lets into one request by its own estimate (`CheckpointBatcherConfig`, 3.0.0)."""

STUCK_SECONDS: Final = 2.0
"""How long an update may lie in the SDK's queue, while nothing is sent, before it is lost there."""


def is_aws_handler(handler: object) -> bool:
    """Return True for what `@durable_execution` made, without importing the SDK."""
    return (
        isinstance(handler, FunctionType)
        and handler.__globals__.get("__name__") == "aws_durable_execution_sdk_python.execution"
    )


class SdkMissing(UsageError):
    """The SDK isn't installed where we run."""

    def __str__(self) -> str:
        return f"the handler needs AWS's SDK, which isn't installed: pip install '{EXTRA}'"


class SdkChanged(DurableError):
    """The installed SDK isn't built as the ones that we know. `what` says what isn't there."""

    def __init__(self, version: str, what: str) -> None:
        super().__init__(version, what)
        self.version = version
        self.what = what

    def __str__(self) -> str:
        return f"AWS's SDK {self.version} isn't one that this version of durable knows: {self.what}"


class HandlerStuck(DurableError):
    """The SDK lost an update that is larger than a request may be, and waits for it for ever.

    Seen in 3.0.0: such an update is sent alone when nothing is queued, but never when it comes
    while another batch is being gathered. In the cloud the invocation runs into its timeout.
    """

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


class _Died(Exception):
    """The process of the invocation is dead; the SDK is told that its checkpoint failed.

    The SDK takes it to every thread that waits for a checkpoint, in a BaseException of its own, so
    that no `except Exception` of the handler catches it.
    """


class _ServiceError(Exception):
    """A refusal, in the shape of botocore's ClientError, by which the SDK classifies it."""

    def __init__(self, refusal: Refusal, call: str) -> None:
        super().__init__(
            f"An error occurred ({refusal.code}) when calling the {call} operation: "
            f"{refusal.message}"
        )
        self.response = {
            "Error": {"Code": refusal.code, "Message": refusal.message},
            "ResponseMetadata": {"HTTPStatusCode": refusal.status_code},
        }


# -- the service as an invocation sees it ------------------------------------------------------


class Service(Protocol):
    """What an invocation asks of the service: `SimulatedService` has it."""

    def apply(self, now: datetime, request: CheckpointRequest) -> CheckpointAnswer | Refusal: ...

    def get_state(
        self, token: str, marker: str | None = None, max_items: int | None = None
    ) -> StatePage | Refusal: ...

    def next_due(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """One checkpoint request of an invocation: `sends` counts those that botocore repeated."""

    number: int
    updates: tuple[OperationUpdate, ...]
    refusal: Refusal | None
    sends: int = 1


@dataclass
class Desk:
    """Where the calls of one invocation arrive, one at a time, on virtual time.

    `on_effects` is told what the world outside has to do, at once. Virtual time stands still while
    the handler works; it moves on when the SDK, having worked on for that long, asks whether
    something that was due has happened, and then to the moment when it was due, never beyond.
    """

    service: Service
    clock: VirtualClock
    invocation: Invocation
    faults: Faults = NO_FAULTS
    on_effects: Callable[[Sequence[Effect]], None] = lambda effects: None
    wall: Callable[[], float] = time.time
    sent: list[Sent] = field(default_factory=list)
    dead: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.began = self.clock.now
        self._wall_began = self.wall()
        self._requests = 0
        self._closed = False

    def real_moment(self, moment: datetime) -> datetime:
        """Return a virtual moment as the SDK, which reads the real clock, has to see it."""
        return moment - self.began + datetime.fromtimestamp(self._wall_began, tz=moment.tzinfo)

    def checkpoint(
        self, token: str, updates: tuple[OperationUpdate, ...]
    ) -> CheckpointAnswer | Refusal:
        """Take one checkpoint request, with all that is to go wrong with it. Raises _Died."""
        with self._lock:
            self._check_alive()
            if not updates:
                self._catch_up()
            self._requests += 1
            fault = self.faults.at(self.invocation.number, self._requests)
            answer, sends = self._send(token, updates, fault)
            refusal = answer if isinstance(answer, Refusal) else None
            self.sent.append(Sent(self._requests, updates, refusal, sends))
            if isinstance(answer, CheckpointAnswer) and answer.effects:
                self.on_effects(answer.effects)
            if fault is not None and fault.kind is FaultKind.CRASH_AFTER:
                self.dead = True
            self._check_alive()
            return answer

    def _send(
        self, token: str, updates: tuple[OperationUpdate, ...], fault: Fault | None
    ) -> tuple[CheckpointAnswer | Refusal, int]:
        arn = self.invocation.input.durable_execution_arn
        client_token = made_uuid("client token", token, self._requests)
        request = CheckpointRequest(updates, arn, token, client_token)
        sends = 1
        if fault is not None and fault.kind is FaultKind.CRASH_BEFORE:
            self.dead = True
            self._check_alive()
        if fault is not None and fault.kind is FaultKind.THROTTLE:
            for _ in range(min(fault.times, SENDS)):
                if sends == SENDS:
                    return THROTTLED, sends
                self._back_off(sends)
                sends += 1
        answer = self.service.apply(self.clock.now, request)
        if fault is not None and fault.kind is FaultKind.LOST_RESPONSE:
            effects = answer.effects if isinstance(answer, CheckpointAnswer) else ()
            self.on_effects(effects)
            self._back_off(sends)
            sends += 1
            answer = self.service.apply(self.clock.now, request)
        return answer, sends

    def _back_off(self, sends: int) -> None:
        self.clock.advance_to(self.clock.now + timedelta(seconds=2 ** (sends - 1)))

    def _catch_up(self) -> None:
        """Move on to what is due by now for a handler that worked that long in real time."""
        worked = timedelta(seconds=self.wall() - self._wall_began + 0.001)
        due = self.service.next_due()
        if due is not None and due <= self.began + worked:
            self.clock.advance_to(due)

    def get_state(self, token: str, marker: str, max_items: int) -> StatePage | Refusal:
        """Return a page of the state. Raises _Died."""
        with self._lock:
            self._check_alive()
            return self.service.get_state(token, marker, max_items)

    def close(self) -> None:
        """Let no call through any more: the invocation is over."""
        with self._lock:
            self._closed = True

    def _check_alive(self) -> None:
        if self.dead or self._closed:
            raise _Died("the process of this invocation is gone")


# -- between the SDK's shapes and ours ---------------------------------------------------------


@dataclass(frozen=True)
class _Sdk:
    """What we use of the installed SDK."""

    version: str
    invocation_input: Any
    initial_state: Any
    operation: Any
    checkpoint_output: Any
    new_state: Any
    state_output: Any
    checkpoint_error: Any
    state_error: Any

    def operations(self, operations: Sequence[Operation], desk: Desk) -> list[Any]:
        """Return the operations as the SDK's own."""
        return [self.operation.from_dict(_as_answered(each, desk)) for each in operations]


def _load() -> _Sdk:
    """Import the SDK. Raises SdkMissing, and SdkChanged where it isn't what we know."""
    try:
        import aws_durable_execution_sdk_python as root
    except ModuleNotFoundError as error:
        if error.name != "aws_durable_execution_sdk_python":
            raise
        raise SdkMissing from None
    version = str(getattr(root, "__version__", "(unknown)"))
    try:
        from aws_durable_execution_sdk_python import exceptions, execution, lambda_service, state

        _attach(state.ExecutionState, version)
        return _Sdk(
            version,
            execution.DurableExecutionInvocationInputWithClient,
            execution.InitialExecutionState,
            lambda_service.Operation,
            lambda_service.CheckpointOutput,
            lambda_service.CheckpointUpdatedExecutionState,
            lambda_service.StateOutput,
            exceptions.CheckpointError,
            exceptions.GetExecutionStateError,
        )
    except (ImportError, AttributeError) as error:
        raise SdkChanged(version, str(error)) from None


_TIMERS: Final = (("StepDetails", "NextAttemptTimestamp"), ("WaitDetails", "ScheduledEndTimestamp"))


def _as_answered(operation: Operation, desk: Desk) -> dict[str, Any]:
    """Return an operation as botocore would parse it: the wire form, timestamps as datetimes.

    A timer that is still set is given in real time. The SDK compares it with the real clock, and
    would wait for one that lies ahead, or spin on one that seems to be over.
    """
    wire = operation_to_wire(operation)
    for key, moment in (
        ("StartTimestamp", operation.start_timestamp),
        ("EndTimestamp", operation.end_timestamp),
    ):
        if moment is not None:
            wire[key] = moment
    step, wait = operation.step_details, operation.wait_details
    moments = (
        step.next_attempt_timestamp if step else None,
        wait.scheduled_end_timestamp if wait else None,
    )
    for (details, key), moment in zip(_TIMERS, moments, strict=True):
        if moment is not None:
            wire[details][key] = moment if operation.is_terminal else desk.real_moment(moment)
    return wire


def _output_of(answer: object) -> InvocationOutput:
    """Return what a handler answered. One that isn't an answer at all has no status."""
    if not isinstance(answer, dict):
        return InvocationOutput(None)
    status = answer.get("Status")
    error = answer.get("Error")
    return InvocationOutput(
        InvocationStatus(str(status)) if status in set(InvocationStatus) else None,
        answer.get("Result"),
        None if error is None else error_from_wire(error),
    )


class _Client:
    """The service client that the SDK is given. Called from its threads, with keywords."""

    def __init__(self, sdk: _Sdk, desk: Desk) -> None:
        self._sdk = sdk
        self._desk = desk
        self._oversized: dict[tuple[str, str], tuple[OperationUpdate, int]] = {}
        self.state: Any = None
        self.stopping = False
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
        if self.stopping and not updates:
            return self._answer(CheckpointAnswer(checkpoint_token))  # `_attach` woke the thread
        ours = tuple(update_from_wire(each.to_dict()) for each in updates)
        for each in ours if self._oversized else ():
            self._oversized.pop((each.id, each.action), None)
        answer = (
            self._desk.checkpoint(checkpoint_token, ours) if checkpoint_token else INVALID_TOKEN
        )
        if isinstance(answer, Refusal):
            raise self._sdk.checkpoint_error.from_exception(
                _ServiceError(answer, "CheckpointDurableExecution")
            )
        return self._answer(answer)

    def _answer(self, answer: CheckpointAnswer) -> Any:
        operations = self._sdk.operations(answer.operations, self._desk)
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
        page = self._desk.get_state(checkpoint_token, next_marker, max_items)
        if isinstance(page, Refusal):
            raise self._sdk.state_error.from_exception(
                _ServiceError(page, "GetDurableExecutionState")
            )
        operations = self._sdk.operations(page.operations, self._desk)
        return self._sdk.state_output(operations=operations, next_marker=page.next_marker)

    # -- called by what `_attach` puts into the SDK --------------------------------------------

    def queued(self, update: Any) -> None:
        """Watch over an update that is too large for a request, from now until it is sent."""
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
        if lost is None or self.stopping:
            return
        update, size = lost
        self.stuck = HandlerStuck(f"{update.type} {update.name or update.id}", size)
        self.wake()

    def wake(self) -> None:
        """Have the SDK's checkpoint thread look up: an empty checkpoint that nobody waits for."""
        try:
            self.state.create_checkpoint(is_sync=False)
        except BaseException:  # it has ended by itself: nobody has to be woken
            return


def _attach(state_class: Any, version: str) -> None:
    """Put three small things into the SDK's `ExecutionState`, once, for executions of ours only.

    1. Which state belongs to which client, for the other two.
    2. `stop_checkpointing` wakes the checkpoint thread. It would notice by itself, but only when
       its queue has been empty for 0.1 s, so that each invocation would take that long for nothing.
       Lowering that interval instead would also cut batches earlier, which the handler's history
       would show.
    3. `create_checkpoint` shows each update before it is queued, to find one that gets lost there.

    Raises SdkChanged or AttributeError where any of it isn't there.
    """
    if hasattr(state_class, "durable_cli_client"):
        return
    init, stop = state_class.__init__, state_class.stop_checkpointing
    create = state_class.create_checkpoint
    for method, needed in ((init, "service_client"), (create, "operation_update is_sync")):
        if not set(needed.split()) <= set(signature(method).parameters):
            raise SdkChanged(version, f"no {needed} in {method.__qualname__}")

    @wraps(init)
    def attached_init(self: Any, *args: Any, **keywords: Any) -> None:
        init(self, *args, **keywords)
        clients = (each for each in (*args, *keywords.values()) if isinstance(each, _Client))
        self.durable_cli_client = next(clients, None)
        if self.durable_cli_client is not None:
            self.durable_cli_client.state = self

    @wraps(stop)
    def attached_stop(self: Any) -> None:
        stop(self)
        client = self.durable_cli_client
        if client is not None and not client.stopping:
            client.stopping = True
            client.wake()

    @wraps(create)
    def attached_create(self: Any, operation_update: Any = None, is_sync: bool = True) -> None:
        if operation_update is not None and self.durable_cli_client is not None:
            self.durable_cli_client.queued(operation_update)
        create(self, operation_update, is_sync)

    state_class.__init__ = attached_init
    state_class.stop_checkpointing = attached_stop
    state_class.create_checkpoint = attached_create
    state_class.durable_cli_client = None


# -- an invocation -----------------------------------------------------------------------------


class LambdaContext:
    """What Lambda hands to a handler beside the event. The remaining time is virtual."""

    def __init__(
        self, desk: Desk, function_name: str, memory_mb: int, tenant_id: str | None = None
    ) -> None:
        prefix, _, rest = desk.invocation.input.durable_execution_arn.partition(":function:")
        qualified = rest.partition("/")[0]
        self._desk = desk
        self.aws_request_id = desk.invocation.request_id
        self.function_name = function_name
        self.function_version = qualified.rpartition(":")[2] or "$LATEST"
        self.invoked_function_arn = f"{prefix}:function:{qualified}"
        self.memory_limit_in_mb = str(memory_mb)
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = f"{desk.began:%Y/%m/%d}/[{self.function_version}]simulated"
        self.tenant_id = tenant_id
        self.client_context = None
        self.identity = None

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may go on."""
        passed = self._desk.clock.now - self._desk.began
        return max(0, FUNCTION_TIMEOUT_SECONDS * 1000 - passed // timedelta(milliseconds=1))

    def log(self, message: object) -> None:
        """Write a line of the function's log."""
        logging.getLogger().info("%s", message)


class AwsSdkRuntime:
    """Runs invocations of one `@durable_execution` handler in this process.

    Globals live on from one invocation to the next, as in a warm environment. Raises SdkMissing
    and SdkChanged.
    """

    def __init__(
        self,
        handler: Callable[[Any, Any], object],
        *,
        function_name: str = "handler",
        memory_mb: int = 128,
        seed: int = 0,
        tenant_id: str | None = None,
    ) -> None:
        self._sdk = _load()
        self._handler = handler
        self._function_name = function_name
        self._memory_mb = memory_mb
        self._seed = seed
        self._tenant_id = tenant_id

    @property
    def sdk_version(self) -> str:
        """The version of the installed SDK."""
        return self._sdk.version

    def run(self, desk: Desk) -> InvocationOutput | Crash:
        """Run the invocation to its end and return what it answered, or how it died.

        Raises HandlerStuck where it would never end.
        """
        client = _Client(self._sdk, desk)
        given = desk.invocation.input
        handed = self._sdk.invocation_input(
            durable_execution_arn=given.durable_execution_arn,
            checkpoint_token=given.checkpoint_token,
            initial_execution_state=self._sdk.initial_state(
                operations=self._sdk.operations(given.operations, desk),
                next_marker=given.next_marker or "",
            ),
            updated_operation_ids=list(given.updated_operation_ids or ()),
            service_client=client,
        )
        context = LambdaContext(desk, self._function_name, self._memory_mb, self._tenant_id)
        random.seed(f"{self._seed}:{desk.invocation.number}")
        try:
            answer = self._handler(handed, context)
        except SystemExit:
            return exit_crash(desk.invocation.request_id)
        except HandlerStuck:
            raise
        except Exception as error:
            if not desk.dead:
                return _unhandled(error)
        finally:
            desk.close()
        if desk.dead:
            return exit_crash(desk.invocation.request_id)
        return _output_of(answer)


def _unhandled(error: Exception) -> Crash:
    """Return how Lambda reports what a handler raises."""
    return Crash(ErrorObject(message=str(error), type=type(error).__name__))
