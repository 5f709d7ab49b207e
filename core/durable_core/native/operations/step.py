"""A step: one function whose result is recorded, with retries between attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_core.decide import Verb, Want
from durable_core.exceptions import (
    ExecutionError,
    RetryableSerDesError,
    SerDesError,
    StepError,
    StepInterruptedError,
    error_object,
    raise_recorded,
)
from durable_core.model import OperationAction
from durable_core.native.call import Call, called, let_others_run
from durable_core.native.config import StepConfig, StepSemantics
from durable_core.native.durations import whole_seconds
from durable_core.native.logger import Logger
from durable_core.native.retries import RetryPresets
from durable_core.native.types import StepContext


async def step(
    call: Call, func: Callable[[StepContext], Any], config: StepConfig, logger: Logger
) -> Any:
    """Return the step's result, or raise StepError or SerDesError."""
    once = config.step_semantics is StepSemantics.AT_MOST_ONCE_PER_RETRY
    want = Want.AT_MOST_ONCE if once else Want.OPERATION
    while True:
        decision = call.decide(want)
        attempt = decision.attempt or 1
        match decision.verb:
            case Verb.REUSE:
                recorded = call.recorded
                return call.to_value(config.serdes, recorded.result if recorded else None)
            case Verb.RAISE:
                recorded = call.recorded
                raise_recorded(recorded.error if recorded else None, StepError)
            case Verb.SUSPEND:
                await call.park(decision)
            case Verb.INTERRUPTED:
                await _failed(call, _interruption(call), attempt, config)
            case _:
                if decision.verb is Verb.RUN:
                    await _begin(call, once)
                if (known := call.known_end(attempt)) is not None:
                    await call.end_as(known)
                    if known.action is OperationAction.SUCCEED:
                        return call.to_value(config.serdes, known.payload)
                    continue
                try:
                    return await _attempt(call, func, config, attempt, logger)
                except _AttemptFailed as failure:
                    await _failed(call, failure.error, attempt, config)


class _AttemptFailed(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def _begin(call: Call, once: bool) -> None:
    """Write START: for an at-most-once attempt it is persisted before the body runs."""
    if once:
        await call.persist(OperationAction.START)
        call.execution.check(call.scope)
    else:
        call.send(OperationAction.START)
        await let_others_run()


async def _attempt(
    call: Call,
    func: Callable[[StepContext], Any],
    config: StepConfig,
    attempt: int,
    logger: Logger,
) -> Any:
    context = StepContext(logger.for_operation(call.id, call.name, attempt), attempt)
    try:
        once = config.step_semantics is StepSemantics.AT_MOST_ONCE_PER_RETRY
        with call.body(attempt, once=once):
            result = await called(func(context))
        payload, value = call.round_trip(config.serdes, result)
    except (RetryableSerDesError, ExecutionError):
        raise
    except Exception as error:
        raise _AttemptFailed(error) from error
    await call.persist(OperationAction.SUCCEED, payload=payload)
    return value


def _interruption(call: Call) -> StepInterruptedError:
    return StepInterruptedError(f"{call.label} was cut off before its attempt ended", call.id)


async def _failed(call: Call, error: Exception, attempt: int, config: StepConfig) -> None:
    """Write what becomes of a failed attempt: RETRY, or FAIL when there is no further one."""
    recorded = error_object(error)
    if not isinstance(error, SerDesError):
        strategy = config.retry_strategy or RetryPresets.default()
        with call.chance(attempt):
            decision = strategy(error, attempt)
        if decision.should_retry:
            delay = max(1, whole_seconds(decision.delay))
            await call.persist(
                OperationAction.RETRY, error=recorded, next_attempt_delay_seconds=delay
            )
            return
    await call.persist(OperationAction.FAIL, error=recorded)
    raise_recorded(recorded, StepError)
