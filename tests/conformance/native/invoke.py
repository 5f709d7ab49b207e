"""Suite 5: chained invokes. `echo`, `measure` and `refuse` are what they invoke."""

from durable_core import InvokeConfig, InvokeError, SerDes

LARGE = "x" * 250_000


class Shouted(SerDes):
    """Reads whatever comes in capitals."""

    def serialize(self, value, serdes_context):
        return value

    def deserialize(self, data, serdes_context):
        return data.upper()


async def echo(event, _ctx):
    return event


async def measure(event, _ctx):
    return len(event)


async def refuse(_event, _ctx):
    raise ValueError("refused by the target")


async def echoes(event, ctx):
    return await ctx.invoke("echo", event)


async def named_by_input(event, ctx):
    return await ctx.invoke("echo", event["payload"], name=event["name"])


async def failure_caught(_event, ctx):
    try:
        return await ctx.invoke("refuse", "please")
    except InvokeError:
        return "fallback"


async def large_payload(_event, ctx):
    return await ctx.invoke("measure", LARGE)


async def for_tenant(event, ctx):
    config = InvokeConfig(tenant_id=event["tenantId"])
    return await ctx.invoke("echo", event["payload"], config=config)


async def step_before(_event, ctx):
    value = await ctx.step(lambda _: "prepared")
    return await ctx.invoke("echo", value)


async def step_afterwards(_event, ctx):
    value = await ctx.invoke("echo", "raw")
    return await ctx.step(lambda _: f"{value}, processed")


async def inside_child(_event, ctx):
    return await ctx.run_in_child_context(lambda child: child.invoke("echo", "from inside"))


async def own_serdes(event, ctx):
    return await ctx.invoke("echo", event, config=InvokeConfig(serdes_result=Shouted()))
