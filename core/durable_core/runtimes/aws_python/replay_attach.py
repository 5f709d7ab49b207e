"""Inside of AWS's SDK: what verifying takes from it, and the four methods it is attached to.

The second of the two modules that import the SDK. What an operation does is put in its place for
executions of ours only (`_attach`); any other runs as if this module weren't there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from inspect import unwrap
from typing import Any, Protocol, cast

from durable_core.frozen import dataclass
from durable_core.runtimes.aws_python.client import Client
from durable_core.runtimes.aws_python.installed import SdkChanged
from durable_core.runtimes.aws_python.invocation_observer import InvocationObserver


@dataclass(frozen=True)
class Parts:
    """What is used of the installed SDK beyond what a simulation uses."""

    durable_execution: Any
    suspend: type[BaseException]
    serdes_errors: tuple[type[Exception], ...]
    child_executor: type
    step_executor: Any
    condition_executor: Any
    condition_error: type[Exception]
    default_retry: Callable[[], Any]
    serialize: Callable[..., Any]
    deserialize: Callable[..., Any]
    plain_serdes: Any
    batch_item: Any
    batch_status: Any
    batch_result: Any
    completion_reason: Any
    error_object: Any
    compares: bool


class AttachedRun(Protocol):
    """What the SDK's methods ask in an execution of ours."""

    def process(self, executor: Any, original: Callable[[Any], Any]) -> Any:
        """Do in an operation's place what a replay does with it."""

    def units(self, concurrent: Any, context: Any) -> Any:
        """Return the result of a map or parallel."""

    def issued(self, prefix: str | None, operation_id: str) -> None:
        """Note in which context an id was made."""

    def is_replaying(self, prefix: str | None) -> bool:
        """Return True while what a context asks for next is recorded."""

    def logs(self) -> AbstractContextManager[None]:
        """Watch over a call of a context's logger."""

    def callback_result(self, callback: Any, original: Callable[[Any], Any]) -> Any:
        """Return what a callback was answered, or raise it."""

    def serialize(self, work: Callable[[], Any], given: SerDesCall) -> Any:
        """Return the payload of a value; `work` is what the SDK does."""

    def deserialize(self, work: Callable[[], Any], given: SerDesCall) -> Any:
        """Return the value of a payload; `work` is what the SDK does."""


@dataclass(frozen=True, slots=True)
class SerDesCall:
    """What the SDK serializes or deserializes: `content` is the value, or the payload."""

    serdes: Any
    content: Any
    operation_id: str


class VerifyingClient(Client):
    """The client of an execution under session. No checkpoint gets as far as a request."""

    def __init__(self, sdk: Any, parts: Parts, run: AttachedRun) -> None:
        super().__init__(sdk, cast(Any, None), cast(Any, None), InvocationObserver(()))
        self.run = run
        self._parts = parts

    def queued(self, update: Any) -> None:
        """End here: what the code would write is new."""
        raise self._parts.suspend("nothing is written while verifying")

    def watched(
        self,
        body: Callable[..., Any],
        identifier: Any,
        is_replay_children: bool = False,
        attempt: int | None = None,
    ) -> Callable[..., Any]:
        """Return the body of a context as it is."""
        return body

    def reads(self, operation_id: str) -> None:
        """Note nothing: the session keeps what was asked."""


class _Never(Exception):
    """What a version of the SDK never raises."""


def load_parts(version: str) -> Parts:
    """Return what is used of the SDK, which from now on asks runs under session.

    Raises SdkChanged where a version has something of it no more.
    """
    try:
        from aws_durable_execution_sdk_python import (
            context,
            exceptions,
            execution,
            identifier,
            lambda_service,
            logger,
            retries,
            serdes,
        )
        from aws_durable_execution_sdk_python.concurrency import executor, models
        from aws_durable_execution_sdk_python.operation import (
            base,
            child,
            step,
            wait_for_condition,
        )

        _unmute(logger.Logger)
        _attach(base.OperationExecutor, executor.ConcurrentExecutor, context)
        serialize, deserialize = _attach_serdes(serdes)
        named = (getattr(exceptions, name, None) for name in ("SerDesError", "ExecutionError"))
        return Parts(
            durable_execution=execution.durable_execution,
            suspend=exceptions.SuspendExecution,
            serdes_errors=tuple(each for each in named if each is not None),
            child_executor=child.ChildOperationExecutor,
            step_executor=step.StepOperationExecutor,
            condition_executor=wait_for_condition.WaitForConditionOperationExecutor,
            condition_error=getattr(exceptions, "WaitForConditionError", _Never),
            default_retry=retries.RetryPresets.default,
            serialize=serialize,
            deserialize=deserialize,
            plain_serdes=serdes.DEFAULT_JSON_SERDES,
            batch_item=models.BatchItem,
            batch_status=getattr(models, "BatchItemStatus"),  # noqa: B009  # imported there, not exported
            batch_result=models.BatchResult,
            completion_reason=models.CompletionReason,
            error_object=lambda_service.ErrorObject,
            compares=hasattr(identifier.OperationIdentifier, "validate_checkpoint"),
        )
    except (ImportError, AttributeError) as error:
        raise SdkChanged(version, str(error)) from None


def _unmute(logger: Any) -> None:
    """Let the logger of a context log whether or not it was logged before, once, in executions of
    ours only: what a call raises is raised in every execution that comes to it for the first time.
    """
    if getattr(logger, "durable_cli_attached", False):
        return
    log = logger._log

    @wraps(log)
    def attached_log(self: Any, *args: Any, **keywords: Any) -> None:
        context = getattr(self._is_replaying, "__self__", None)
        run = _run_of(getattr(context, "state", None))
        if run is None:
            log(self, *args, **keywords)
            return
        with run.logs():
            log(self.with_is_replaying(lambda: False), *args, **keywords)

    logger._log = attached_log
    logger.durable_cli_attached = True


def _run_of(state: Any) -> AttachedRun | None:
    """Return the run that an execution state of the SDK belongs to; None: it isn't one of ours."""
    client = getattr(state, "durable_cli_client", None)
    return client.run if isinstance(client, VerifyingClient) else None


class _Running:
    """The run under session, if there is one: the SDK's functions of a SerDes don't say."""

    run: AttachedRun | None = None


@contextmanager
def running(run: AttachedRun) -> Iterator[None]:
    """Ask a run about every SerDes, while it runs."""
    _Running.run = run
    try:
        yield
    finally:
        _Running.run = None


def _attach_serdes(serdes: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Replace the SDK's `serialize` and `deserialize`, once, in all of its modules that have
    imported them; return both."""
    package = serdes.__name__.partition(".")[0]
    modules = [each for key, each in sys.modules.items() if key.partition(".")[0] == package]
    for name in ("serialize", "deserialize"):
        original = unwrap(getattr(serdes, name))
        for module in modules:
            there: Any = getattr(module, name, None)
            if unwrap(there) is original and not hasattr(there, "durable_cli_asks"):
                setattr(module, name, _asking(there, name))
    return serdes.serialize, serdes.deserialize


def _asking(original: Any, name: str) -> Any:
    """Return a function of the SDK's that asks the run under session, if there is one."""

    @wraps(original)
    def attached(serdes: Any, *content: Any, **given: Any) -> Any:
        run = _Running.run
        if run is None:
            return original(serdes, *content, **given)
        value = content[0] if content else given["value" if name == "serialize" else "data"]
        call = SerDesCall(serdes, value, given["operation_id"])
        return getattr(run, name)(lambda: original(serdes, *content, **given), call)

    attached.durable_cli_asks = True  # type: ignore[attr-defined]
    return attached


def _attach(operations: Any, concurrent: Any, context: Any) -> None:
    """Put ourselves in the place of what an operation does, once, for executions of ours only.

    1. `OperationExecutor.process`: an operation, its identity made, is about to be looked up.
    2. `ConcurrentExecutor.execute` and `replay`: the units of a map or parallel are about to run.
    3. `DurableContext._create_step_id`: tells in which context an id was made; a FLAT unit's parent
       wouldn't.
    4. `DurableContext.is_replaying`: the state doesn't hold what is recorded.
    5. `Callback.result`: what a callback was answered is about to be read.
    """
    contexts, callbacks = context.DurableContext, context.Callback
    if getattr(operations, "durable_cli_attached", False):
        return
    process, create_id = operations.process, contexts._create_step_id
    is_replaying, callback_result = contexts.is_replaying, callbacks.result

    @wraps(process)
    def attached_process(self: Any) -> Any:
        run = _run_of(self.state)
        return process(self) if run is None else run.process(self, process)

    def attached_units(method: Any) -> Any:
        @wraps(method)
        def attached(
            self: Any, execution_state: Any, executor_context: Any, *more: Any, **keywords: Any
        ) -> Any:
            run = _run_of(execution_state)
            if run is None:
                return method(self, execution_state, executor_context, *more, **keywords)
            return run.units(self, executor_context)

        return attached

    @wraps(create_id)
    def attached_create_id(self: Any) -> str:
        operation_id: str = create_id(self)
        run = _run_of(self.state)
        if run is not None:
            run.issued(self._step_id_prefix, operation_id)
        return operation_id

    @wraps(is_replaying)
    def attached_is_replaying(self: Any) -> bool:
        run = _run_of(self.state)
        return bool(is_replaying(self)) if run is None else run.is_replaying(self._step_id_prefix)

    @wraps(callback_result)
    def attached_callback_result(self: Any) -> Any:
        run = _run_of(self.state)
        return callback_result(self) if run is None else run.callback_result(self, callback_result)

    callbacks.result = attached_callback_result
    operations.process = attached_process
    concurrent.execute = attached_units(concurrent.execute)
    concurrent.replay = attached_units(concurrent.replay)
    contexts._create_step_id = attached_create_id
    contexts.is_replaying = attached_is_replaying
    operations.durable_cli_attached = True
