"""What the public boundary of AWS's SDK doesn't give, put into its `ExecutionState`.

All such places are in here, but those for verifying, which are in `replay_attach`.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from inspect import signature
from typing import Any, Final
from weakref import WeakValueDictionary

from durable_core.runtimes.aws_python.client import Client
from durable_core.runtimes.aws_python.clock import attach_clock
from durable_core.runtimes.aws_python.deadlock import TimersEnded, UnitsEnded
from durable_core.runtimes.aws_python.installed import PACKAGE, InstalledSdk, SdkChanged, load_sdk
from durable_core.sandbox.threads.primitives import LightEvent
from durable_core.sandbox.threads.tasks import current_task


def attached_sdk() -> InstalledSdk:
    """Return the installed SDK, with our places in it. Raises SdkMissing and SdkChanged."""
    sdk = load_sdk()
    attach(sdk.execution_state, sdk.version)
    _attach_results(sdk.child)
    _attach_semantics(sdk.step)
    _attach_units(sdk.concurrent_executor)
    _attach_peeks(sdk.context)
    _attach_timers(sdk.timer_scheduler)
    attach_clock()
    attach_events()
    return sdk


def attach_events() -> None:
    """Give the SDK's modules events that are made faster: it makes one whenever an operation is
    given its number, and for each checkpoint that is waited for."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == PACKAGE and vars(module).get("Event") is threading.Event:
            module.Event = LightEvent  # type: ignore[attr-defined]


def attach(state_class: Any, version: str) -> None:
    """Put a few small things into the SDK's `ExecutionState`, once, for executions of ours only.

    1. Which state belongs to which client, and a queue that doesn't wait for nothing.
    2. `stop_checkpointing` tells the queue: otherwise each invocation takes 0.1 s longer. Lowering
       the SDK's interval instead would also cut batches earlier.
    3. `create_checkpoint` shows each update before it is queued.
    4. `checkpoint_batches_forever` shows that it ended: nobody else tells those who wait for it.
    5. Where the SDK tells its plugins which bodies run, it tells us. A plugin would be told the
       same, but the SDK then copies all operations at each checkpoint, so that the cost of a run
       would grow with the square of its size.
    6. `get_checkpoint_result` shows which recorded operations the code asks for.

    Nothing of it changes what the handler sees. Raises SdkChanged where what 1 to 4 need isn't
    there; without 5 and 6 a report knows less.
    """
    if hasattr(state_class, "durable_cli_client"):
        return
    try:
        init, stop = state_class.__init__, state_class.stop_checkpointing
        create, send = state_class.create_checkpoint, state_class.checkpoint_batches_forever
    except AttributeError as error:
        raise SdkChanged(version, str(error)) from None
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
            _CLIENTS[self.durable_execution_arn] = client
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
    state_class.checkpoint_batches_forever = _telling_its_end(send)
    state_class.stop_checkpointing = attached_stop
    state_class.create_checkpoint = attached_create
    state_class.durable_cli_client = None
    _attach_watch(state_class)


def _telling_its_end(send: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(send)
    def attached_send(self: Any) -> None:
        error = None
        try:
            send(self)
        except Exception as raised:
            error = raised
            raise
        finally:
            if self.durable_cli_client is not None:
                self.durable_cli_client.sender_ended(error)

    return attached_send


def _attach_watch(state_class: Any) -> None:
    wrap = getattr(state_class, "wrap_user_function", None)
    if wrap is not None:

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
    read = getattr(state_class, "get_checkpoint_result", None)
    if read is not None:
        state_class.get_checkpoint_result = _telling_reads(read)


_CLIENTS: Final[WeakValueDictionary[str, Client]] = WeakValueDictionary()
"""The client of the invocation that runs, by the ARN of its execution."""


def _attach_results(child: Any) -> None:
    """Show each result of a context as it is serialized, before the SDK stores a part of it.

    Nothing that the SDK tells or sends has the size of what it strips.
    """
    serialize = getattr(child, "serialize", None)
    if serialize is None or hasattr(serialize, "durable_cli_attached"):
        return

    @wraps(serialize)
    def attached_serialize(*args: Any, **keywords: Any) -> Any:
        text = serialize(*args, **keywords)
        client = _CLIENTS.get(keywords.get("durable_execution_arn", ""))
        key = keywords.get("operation_id")
        if client is not None and key is not None and isinstance(text, str):
            client.observed.serialized(key, text)
        return text

    attached_serialize.durable_cli_attached = True  # type: ignore[attr-defined]
    child.serialize = attached_serialize


def _attach_semantics(step: Any) -> None:
    """Show which steps are at most once: neither an update nor a body says so."""
    executor = getattr(step, "StepOperationExecutor", None)
    if executor is None or hasattr(executor, "durable_cli_attached"):
        return
    init = executor.__init__

    @wraps(init)
    def attached_init(self: Any, *args: Any, **keywords: Any) -> None:
        init(self, *args, **keywords)
        client = self.state.durable_cli_client
        semantics = getattr(self.config, "step_semantics", None)
        if client is not None and getattr(semantics, "name", None) == "AT_MOST_ONCE_PER_RETRY":
            client.observed.is_once(self.operation_identifier.operation_id)

    executor.__init__ = attached_init
    executor.durable_cli_attached = True


def _attach_units(concurrent_executor: Any) -> None:
    """Let a map or parallel of 1.x, which doesn't learn of every unit's end, not wait for ever."""
    complete = getattr(concurrent_executor, "_on_task_complete", None)
    if complete is None or hasattr(concurrent_executor, "durable_cli_lost"):
        return
    execute = concurrent_executor.execute

    @wraps(execute)
    def attached_execute(self: Any, execution_state: Any, executor_context: Any) -> Any:
        client = execution_state.durable_cli_client
        if client is not None and hasattr(self, "_completion_event"):
            parent_id = getattr(executor_context, "_parent_id", None)
            self._completion_event = client.units_ended(self, parent_id)
        return execute(self, execution_state, executor_context)

    @wraps(complete)
    def attached_complete(self: Any, *args: Any, **keywords: Any) -> None:
        try:
            complete(self, *args, **keywords)
        except BaseException as error:
            if isinstance(self._completion_event, UnitsEnded):
                if self._completion_event.has_ended:
                    return  # nobody waits any more: it would only be logged
                self.durable_cli_lost = error
            raise

    concurrent_executor.execute = attached_execute
    concurrent_executor._on_task_complete = attached_complete
    concurrent_executor.durable_cli_lost = None


def _attach_timers(timer_scheduler: Any) -> None:
    """Wake the thread that resumes units in 1.x when it may have to end."""
    if timer_scheduler is None or hasattr(timer_scheduler, "durable_cli_attached"):
        return
    init = timer_scheduler.__init__

    @wraps(init)
    def attached_init(self: Any, *args: Any, **keywords: Any) -> None:
        init(self, *args, **keywords)
        if current_task() is not None:  # the thread that was started hasn't had its turn yet
            self._shutdown = TimersEnded(lambda: bool(self._pending_resumes))

    timer_scheduler.__init__ = attached_init
    timer_scheduler.durable_cli_attached = True


def _telling_reads(read: Callable[..., Any]) -> Callable[..., Any]:
    """Show which recorded operations the code asks for.

    The SDK's replay hooks say it only until its replay status is NEW: one open operation on the way
    hides all that is answered from checkpoints after it.
    """

    @wraps(read)
    def attached_read(self: Any, checkpoint_id: str, **keywords: Any) -> Any:
        client = self.durable_cli_client
        if client is not None and checkpoint_id in client.unread and not _looking_ahead.get():
            client.reads(checkpoint_id)
        return read(self, checkpoint_id, **keywords)

    return attached_read


def _attach_peeks(context_class: Any) -> None:
    """Tell apart where the SDK looks ahead: that is not the code asking for an operation."""
    peek = getattr(context_class, "_peek_next_checkpoint", None)
    if peek is None or hasattr(peek, "durable_cli_attached"):
        return

    @wraps(peek)
    def attached_peek(self: Any) -> Any:
        token = _looking_ahead.set(True)
        try:
            return peek(self)
        finally:
            _looking_ahead.reset(token)

    attached_peek.durable_cli_attached = True  # type: ignore[attr-defined]
    context_class._peek_next_checkpoint = attached_peek


_looking_ahead: Final[ContextVar[bool]] = ContextVar("durable_looking_ahead", default=False)
