"""Suite 6: polls."""

from datetime import timedelta

from durable_core import (
    JitterStrategy,
    SerDes,
    WaitForConditionConfig,
    WaitForConditionDecision,
    WaitForConditionError,
    WaitStrategyConfig,
    create_wait_strategy,
)

SECOND = timedelta(seconds=1)


class Reversed(SerDes):
    """Stores texts backwards, between angle brackets."""

    def serialize(self, value, serdes_context):
        return f"<{value[::-1]}>"

    def deserialize(self, data, serdes_context):
        return data[1:-1][::-1]


def poll_until(is_enough, initial_state, serdes=None):
    """Return the configuration of a poll, a second apart, that ends when it is enough."""

    def decide(state, _attempts):
        if is_enough(state):
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(SECOND)

    return WaitForConditionConfig(wait_strategy=decide, initial_state=initial_state, serdes=serdes)


def one_more(state, _):
    """Count on."""
    return state + 1


async def count_to(ctx, number, start=0, name=None):
    """Poll a counter until it reaches the number."""
    config = poll_until(lambda state: state >= number, start)
    return await ctx.wait_for_condition(one_more, config, name=name)


async def broken(_state, _):
    """Fail."""
    raise RuntimeError("the check failed")


async def counts(event, ctx):
    return await count_to(ctx, event)


async def met_at_once(_event, ctx):
    return await ctx.wait_for_condition(
        lambda state, _: state, poll_until(lambda state: state >= 5, 5)
    )


async def named(_event, ctx):
    return await count_to(ctx, 2, name="poll-status")


async def out_of_attempts(_event, ctx):
    strategy = create_wait_strategy(
        WaitStrategyConfig(
            should_continue_polling=lambda _: True,
            max_attempts=3,
            initial_delay=SECOND,
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
    return await ctx.wait_for_condition(one_more, config)


async def check_fails(_event, ctx):
    return await ctx.wait_for_condition(broken, poll_until(bool, 0))


async def failure_caught(_event, ctx):
    try:
        return await ctx.wait_for_condition(broken, poll_until(bool, 0))
    except WaitForConditionError:
        return "recovered"


async def own_serdes(_event, ctx):
    config = poll_until(lambda state: len(state) >= 2, "", serdes=Reversed())
    return await ctx.wait_for_condition(lambda state, _: f"{state}x", config)


async def step_afterwards(event, ctx):
    count = await count_to(ctx, event)
    return await ctx.step(lambda _: count * 10)


async def two_in_sequence(_event, ctx):
    return await count_to(ctx, 4, start=await count_to(ctx, 2))
