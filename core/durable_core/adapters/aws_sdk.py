"""Handlers written with AWS's SDK, run unchanged against the simulated service.

The only importer of the SDK. It is imported when a runner is made, from the user's own
installation, and spoken to through its public boundary: an invocation input that carries a service
client, as AWS's testing library does. What that boundary doesn't give is in `_attach`, alone.

The SDK calls its client from threads of its own; the simulated service has none. So each call
holds the desk's lock from its beginning to its end.
"""

from __future__ import annotations

import json
import logging
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from inspect import signature
from types import FunctionType
from typing import Any, Final

from durable_core.adapters.lambda_context import LambdaContext
from durable_core.adapters.observed import Observed
from durable_core.bodies import running_body
from durable_core.checkpointer import RefusedCheckpoint, TransientFailure
from durable_core.errors import DurableError, UsageError, WireError
from durable_core.invocation import InvocationOptions, Invoked, Lost
from durable_core.journal import Note
from durable_core.limits import KIB
from durable_core.model import (
    BATCH_SUB_TYPES,
    ErrorObject,
    InvocationInput,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationAction,
    OperationType,
    OperationUpdate,
    SubType,
)
from durable_core.service_link import ServiceLink
from durable_core.service_values import (
    INVALID_TOKEN,
    THROTTLED,
    CheckpointAnswer,
    StatePage,
    made_uuid,
)
from durable_core.signals import ProcessDied
from durable_core.simulate import Runner
from durable_core.wire import error_from_wire, operation_to_wire, update_from_wire

EXTRA: Final = "durable-cli[aws-sdk]"

SENDS: Final = 5
"""How often botocore sends a request that is throttled or whose answer is lost (legacy mode)."""

BATCH_BYTES: Final = 750 * KIB
"""What the SDK lets into one request by its own estimate (`CheckpointBatcherConfig`, 3.0.0)."""

SWITCH_SECONDS: Final = 0.05
"""How long a thread of an invocation may go on before another one's turn (Python's own: 0.005).

The SDK's threads mostly wait for each other. Taking turns less often halves the time of a large map
and makes the order of things less a matter of chance.
"""

STUCK_SECONDS: Final = 2.0
"""How long an update may lie in the SDK's queue, while nothing is sent, before it is lost there."""


_DECORATORS: Final = frozenset(
    f"aws_durable_execution_sdk_python.{module}" for module in ("execution", "plugin")
)
"""Where `@durable_execution` makes its functions: in `plugin` in 1.x."""


def is_aws_handler(handler: object) -> bool:
    """Return True for what `@durable_execution` made, without importing the SDK."""
    return isinstance(handler, FunctionType) and handler.__globals__.get("__name__") in _DECORATORS


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


class _Died(Exception):
    """The process of the invocation is dead; the SDK is told that its checkpoint failed.

    The SDK takes it to every thread that waits for a checkpoint, in a BaseException of its own, so
    that no `except Exception` of the handler catches it.
    """


class _ServiceError(Exception):
    """A refusal, in the shape of botocore's ClientError, by which the SDK classifies it."""

    def __init__(self, code: str, message: str, status_code: int, call: str) -> None:
        super().__init__(f"An error occurred ({code}) when calling the {call} operation: {message}")
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status_code},
        }


# -- the service as an invocation sees it ------------------------------------------------------


class _Desk:
    """Where the calls of one invocation arrive, one at a time, on virtual time.

    Virtual time stands still while the handler works. It moves on when the SDK, having worked on
    for that long in real time, asks whether something that was due has happened, and then to the
    moment when it was due, never beyond; and while botocore would wait to send a request again.
    """

    def __init__(self, link: ServiceLink, observed: Observed) -> None:
        self._link = link
        self._observed = observed
        self._lock = threading.Lock()
        self._real_began = time.time()
        self._requests = 0
        self._closed = False
        self.elapsed = 0.0
        self.dead = False
        link.elapsed = lambda: self.elapsed

    def real_moment(self, moment: datetime) -> datetime:
        """Return a virtual moment as the SDK, which reads the real clock, has to see it."""
        return moment - self._link.began + datetime.fromtimestamp(self._real_began, tz=UTC)

    def checkpoint(self, token: str, updates: tuple[OperationUpdate, ...]) -> CheckpointAnswer:
        """Send a request as botocore would, and again where it would.

        Raises _Died and _ServiceError.
        """
        call = "CheckpointDurableExecution"
        with self._lock:
            if not updates:
                self._catch_up()
            self._requests += 1
            client_token = made_uuid("client token", token, self._requests)
            for attempt in range(1, SENDS + 1):
                self._check_alive()
                try:
                    answer = self._link.checkpoint(token, updates, client_token)
                except TransientFailure:
                    self.elapsed += 2.0 ** (attempt - 1)
                except ProcessDied as error:
                    self._observed.sent(updates, attempt)
                    self.dead = True
                    raise _Died(str(error)) from None
                except RefusedCheckpoint as error:
                    self._observed.sent(updates, attempt)
                    raise _ServiceError(error.code, error.message, 400, call) from None
                else:
                    self._observed.sent(updates, attempt)
                    return answer
            self._observed.sent(updates, SENDS)
            raise _ServiceError(THROTTLED.code, THROTTLED.message, THROTTLED.status_code, call)

    def _catch_up(self) -> None:
        """Move on to what is due by now for a handler that worked that long in real time."""
        worked = timedelta(seconds=time.time() - self._real_began + 0.001)
        due = self._link.next_due()
        if due is not None and due <= self._link.began + worked:
            self.elapsed = max(self.elapsed, (due - self._link.began).total_seconds())

    def get_state(self, token: str, marker: str) -> StatePage:
        """Return a page of the state. Raises _Died and _ServiceError."""
        with self._lock:
            self._check_alive()
            try:
                return self._link.get_state(token, marker)
            except RefusedCheckpoint as error:
                call = "GetDurableExecutionState"
                raise _ServiceError(error.code, error.message, 400, call) from None

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


def load_sdk() -> _Sdk:
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


class _Converter:
    """Makes the SDK's operations from ours: each once, however many invocations are handed it."""

    def __init__(self, sdk: _Sdk) -> None:
        self._from_dict = sdk.operation.from_dict
        self._made: dict[str, tuple[Operation, Any]] = {}

    def __call__(self, operations: Sequence[Operation], desk: _Desk) -> list[Any]:
        """Return the operations as the SDK's own."""
        return [self._converted(each, desk) for each in operations]

    def _converted(self, operation: Operation, desk: _Desk) -> Any:
        known = self._made.get(operation.id)
        if known is not None and known[0] is operation:
            return known[1]
        made = self._from_dict(_as_answered(operation, desk))
        if operation.is_terminal:  # the timers of others are different in each invocation
            self._made[operation.id] = (operation, made)
        return made


def _as_answered(operation: Operation, desk: _Desk) -> dict[str, Any]:
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


_TYPES: Final = {each.value: each for each in OperationType}
_ACTIONS: Final = {each.value: each for each in OperationAction}
_OPTIONS: Final = ("step_options", "wait_options", "callback_options", "chained_invoke_options")


def _update_of(update: Any) -> OperationUpdate:
    """Return an update of the SDK's as ours. Raises WireError.

    By way of its wire form, but the most frequent ones, those without error and options, directly:
    that takes a fifth of the time.
    """
    texts = update.operation_id, update.parent_id, update.name, update.payload
    if (
        update.error
        or update.payload == ""  # which 1.x leaves out
        or any(getattr(update, options, True) for options in _OPTIONS)
        or not all(text is None or type(text) is str for text in texts)
    ):
        return update_from_wire(update.to_dict())
    context = update.context_options
    return OperationUpdate(
        update.operation_id,
        _TYPES[update.operation_type.value],
        _ACTIONS[update.action.value],
        update.parent_id or None,
        update.name or None,
        str(getattr(update.sub_type, "value", update.sub_type)) if update.sub_type else None,
        update.payload,
        replay_children=None if context is None else bool(context.replay_children),
    )


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


class Client:
    """The service client that the SDK is given. Called from its threads, with keywords."""

    def __init__(self, sdk: _Sdk, convert: _Converter, desk: _Desk, observed: Observed) -> None:
        self._sdk = sdk
        self._convert = convert
        self._desk = desk
        self._oversized: dict[tuple[str, str], tuple[OperationUpdate, int]] = {}
        self.observed = observed
        self.queue = _Queue()
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
            ours = tuple(_update_of(each) for each in updates)
        except WireError as error:  # botocore wouldn't send it either
            raise self._sdk.checkpoint_error.from_exception(error) from None
        for each in ours if self._oversized else ():
            self._oversized.pop((each.id, each.action), None)
        try:
            if not checkpoint_token:
                code, message = INVALID_TOKEN.code, INVALID_TOKEN.message
                raise _ServiceError(code, message, 400, "CheckpointDurableExecution")
            return self._answer(self._desk.checkpoint(checkpoint_token, ours))
        except _ServiceError as error:
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
        except _ServiceError as error:
            raise self._sdk.state_error.from_exception(error) from None
        self.observed.handed(page.operations)
        operations = self._convert(page.operations, self._desk)
        return self._sdk.state_output(operations=operations, next_marker=page.next_marker)

    # -- called by what `_attach` puts into the SDK --------------------------------------------

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
            if identifier.sub_type in BATCH_SUB_TYPES:
                self.queue.alone = False  # a map or parallel has threads of its own
            self.observed.begins(identifier, replays_children=is_replay_children, attempt=attempt)
            recorded = identifier.sub_type in (SubType.STEP, SubType.WAIT_FOR_CONDITION)
            key = f"{identifier.operation_id}/{attempt}" if recorded else None
            token = running_body.set(key)
            try:
                return body(*args, **keywords)
            finally:
                running_body.reset(token)
                self.observed.ends()

        return seen

    def replayed(self, operation: Any) -> None:
        """Note that the code came to an operation that was recorded before."""
        self.observed.replayed(operation.operation_id)


class _Queue(queue.Queue[Any]):
    """The SDK's queue of updates, whose reader doesn't wait for what can't come any more.

    The SDK's checkpoint thread reads it with a timeout: 0.1 s until it looks whether it is to stop,
    and 1 ms (before 2.0 0.1 s) for more updates to join a batch that somebody waits for. Here the
    read ends at once, as if the time were up, when the invocation is over, and when the only thread
    that there is waits for the batch. So no batch is another one than with all the time waited.
    """

    alone = True
    """Whether no map or parallel was seen yet: False for all where the SDK tells of none."""

    def __init__(self) -> None:
        super().__init__()
        self.stopping = False
        self._waits = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; note whether whoever adds it waits until it is sent."""
        with self.mutex:
            self._waits = self._waits or getattr(item, "completion_event", None) is not None
        super().put(item, block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item. Raises queue.Empty in time, or when none can come."""
        if not block or timeout is None:
            return super().get(block, timeout)
        end = time.monotonic() + timeout
        with self.not_empty:
            while not self._qsize():
                left = end - time.monotonic()
                if left <= 0 or self.stopping or (self.alone and self._waits):
                    self._waits = False
                    raise queue.Empty
                self.not_empty.wait(left)
            self.not_full.notify()
            return self._get()

    def stop(self) -> None:
        """Let nobody wait any more."""
        with self.mutex:
            self.stopping = True
            self.not_empty.notify_all()


def _attach(state_class: Any, version: str) -> None:
    """Put a few small things into the SDK's `ExecutionState`, once, for executions of ours only.

    1. Which state belongs to which client, and a queue that doesn't wait for nothing.
    2. `stop_checkpointing` tells the queue: otherwise each invocation takes 0.1 s longer. Lowering
       the SDK's interval instead would also cut batches earlier.
    3. `create_checkpoint` shows each update before it is queued, to find one that gets lost there.
    4. Where the SDK tells its plugins which bodies run and which operations are replayed, it tells
       us. A plugin would be told the same, but the SDK then copies all operations at each
       checkpoint, so that the cost of a run would grow with the square of its size.

    Nothing of it changes what the handler sees. Raises SdkChanged or AttributeError where what 1
    to 3 need isn't there; without 4 a report knows less.
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
        clients = (each for each in (*args, *keywords.values()) if isinstance(each, Client))
        client = self.durable_cli_client = next(clients, None)
        if client is not None:
            if type(getattr(self, "_checkpoint_queue", None)) is not queue.Queue:
                raise SdkChanged(version, "no _checkpoint_queue in ExecutionState")
            client.state = self
            self._checkpoint_queue = client.queue

    @wraps(stop)
    def attached_stop(self: Any) -> None:
        stop(self)
        if self.durable_cli_client is not None:
            self.durable_cli_client.queue.stop()

    @wraps(create)
    def attached_create(self: Any, operation_update: Any = None, is_sync: bool = True) -> None:
        if operation_update is not None and self.durable_cli_client is not None:
            self.durable_cli_client.queued(operation_update)
        create(self, operation_update, is_sync)

    state_class.__init__ = attached_init
    state_class.stop_checkpointing = attached_stop
    state_class.create_checkpoint = attached_create
    state_class.durable_cli_client = None
    _attach_watch(state_class)


def _attach_watch(state_class: Any) -> None:
    wrap = getattr(state_class, "wrap_user_function", None)
    if wrap is None:
        _Queue.alone = False
    else:

        @wraps(wrap)
        def attached_wrap(
            self: Any, user_function: Any, operation_identifier: Any, *args: Any, **keywords: Any
        ) -> Any:
            body = wrap(self, user_function, operation_identifier, *args, **keywords)
            client = self.durable_cli_client
            if client is None:
                return body
            return client.watched(body, operation_identifier, *args, **keywords)

        state_class.wrap_user_function = attached_wrap
    for name in ("emit_operation_replay_hook", "emit_operation_update_hook"):
        emit = getattr(state_class, name, None)
        if emit is not None:
            setattr(state_class, name, _telling(emit))


def _telling(emit: Callable[..., None]) -> Callable[..., None]:
    @wraps(emit)
    def attached_emit(self: Any, operation: Any) -> None:
        if self.durable_cli_client is not None:
            self.durable_cli_client.replayed(operation)
        emit(self, operation)

    return attached_emit


# -- an invocation -----------------------------------------------------------------------------


@contextmanager
def _process_settings(seed: str) -> Iterator[None]:
    """Set what is the process's, not the invocation's, and set it back.

    What is logged goes to the handlers that were set up, and nowhere where there are none: Python
    would print warnings then.
    """
    interval, chance = sys.getswitchinterval(), random.getstate()
    nowhere = logging.NullHandler()
    sys.setswitchinterval(SWITCH_SECONDS)
    random.seed(seed)
    logging.getLogger().addHandler(nowhere)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(nowhere)
        sys.setswitchinterval(interval)
        random.setstate(chance)


class AwsSdkRunner(Runner):
    """Runs invocations of one `@durable_execution` handler in this process.

    Globals live on from one invocation to the next, as in a warm environment. `tell`, where set,
    is called with each note of what the handler does, when it does it. Raises SdkMissing and
    SdkChanged.
    """

    def __init__(
        self,
        handler: Callable[[Any, Any], object],
        *,
        memory_mb: int = 128,
        tenant_id: str | None = None,
    ) -> None:
        self._sdk = load_sdk()
        self._convert = _Converter(self._sdk)
        self._handler = handler
        self.tell: Callable[[Note], None] | None = None
        self._memory_mb = memory_mb
        self._tenant_id = tenant_id

    @property
    def sdk_version(self) -> str:
        """The version of the installed SDK."""
        return self._sdk.version

    @property
    def unwinds_crashes(self) -> bool:
        """Whether a crash can be injected without a process of its own.

        In 1.x a map or parallel waits for ever for a unit whose checkpoint failed.
        """
        return not self.sdk_version.startswith(("0.", "1."))

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run the handler on what the service hands over; its checkpoints go to the link.

        Raises HandlerStuck where it would never end.
        """
        observed = Observed(given.operations, tell=self.tell)
        desk = _Desk(link, observed)
        client = Client(self._sdk, self._convert, desk, observed)
        with _process_settings(f"{options.seed}:{link.invocation.number}"):
            outcome = self._outcome(given, desk, client, link)
        return Invoked(outcome, observed.notes(), observed.requests(), desk.elapsed)

    def _outcome(
        self, given: InvocationInput, desk: _Desk, client: Client, link: ServiceLink
    ) -> InvocationOutput | Lost:
        handed = self._handed(given, desk, client)
        context = LambdaContext(link, self._memory_mb, self._tenant_id)
        try:
            answer = self._handler(handed, context)
        except SystemExit:
            return Lost(exited=True)
        except DurableError:
            raise
        except Exception as error:
            if not desk.dead:
                return Lost(ErrorObject(message=str(error), type=type(error).__name__))
        finally:
            desk.close()
        return Lost(exited=True) if desk.dead else _output_of(answer)

    def _handed(self, given: InvocationInput, desk: _Desk, client: Client) -> Any:
        updated = {"updated_operation_ids": list(given.updated_operation_ids or ())}
        known = signature(self._sdk.invocation_input).parameters
        return self._sdk.invocation_input(
            durable_execution_arn=given.durable_execution_arn,
            checkpoint_token=given.checkpoint_token,
            initial_execution_state=self._sdk.initial_state(
                operations=self._convert(given.operations, desk),
                next_marker=given.next_marker or "",
            ),
            service_client=client,
            **{key: value for key, value in updated.items() if key in known},
        )
