"""Suite 2: waits."""

from datetime import timedelta

TWO_SECONDS = timedelta(seconds=2)


async def unnamed(_event, ctx):
    await ctx.wait(TWO_SECONDS)
    return "waited"


async def named(_event, ctx):
    await ctx.wait(TWO_SECONDS, name="custom_wait_name")
    return "waited"


async def two_in_sequence(_event, ctx):
    for number in (1, 2):
        await ctx.wait(TWO_SECONDS, name=f"wait-{number}")
    return {"completedWaits": 2}
