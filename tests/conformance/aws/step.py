"""Suite 1: one step, several steps, and what a step's retries do."""

import os

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    Duration,
    JitterStrategy,
    StepConfig,
    StepSemantics,
)
from aws_durable_execution_sdk_python.retries import (
    RetryDecision,
    RetryPresets,
    RetryStrategyConfig,
    create_retry_strategy,
)
from aws_durable_execution_sdk_python.serdes import SerDes


class TransientError(Exception):
    """What might go away by itself."""


class Uppercase(SerDes[str]):
    """Stores texts in capitals, without quotes."""

    def serialize(self, value, _):
        return value.upper()

    def deserialize(self, data, _):
        return data


def every_second(attempts):
    """Return a strategy of so many attempts, a second apart."""
    return create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=attempts,
            initial_delay=Duration.from_seconds(1),
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
        )
    )


def failing_until(attempt, value):
    """Return a step that fails before the given attempt and then returns the value."""

    def step(step_context: StepContext):
        if step_context.attempt < attempt:
            raise RuntimeError(f"attempt {step_context.attempt} failed")
        return value

    return step


@durable_execution
def greets(event, context: DurableContext):
    return context.step(lambda _: f"Hello, {event}!")


@durable_execution
def named(event, context: DurableContext):
    return context.step(lambda _: f"Hello, {event}!", name="custom_step_name")


@durable_execution
def two_in_sequence(_event, context: DurableContext):
    first = context.step(lambda _: "first")
    return context.step(lambda _: f"{first}_second")


@durable_execution
def own_serdes(event, context: DurableContext):
    return context.step(lambda _: event, config=StepConfig(serdes=Uppercase()))


@durable_execution
def logs(event, context: DurableContext):
    def greet(step_context: StepContext):
        step_context.logger.info("Greeting step started for: %s", event)
        greeting = f"Hello, {event}!"
        step_context.logger.info("Greeting step completed with: %s", greeting)
        return greeting

    return context.step(greet)


@durable_execution
def step_then_wait(_event, context: DurableContext):
    value = context.step(lambda _: "computed")
    context.wait(Duration.from_seconds(2))
    return value


@durable_execution
def retried_once(_event, context: DurableContext):
    return context.step(
        failing_until(2, "Operation succeeded"), config=StepConfig(retry_strategy=every_second(3))
    )


@durable_execution
def out_of_attempts(_event, context: DurableContext):
    return context.step(failing_until(99, None), config=StepConfig(retry_strategy=every_second(4)))


@durable_execution
def default_retries(_event, context: DurableContext):
    return context.step(failing_until(3, "done"))


def all_but_transient(error: Exception, attempts_made: int) -> RetryDecision:
    """Retry everything except TransientError."""
    if isinstance(error, TransientError):
        return RetryDecision.no_retry()
    return every_second(3)(error, attempts_made)


@durable_execution
def not_retryable(_event, context: DurableContext):
    def fail(_):
        raise TransientError("try later")

    return context.step(fail, config=StepConfig(retry_strategy=all_but_transient))


@durable_execution
def dies_once_at_most(event, context: DurableContext):
    def die(step_context: StepContext):
        step_context.logger.info("running for %s", event)
        os._exit(1)

    return context.step(
        die,
        name="at_most_once_flaky_step",
        config=StepConfig(
            step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
            retry_strategy=RetryPresets.none(),
        ),
    )


@durable_execution
def dies_then_retried(event, context: DurableContext):
    def die_first(step_context: StepContext):
        step_context.logger.info("running for %s", event)
        if step_context.attempt == 1:
            os._exit(1)
        return "succeeded on second attempt"

    return context.step(
        die_first,
        config=StepConfig(
            step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=every_second(2)
        ),
    )
