"""`DurableContext`: what a handler asks operations of.

Names, parameters, defaults and their order are those of AWS's Python SDK 3.0.0, awaited; ids,
sub-types and stored summaries are those of AWS's .NET SDK. An operation takes its position when it
begins, so that code which is run again in the same order finds its own records. Tasks that run
beside it begin on a replay where they did in the first run: a recorded operation, which is answered
at once, lets them begin as one does that is checkpointed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar, cast, overload

from durable_core.exceptions import (
    CallbackError,
    CallbackSubmitterError,
    ChildContextError,
    StepError,
    ValidationError,
)
from durable_core.ids import Path
from durable_core.model import OperationType, SubType
from durable_core.native.batch_result import BatchResult
from durable_core.native.call import Call, called, let_others_begin, others_are_ready
from durable_core.native.chance import chance_of
from durable_core.native.config import (
    CallbackConfig,
    ChildConfig,
    InvokeConfig,
    MapConfig,
    ParallelBranch,
    ParallelConfig,
    StepConfig,
    WaitForCallbackConfig,
)
from durable_core.native.durations import whole_seconds
from durable_core.native.execution import Execution, Scope
from durable_core.native.logger import Logger, LoggerInterface
from durable_core.native.operations import batch as batches
from durable_core.native.operations import child as children
from durable_core.native.operations import condition, step, wait
from durable_core.native.operations.wait import Callback
from durable_core.native.retries import RetryDecision, RetryStrategy
from durable_core.native.types import (
    ExecutionContext,
    StepContext,
    WaitForCallbackContext,
    WaitForConditionCheckContext,
)
from durable_core.native.waits import WaitForConditionConfig
from durable_core.safe_text import plain, shown

T = TypeVar("T")
U = TypeVar("U")

_STEP = StepConfig()


class DurableContext:
    """The operations of one context of an execution: the handler's own, a child's or a unit's.

    Every method but the logger's records an operation, or finds it recorded. Operations may run
    side by side (`asyncio.gather`, `TaskGroup`); where the branches ask for more than one operation
    each, `parallel` and `map` keep their positions apart.
    """

    _call_type: type[Call] = Call

    def __init__(
        self,
        execution: Execution,
        scope: Scope,
        *,
        parent_id: str | None = None,
        prefix: str | None = None,
        path: Path = (),
        replaying: bool = False,
        logger: LoggerInterface | None = None,
    ) -> None:
        self._execution = execution
        self._scope = scope
        self._parent_id = parent_id
        self._prefix = prefix
        self._path = path
        self._count = 0
        self._replaying = replaying
        self.execution_context = ExecutionContext(execution.arn)
        self.set_logger(logger if logger is not None else logging.getLogger())

    # -- logging -------------------------------------------------------------------------------

    def is_replaying(self) -> bool:
        """Return True while the code only repeats what an earlier invocation did."""
        return self._replaying or self._scope.rebuilding

    def set_logger(self, new_logger: LoggerInterface) -> None:
        """Let `logger` pass on to another logger, in this context and those made in it later."""
        extra: dict[str, object] = {"executionArn": self._execution.arn}
        if self._parent_id is not None:
            extra["parentId"] = self._parent_id
        self.logger = self._logger_of(new_logger, extra)

    def _logger_of(self, logger: LoggerInterface, extra: Mapping[str, object]) -> Logger:
        return Logger(logger, extra, self.is_replaying)

    def decide_retry(
        self, strategy: RetryStrategy, error: Exception, attempt: int
    ) -> RetryDecision:
        """Ask a retry strategy about a failed attempt of a block of operations.

        Steps and polls do so by themselves; the next operation's position counts too where the
        strategy draws by chance.
        """
        next_id, _ = self._execution.scheme.child(self._prefix, self._count + 1)
        with chance_of(self._execution.seed, next_id, attempt):
            return strategy(error, attempt)

    # -- operations ----------------------------------------------------------------------------

    @overload
    async def step(
        self,
        func: Callable[[StepContext], Awaitable[T]],
        name: str | None = None,
        config: StepConfig | None = None,
    ) -> T: ...
    @overload
    async def step(
        self,
        func: Callable[[StepContext], T],
        name: str | None = None,
        config: StepConfig | None = None,
    ) -> T: ...
    async def step(
        self,
        func: Callable[[StepContext], Any],
        name: str | None = None,
        config: StepConfig | None = None,
    ) -> Any:
        """Run a function, sync or async, and record its result; a replay returns that.

        A failed attempt is retried as `config.retry_strategy` says. Raises StepError when it failed
        for good, SerDesError when its result can't be written.
        """
        config = config or _STEP
        sub_type, name = config.sub_type or SubType.STEP, name_of(name, func)
        call = self._call(OperationType.STEP, sub_type, name, retried=config.retry_strategy)
        return await self._perform(call, step.step(call, func, config, self.logger))

    async def wait(self, duration: timedelta, name: str | None = None) -> None:
        """Suspend the execution for a duration of at least one second."""
        if duration < timedelta(seconds=1):
            raise ValidationError("duration must be at least 1 second")
        seconds = whole_seconds(duration)
        call = self._call(OperationType.WAIT, SubType.WAIT, name, seconds=seconds)
        await self._perform(call, wait.wait(call, seconds))

    async def invoke(
        self,
        function_name: str,
        payload: Any,
        name: str | None = None,
        config: InvokeConfig | None = None,
    ) -> Any:
        """Invoke another function and return its result. Raises InvokeError when it failed."""
        config = config or InvokeConfig()
        kind, sub_type = OperationType.CHAINED_INVOKE, SubType.CHAINED_INVOKE
        call = self._call(kind, sub_type, name, invoked=(function_name, payload, config))
        work = wait.invoke(call, function_name, payload, config)
        return await self._perform(call, work)

    async def create_callback(
        self, name: str | None = None, config: CallbackConfig | None = None
    ) -> Callback[Any]:
        """Create a callback: hand out its `callback_id`, then await its `result()`."""
        config = config or CallbackConfig()
        sub_type = config.sub_type or SubType.CALLBACK
        call = self._call(OperationType.CALLBACK, sub_type, name, callback=config)
        return await self._perform(call, wait.create_callback(call, config))

    async def wait_for_condition(
        self,
        check: Callable[[T, WaitForConditionCheckContext], Awaitable[T] | T],
        config: WaitForConditionConfig[T],
        name: str | None = None,
    ) -> T:
        """Poll until `config.wait_strategy` is content with the state that `check` returns.

        Raises WaitForConditionError when the check raises or the attempts run out.
        """
        if check is None or config is None:
            missing = "check" if check is None else "config"
            raise ValidationError(f"`{missing}` is required for wait_for_condition")
        call = self._call(OperationType.STEP, SubType.WAIT_FOR_CONDITION, name, polled=config)
        work = condition.wait_for_condition(call, check, config, self.logger)
        return cast(T, await self._perform(call, work))

    @overload
    async def run_in_child_context(
        self,
        func: Callable[[DurableContext], Awaitable[T]],
        name: str | None = None,
        config: ChildConfig[T] | None = None,
    ) -> T: ...
    @overload
    async def run_in_child_context(
        self,
        func: Callable[[DurableContext], T],
        name: str | None = None,
        config: ChildConfig[T] | None = None,
    ) -> T: ...
    async def run_in_child_context(
        self,
        func: Callable[[DurableContext], Any],
        name: str | None = None,
        config: ChildConfig[Any] | None = None,
    ) -> Any:
        """Run a function with a context of its own and record what it returns.

        A result over the payload limit is not stored: a replay runs the function again, its
        operations return from their checkpoints. Raises ChildContextError when it raises.
        """
        config = config or ChildConfig()
        sub_type = config.sub_type or SubType.RUN_IN_CHILD_CONTEXT
        return await self._child(func, name_of(name, func), sub_type, config)

    async def wait_for_callback(
        self,
        submitter: Callable[[str, WaitForCallbackContext], Any],
        name: str | None = None,
        config: WaitForCallbackConfig | None = None,
    ) -> Any:
        """Create a callback, hand its id to `submitter` in a step, and wait for the answer.

        Raises CallbackSubmitterError when the submitter failed for good, CallbackExternalError and
        CallbackTimeoutError as a callback does.
        """
        name = name_of(name, submitter)
        prefix = f"{name} " if name else ""

        async def body(context: DurableContext) -> Any:
            callback = await context.create_callback(f"{prefix}create callback id", config)
            step_config = None
            if config is not None:
                step_config = StepConfig(config.retry_strategy, serdes=config.serdes)
            await context.step(
                lambda given: submitter(callback.callback_id, WaitForCallbackContext(given.logger)),
                f"{prefix}submitter",
                step_config,
            )
            return await callback.result()

        try:
            return await self._child(body, name, SubType.WAIT_FOR_CALLBACK, ChildConfig())
        except ChildContextError as error:
            inner = error.__cause__
            if isinstance(inner, CallbackError):
                raise inner from None
            if isinstance(inner, StepError):
                message = inner.message or "the submitter of the callback failed"
                raise CallbackSubmitterError(
                    message, data=inner.data, stack_trace=inner.stack_trace
                ) from inner
            raise

    async def map(
        self,
        inputs: Sequence[U],
        func: Callable[[DurableContext, U, int, Sequence[U]], Awaitable[T]],
        name: str | None = None,
        config: MapConfig[U] | None = None,
    ) -> BatchResult[T]:
        """Run `func(ctx, item, index, inputs)` for every item, side by side.

        A failed unit doesn't raise: it is in the result. Results over the payload limit are
        rebuilt on a replay by running the units again.
        """
        config = config or MapConfig()
        config.completion_config.check_total(len(inputs))
        namer = config.item_namer

        def planned(index: int, item: U) -> batches.PlannedUnit:
            async def body(call: Call, scope: Scope) -> Any:
                return await called(func(self._inside(call, scope, flat), item, index, inputs))

            unit_name = namer(item, index) if namer is not None else f"map-item-{index}"
            return batches.PlannedUnit(checked_name(unit_name) or f"map-item-{index}", body)

        options = batches.options_of(config)
        flat = options.is_flat
        call = self._call(OperationType.CONTEXT, SubType.MAP, name_of(name, func))
        try:
            units = [planned(index, item) for index, item in enumerate(inputs)]
        except ValidationError:
            raise
        except Exception as error:
            return await self._perform(call, batches.unplanned(call, error))
        return await self._batch(call, units, options)

    async def parallel(
        self,
        functions: Sequence[Callable[[DurableContext], Awaitable[T]] | ParallelBranch[T]],
        name: str | None = None,
        config: ParallelConfig | None = None,
    ) -> BatchResult[T]:
        """Run every function with a context of its own, side by side; see `map`."""
        config = config or ParallelConfig()
        config.completion_config.check_total(len(functions))

        def planned(
            index: int, branch: Callable[[DurableContext], Any] | ParallelBranch[Any]
        ) -> batches.PlannedUnit:
            async def body(call: Call, scope: Scope) -> Any:
                return await called(branch(self._inside(call, scope, flat)))

            given = branch.name if isinstance(branch, ParallelBranch) else None
            return batches.PlannedUnit(checked_name(given) or f"parallel-branch-{index}", body)

        options = batches.options_of(config)
        flat = options.is_flat
        units = [planned(index, branch) for index, branch in enumerate(functions)]
        call = self._call(OperationType.CONTEXT, SubType.PARALLEL, name)
        return await self._batch(call, units, options)

    # -- how they are performed ----------------------------------------------------------------

    def _call(
        self, kind: OperationType, sub_type: str, name: str | None, **options: object
    ) -> Call:
        """Return the next operation of this context. Raises where none can be asked for.

        `options` are for who compares them with recorded ones: nothing is done with them here.
        """
        self._execution.check(self._scope)
        name = checked_name(name)
        self._count += 1
        call = self._call_type(
            self._execution,
            self._scope,
            kind,
            sub_type,
            name,
            self._parent_id,
            self._prefix,
            self._count,
            self._path,
        )
        if self._replaying and call.recorded is None:
            self._replaying = False
        return call

    async def _perform(self, call: Call, work: Coroutine[Any, Any, T]) -> T:
        found = call.recorded
        self._scope.enter()
        try:
            if found is not None and others_are_ready():
                await let_others_begin()
            return await work
        finally:
            work.close()  # it hasn't begun where this was told to end before
            self._scope.leave()
            if self._replaying and not (found and found.is_terminal and self._knows_next()):
                self._replaying = False

    def _knows_next(self) -> bool:
        """Return True when the operation after the last one is recorded."""
        next_id, _ = self._execution.scheme.child(self._prefix, self._count + 1)
        return self._execution.recorded(next_id) is not None

    async def _batch(
        self, call: Call, units: Sequence[batches.PlannedUnit], options: batches.BatchOptions
    ) -> BatchResult[Any]:
        return await self._perform(call, batches.batch(call, units, options))

    async def _child(
        self,
        func: Callable[[DurableContext], Any],
        name: str | None,
        sub_type: str,
        config: ChildConfig[Any],
    ) -> Any:
        call = self._call(OperationType.CONTEXT, sub_type, name)

        async def body(scope: Scope) -> Any:
            return await called(func(self._inside(call, scope, config.is_virtual)))

        options = children.ChildOptions(config.serdes, config.summary_generator, config.is_virtual)
        completed = await self._perform(call, children.child(call, body, options))
        return completed.value

    def _inside(self, call: Call, scope: Scope, virtual: bool) -> DurableContext:
        """Return the context of what runs in an operation. A virtual one keeps the parent."""
        is_unit = call.sub_type in (SubType.MAP_ITERATION, SubType.PARALLEL_BRANCH)
        return DurableContext(
            self._execution,
            scope,
            parent_id=call.parent_id if virtual else call.id,
            prefix=call.prefix,
            path=call.path,
            replaying=self._replaying and (virtual or call.recorded is not None or not is_unit),
            logger=self.logger.get_logger(),
        )


_NAME: Final = re.compile(r"[\x20-\x7E]{1,256}")


def name_of(name: str | None, func: Callable[..., Any]) -> str | None:
    """Return the given name, or the one that a decorator noted on the function."""
    return name or getattr(func, "_original_name", None)


def checked_name(name: str | None) -> str | None:
    """Return the name, None for an empty one. Raises ValidationError for what isn't a name."""
    if not name:
        return None
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValidationError(f"a name is 1 to 256 printable ASCII characters, got: {shown(name)}")
    return plain(name)
