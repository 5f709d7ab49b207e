"""Suite 1: one step, several steps, and what a step's retries do."""

import sys
from datetime import timedelta

from durable_core import (
    JitterStrategy,
    RetryDecision,
    RetryPresets,
    RetryStrategyConfig,
    SerDes,
    StepConfig,
    StepSemantics,
    create_retry_strategy,
)


class TransientError(Exception):
    """What might go away by itself."""


class Uppercase(SerDes):
    """Stores texts in capitals, without quotes."""

    def serialize(self, value, serdes_context):
        return value.upper()

    def deserialize(self, data, serdes_context):
        return data


def every_second(attempts):
    """Return a strategy of so many attempts, a second apart."""
    return create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=attempts,
            initial_delay=timedelta(seconds=1),
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
        )
    )


def failing_until(attempt, value):
    """Return a step that fails before the given attempt and then returns the value."""

    def step(step_context):
        if step_context.attempt < attempt:
            raise RuntimeError(f"attempt {step_context.attempt} failed")
        return value

    return step


async def greets(event, ctx):
    return await ctx.step(lambda _: f"Hello, {event}!")


async def named(event, ctx):
    return await ctx.step(lambda _: f"Hello, {event}!", name="custom_step_name")


async def two_in_sequence(_event, ctx):
    first = await ctx.step(lambda _: "first")
    return await ctx.step(lambda _: f"{first}_second")


async def own_serdes(event, ctx):
    return await ctx.step(lambda _: event, config=StepConfig(serdes=Uppercase()))


async def logs(event, ctx):
    async def greet(step_context):
        step_context.logger.info("Greeting step started for: %s", event)
        greeting = f"Hello, {event}!"
        step_context.logger.info("Greeting step completed with: %s", greeting)
        return greeting

    return await ctx.step(greet)


async def step_then_wait(_event, ctx):
    value = await ctx.step(lambda _: "computed")
    await ctx.wait(timedelta(seconds=2))
    return value


async def retried_once(_event, ctx):
    config = StepConfig(retry_strategy=every_second(3))
    return await ctx.step(failing_until(2, "Operation succeeded"), config=config)


async def out_of_attempts(_event, ctx):
    config = StepConfig(retry_strategy=every_second(4))
    return await ctx.step(failing_until(99, None), config=config)


async def default_retries(_event, ctx):
    return await ctx.step(failing_until(3, "done"))


def all_but_transient(error, attempts_made):
    """Retry everything except TransientError."""
    if isinstance(error, TransientError):
        return RetryDecision.no_retry()
    return every_second(3)(error, attempts_made)


async def not_retryable(_event, ctx):
    def fail(_):
        raise TransientError("try later")

    return await ctx.step(fail, config=StepConfig(retry_strategy=all_but_transient))


async def dies_once_at_most(event, ctx):
    def die(step_context):
        step_context.logger.info("running for %s", event)
        sys.exit(1)

    config = StepConfig(
        step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.none()
    )
    return await ctx.step(die, name="at_most_once_flaky_step", config=config)


async def dies_then_retried(event, ctx):
    def die_first(step_context):
        step_context.logger.info("running for %s", event)
        if step_context.attempt == 1:
            sys.exit(1)
        return "succeeded on second attempt"

    config = StepConfig(
        step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=every_second(2)
    )
    return await ctx.step(die_first, config=config)
