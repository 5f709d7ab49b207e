"""What of an operation of AWS's SDK may change without a divergence, and is told.

How long it waits, whom it invokes, what its code decides about further attempts.
"""

from __future__ import annotations

import sys
from functools import partial
from types import FrameType
from typing import Any, Final

from durable_core.native.chance import chance_is
from durable_core.runtimes.aws_python.replay_attach import Parts
from durable_core.sandbox.step_bodies import as_body
from durable_core.sandbox.user_code import is_users
from durable_core.verifying.option_changes import (
    AttemptDecision,
    Backoff,
    OperationOptions,
    StrategyAnswer,
    callback_options,
    invoke_options,
    options_of,
    wait_options,
)


def _decider(executor: Any, parts: Parts, arn: str) -> AttemptDecision | None:
    """Return what a step's or condition's code decides about a further attempt."""
    if isinstance(executor, parts.step_executor):
        return AttemptDecision(partial(_retry_step, executor.config.retry_strategy, parts))
    if not isinstance(executor, parts.condition_executor):
        return None
    config, identifier = executor.config, executor.operation_identifier

    def decide(payload: object, attempt: int, chance: float | None) -> StrategyAnswer:
        state = parts.deserialize(
            serdes=config.serdes,
            data=payload,
            operation_id=identifier.operation_id,
            durable_execution_arn=arn,
        )
        try:
            with chance_is(chance):
                decision = config.wait_strategy(state, attempt)
        except parts.condition_error as error:
            return f"fails with {type(error).__name__}"
        return _seconds(decision, "should_continue")

    return AttemptDecision(as_body(decide), polls=True)


def _retry_step(
    strategy: Any, parts: Parts, error: object, attempt: int, chance: float | None
) -> StrategyAnswer:
    return _retry(strategy or parts.default_retry(), error, attempt, chance)


def _retry(strategy: Any, error: object, attempt: int, chance: float | None) -> StrategyAnswer:
    with chance_is(chance):
        return _seconds(as_body(strategy)(error, attempt), "should_retry")


def _seconds(decision: Any, goes_on: str) -> int | None:
    return max(1, int(decision.delay_seconds)) if getattr(decision, goes_on) else None


def options_asked(executor: Any, parts: Parts, arn: str) -> OperationOptions:
    """Return the options that an operation is asked for with."""
    if isinstance(seconds := getattr(executor, "seconds", None), int):
        return wait_options(_waited(seconds))
    config: Any = getattr(executor, "config", None)
    if isinstance(function := getattr(executor, "function_name", None), str):
        written = partial(_input, executor, parts, arn)
        return invoke_options(function, getattr(config, "tenant_id", None), written)
    if hasattr(config, "heartbeat_timeout_seconds"):
        return callback_options(config.timeout_seconds, config.heartbeat_timeout_seconds)
    return OperationOptions(decide=_decider(executor, parts, arn))


def _input(executor: Any, parts: Parts, arn: str) -> str | None:
    """Return what the SDK would send to the invoked function."""
    written: str | None = parts.serialize(
        serdes=executor.config.serdes_payload or parts.plain_serdes,
        value=executor.payload,
        operation_id=executor.operation_identifier.operation_id,
        durable_execution_arn=arn,
    )
    return written


# -- waits between the attempts of a block -------------------------------------------------------

_RETRIES: Final = "aws_durable_execution_sdk_python.retries"


def _waited(seconds: int) -> int | Backoff:
    """Return how long is waited; in `with_retry` what its strategy may say, since what it has said
    is mostly left to chance."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_users(frame.f_code.co_filename):
        if frame.f_globals.get("__name__") == _RETRIES:
            return _backoff(frame.f_locals)
        frame = frame.f_back
    return seconds


def _backoff(known: dict[str, Any]) -> Backoff:
    """Return the wait of a running `with_retry`, by the names of 3.0.0."""
    strategy, error, attempt = (known.get(each) for each in ("retry_strategy", "err", "attempt"))
    if strategy is None or error is None or not isinstance(attempt, int):
        return Backoff(0, None)
    ask = partial(_retry, strategy, error, attempt)
    return Backoff(attempt, options_of(ask))
