"""Suite 3: child contexts."""

import sys
from datetime import timedelta

from durable_core import (
    JitterStrategy,
    RetryStrategyConfig,
    StepConfig,
    create_retry_strategy,
    durable_with_child_context,
)

SECOND = timedelta(seconds=1)

TWO_ATTEMPTS = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=2, initial_delay=SECOND, jitter_strategy=JitterStrategy.NONE
        )
    )
)


def step_of(value):
    """Return the body of a context that is one step."""
    return lambda child: child.step(lambda _: value)


async def one_step(event, ctx):
    return await ctx.run_in_child_context(step_of(event))


async def named_by_input(event, ctx):
    return await ctx.run_in_child_context(step_of(event["value"]), name=event["name"])


@durable_with_child_context
async def two_steps(child, value):
    first = await child.step(lambda _: value)
    return await child.step(lambda _: first)


async def two_in_sequence(event, ctx):
    return await ctx.run_in_child_context(two_steps(event))


async def nested(event, ctx):
    async def outer(child):
        await child.step(lambda _: event)
        return await child.run_in_child_context(step_of(event), name="inner")

    return await ctx.run_in_child_context(outer, name="outer")


async def retried_inside(event, ctx):
    def flaky(step_context):
        if step_context.attempt == 1:
            raise RuntimeError("not yet")
        return event

    async def body(child):
        return await child.step(flaky, config=TWO_ATTEMPTS)

    return await ctx.run_in_child_context(body, name="retrying")


async def fails_inside(_event, ctx):
    def fail(_):
        raise RuntimeError("never")

    async def body(child):
        return await child.step(fail, config=TWO_ATTEMPTS)

    return await ctx.run_in_child_context(body, name="failing")


async def overflows(event, ctx):
    async def body(child):
        child.logger.get_logger().info("in the child context for %s", event)
        letter = await child.step(lambda _: "x")
        return letter * 300_000

    large = await ctx.run_in_child_context(body, name="large")
    await ctx.wait(SECOND)
    return len(large)


async def dies_inside(event, ctx):
    alive = ctx.is_replaying()

    def die_first(_):
        if not alive:
            sys.exit(1)
        return event

    return await ctx.run_in_child_context(lambda child: child.step(die_first))


async def waits_inside(event, ctx):
    async def body(child):
        await child.wait(SECOND)
        return event

    value = await ctx.run_in_child_context(body, name="waiting")
    return await ctx.step(lambda _: value)


async def returns_nothing(_event, ctx):
    return await ctx.run_in_child_context(lambda _: None, name="nothing")


async def logs_only(event, ctx):
    async def body(child):
        child.logger.get_logger().info("in the child context for %s", event)
        return event

    value = await ctx.run_in_child_context(body, name="logging")
    await ctx.wait(SECOND)
    return value


async def step_and_wait_inside_and_after(event, ctx):
    async def body(child):
        value = await child.step(lambda _: event)
        await child.wait(SECOND)
        return value

    value = await ctx.run_in_child_context(body, name="both")
    value = await ctx.step(lambda _: value)
    await ctx.wait(SECOND)
    return value
