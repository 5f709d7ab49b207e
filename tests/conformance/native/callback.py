"""Suite 4: callbacks that the handler creates itself."""

import json
from datetime import timedelta

from durable_core import CallbackConfig, CallbackError, SerDes


class Number(SerDes):
    """Reads the payload as a number."""

    def serialize(self, value, serdes_context):
        return json.dumps(value)

    def deserialize(self, data, serdes_context):
        return int(json.loads(data))


def within(seconds):
    """Return the configuration of a callback with a timeout."""
    return CallbackConfig(timeout=timedelta(seconds=seconds))


async def answer(ctx, name, config=None):
    """Create a callback and wait for its result."""
    callback = await ctx.create_callback(name=name, config=config)
    return await callback.result()


async def named_by_input(event, ctx):
    return await answer(ctx, event)


async def named(_event, ctx):
    return await answer(ctx, "approval")


async def with_timeout(event, ctx):
    return await answer(ctx, event, within(5))


async def step_between(event, ctx):
    callback = await ctx.create_callback(name=event)
    await ctx.step(lambda _: "asked")
    return await callback.result()


async def step_between_with_timeout(event, ctx):
    callback = await ctx.create_callback(name=event, config=within(5))
    await ctx.step(lambda _: "asked")
    return await callback.result()


async def timeout_during_wait(event, ctx):
    callback = await ctx.create_callback(name=event, config=within(3))
    await ctx.wait(timedelta(seconds=6))
    return await callback.result()


async def wait_afterwards(event, ctx):
    value = await answer(ctx, event)
    await ctx.wait(timedelta(seconds=2))
    return value


async def failure_caught(event, ctx):
    try:
        said = await answer(ctx, event)
    except CallbackError as error:
        said = f"refused: {error.message}"
    await ctx.wait(timedelta(seconds=2))
    return said


async def own_serdes(event, ctx):
    count = await answer(ctx, event, CallbackConfig(serdes=Number()))
    return {"count": count, "doubled": count * 2}


async def two_in_sequence(event, ctx):
    return [await answer(ctx, name) for name in event]


async def two_at_once(event, ctx):
    callbacks = [await ctx.create_callback(name=name) for name in event]
    return [await callback.result() for callback in callbacks]
