"""The options that native operations are asked for with, as they are compared with recorded ones:
how long it is waited, whom it invokes, what the code decides about further attempts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from durable_core.exceptions import WaitForConditionError
from durable_core.native.chance import chance_is
from durable_core.native.durations import whole_seconds
from durable_core.native.retries import RetryPresets, RetryStrategy
from durable_core.native.serdes import JSON, SerDes
from durable_core.native.waits import WaitForConditionConfig
from durable_core.sandbox.step_bodies import as_body
from durable_core.verifying.option_changes import (
    NO_OPTIONS,
    AttemptDecision,
    Backoff,
    OperationOptions,
    StrategyAnswer,
    callback_options,
    invoke_options,
    options_of,
    wait_options,
)

ReadState = Callable[[SerDes[Any], str | None], Any]
"""Returns an earlier state of a wait_for_condition from its payload."""
WriteInput = Callable[[SerDes[Any], Any], str | None]
"""Returns what would be sent to an invoked function; None: it can't be made here."""


def options_asked(
    options: dict[str, Any], backoff: Backoff | None, read: ReadState, write: WriteInput
) -> OperationOptions:
    """Return the options that a `DurableContext` asks for an operation with.

    `backoff` is the decision of a strategy that a wait comes from, if it does.
    """
    match options:
        case {"seconds": seconds}:
            return wait_options(backoff or seconds)
        case {"retried": strategy}:
            return _DEFAULT if strategy is None else _retried(strategy)
        case {"polled": config}:
            return OperationOptions(
                decide=AttemptDecision(as_body(_polling(config, read)), polls=True)
            )
        case {"invoked": (function_name, payload, config)}:
            written = partial(write, config.serdes_payload or JSON, payload)
            return invoke_options(function_name, config.tenant_id, written)
        case {"callback": config}:
            timeouts = (config.timeout, config.heartbeat_timeout)
            return callback_options(*map(whole_seconds, timeouts))
    return NO_OPTIONS


def backoff_of(strategy: RetryStrategy, error: Exception, attempt: int) -> Backoff:
    """Return all waits that a strategy may decide on after an attempt of a block."""
    return Backoff(attempt, options_of(partial(_asked, strategy, error, attempt)))


def _polling(
    config: WaitForConditionConfig[Any], read: ReadState
) -> Callable[[object, int, float | None], StrategyAnswer]:
    def decide(payload: object, attempt: int, chance: float | None) -> StrategyAnswer:
        state = read(config.serdes or JSON, cast("str | None", payload))
        try:
            with chance_is(chance):
                decision = config.wait_strategy(state, attempt)
        except WaitForConditionError as error:
            return f"fails with {type(error).__name__}"
        return max(1, whole_seconds(decision.delay)) if decision.should_continue else None

    return decide


def _retried(strategy: RetryStrategy | None) -> OperationOptions:
    return OperationOptions(decide=AttemptDecision(partial(_asked, strategy)))


def _asked(
    strategy: RetryStrategy | None, error: object, attempt: int, chance: float | None
) -> StrategyAnswer:
    """Return what a retry strategy decides about an error, for `retry_differences`."""
    with chance_is(chance):
        decision = as_body(strategy or RetryPresets.default())(cast(Exception, error), attempt)
    return max(1, whole_seconds(decision.delay)) if decision.should_retry else None


_DEFAULT: Final = _retried(None)
"""Of a step without a strategy of its own."""
