"""Suite 7: callbacks with a submitter."""

from datetime import timedelta

from durable_core import (
    CallbackError,
    JitterStrategy,
    JsonSerDes,
    RetryStrategyConfig,
    WaitForCallbackConfig,
    create_retry_strategy,
)


def submit(_callback_id, _context):
    """Tell nobody: the scenario answers."""


async def unreachable(_callback_id, _context):
    """Fail to tell anybody."""
    raise ConnectionError("nobody there")


def heartbeat_within(seconds):
    """Return the configuration of a callback with a heartbeat timeout."""
    return WaitForCallbackConfig(heartbeat_timeout=timedelta(seconds=seconds))


async def named_by_input(event, ctx):
    return await ctx.wait_for_callback(submit, name=event)


async def named(_event, ctx):
    return await ctx.wait_for_callback(submit, name="approval")


async def unnamed(_event, ctx):
    return await ctx.wait_for_callback(lambda callback_id, _context: None)


async def failure_caught(event, ctx):
    try:
        return await ctx.wait_for_callback(submit, name=event)
    except CallbackError:
        return "recovered"


async def submitter_fails(event, ctx):
    retry = create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=2,
            initial_delay=timedelta(seconds=1),
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    config = WaitForCallbackConfig(retry_strategy=retry)
    return await ctx.wait_for_callback(unreachable, name=event, config=config)


async def inside_child(event, ctx):
    return await ctx.run_in_child_context(
        lambda child: child.wait_for_callback(submit, name=event), name="wrapper"
    )


async def own_serdes(event, ctx):
    config = WaitForCallbackConfig(serdes=JsonSerDes())
    answer = await ctx.wait_for_callback(submit, name=event, config=config)
    return answer["status"]


async def heartbeat_timeout(event, ctx):
    return await ctx.wait_for_callback(submit, name=event, config=heartbeat_within(5))


async def heartbeat_then_success(event, ctx):
    return await ctx.wait_for_callback(submit, name=event, config=heartbeat_within(10))
