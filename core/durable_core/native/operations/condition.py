"""wait_for_condition: a check that polls, its state recorded between polls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_core.decide import Verb
from durable_core.exceptions import (
    ExecutionError,
    InvocationError,
    WaitForConditionError,
    error_object,
    raise_recorded,
)
from durable_core.model import OperationAction
from durable_core.native.call import Call, called, let_others_run
from durable_core.native.durations import whole_seconds
from durable_core.native.logger import Logger
from durable_core.native.types import WaitForConditionCheckContext
from durable_core.native.waits import WaitForConditionConfig, WaitForConditionDecision

Check = Callable[[Any, WaitForConditionCheckContext], Any]


async def wait_for_condition(
    call: Call, check: Check, config: WaitForConditionConfig[Any], logger: Logger
) -> Any:
    """Return the state that met the condition, or raise WaitForConditionError or SerDesError."""
    while True:
        decision = call.decide()
        attempt = decision.attempt or 1
        recorded = call.recorded
        match decision.verb:
            case Verb.REUSE:
                return call.to_value(config.serdes, recorded.result if recorded else None)
            case Verb.RAISE:
                raise_recorded(recorded.error if recorded else None, WaitForConditionError)
            case Verb.SUSPEND:
                await call.park(decision)
                continue
            case Verb.RUN:
                call.send(OperationAction.START)
                await let_others_run()
        if (known := call.known_end(attempt)) is not None:
            await call.end_as(known)
            if known.action is OperationAction.SUCCEED:
                return call.to_value(config.serdes, known.payload)
            continue
        state = recorded.result if recorded is not None else None
        try:
            payload, verdict = await _poll(call, check, config, state, attempt, logger)
            value = None if verdict.should_continue else call.to_value(config.serdes, payload)
        except (InvocationError, ExecutionError):
            raise
        except Exception as error:
            failure = error_object(error)
            await call.persist(OperationAction.FAIL, error=failure)
            raise_recorded(failure, WaitForConditionError)
        if not verdict.should_continue:
            await call.persist(OperationAction.SUCCEED, payload=payload)
            return value
        delay = max(1, whole_seconds(verdict.delay))
        await call.persist(OperationAction.RETRY, payload=payload, next_attempt_delay_seconds=delay)


async def _poll(
    call: Call,
    check: Check,
    config: WaitForConditionConfig[Any],
    state: str | None,
    attempt: int,
    logger: Logger,
) -> tuple[str | None, WaitForConditionDecision]:
    """Run the check once; return its state as payload and what the strategy says of it."""
    if state is None:
        state = call.to_payload(config.serdes, config.initial_state)
    context = WaitForConditionCheckContext(
        logger.for_operation(call.id, call.name, attempt), attempt
    )
    with call.body(attempt):
        result = await called(check(call.to_value(config.serdes, state), context))
    payload = call.to_payload(config.serdes, result)
    with call.chance(attempt):
        verdict = config.wait_strategy(call.to_value(config.serdes, payload), attempt)
    return payload, verdict
